import { readdirSync, statSync, watchFile, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SluiceError } from '../model/errors.ts';
import { isGreen, jsonReport, junitReport, printReport, type Report } from './rule-tests/report.ts';
import { runTest } from './rule-tests/run-test.ts';
import { readTestFile } from './rule-tests/test-file.ts';

export interface TestCommand {
  config?: string;
  name?: string;
  json?: boolean;
  junit?: string;
  watch?: boolean;
}

/** Exit code when a test failed; 1 is tests that could not be run. */
const FAILED = 2;

/** `sluice test [FILES…]`: runs rule tests. Folders stand for the files below them whose names end in `.test.yaml`. */
export async function testRules(given: string[], options: TestCommand): Promise<void> {
  const report = runAll(filesOf(given), options);
  tell(report, options);
  if (report.broken.length > 0) process.exitCode = 1;
  else if (!isGreen(report)) process.exitCode = FAILED;
  if (options.watch === true) await watch(given, options);
}

function runAll(files: readonly string[], options: TestCommand): Report {
  const before = performance.now();
  const report: Report = { outcomes: [], broken: [], elapsedMs: 0 };
  for (const file of files) {
    try {
      const tests = readTestFile(file, options.config);
      const chosen = tests.filter(({ name }) => options.name === undefined || name.includes(options.name));
      report.outcomes.push(...chosen.map(runTest));
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      report.broken.push({ file, message: error.message });
    }
  }
  if (report.outcomes.length === 0 && report.broken.length === 0) {
    throw new SluiceError(
      'INPUT_INVALID',
      `no tests in ${files.length} files${options.name ? ` with this name` : ''}`,
      {
        remedy: 'docs/rule-tests.md shows how one is written',
      },
    );
  }
  report.elapsedMs = performance.now() - before;
  return report;
}

function filesOf(given: readonly string[]): string[] {
  const files = (given.length === 0 ? ['.'] : given).flatMap((path) => {
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [path];
    return testFilesIn(path);
  });
  if (files.length > 0) return files;
  throw new SluiceError('INPUT_INVALID', 'there are no files of rule tests here', {
    remedy: 'name them, or let their names end in .test.yaml; docs/rule-tests.md shows how one is written',
  });
}

/** Below a folder, passing over hidden folders and those of packages. */
function testFilesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return /^\.|^node_modules$/.test(entry.name) ? [] : testFilesIn(path);
      return /\.test\.ya?ml$/.test(entry.name) ? [path] : [];
    });
}

function tell(report: Report, options: TestCommand): void {
  if (options.junit !== undefined) writeFileSync(options.junit, junitReport(report));
  if (options.json === true) console.log(JSON.stringify(jsonReport(report)));
  else console.log(printReport(report, process.stdout.isTTY === true && process.stdout.hasColors()));
}

/** Runs all again when one of the files, or of the settings that they name, has changed; until the process is stopped. */
async function watch(given: string[], options: TestCommand): Promise<never> {
  const watched = new Set<string>();
  let due: NodeJS.Timeout | null = null;
  const look = (report: Report): void => {
    const settings = report.outcomes.flatMap(({ test }) => test.settingsFile ?? []);
    const files = [
      ...report.outcomes.map(({ test }) => test.file),
      ...report.broken.map(({ file }) => file),
      ...settings,
    ];
    for (const file of files) {
      if (watched.has(file)) continue;
      watched.add(file);
      watchFile(file, { interval: WATCH_MS }, () => {
        if (due !== null) clearTimeout(due);
        due = setTimeout(again, WATCH_MS);
      });
    }
  };
  const again = (): void => {
    console.log(`\n${new Date().toTimeString().slice(0, 8)}`);
    const report = runAll(filesOf(given), options);
    tell(report, options);
    look(report);
  };
  look(runAll(filesOf(given), options));
  return new Promise<never>(() => {});
}

const WATCH_MS = 200;

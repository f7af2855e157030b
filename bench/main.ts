import { readFile, writeFile } from 'node:fs/promises';
import { SluiceError } from '../model/errors.ts';
import { measure } from './measure.ts';
import { readOptions, USAGE } from './options.ts';
import type { Report } from './result.ts';
import { compareReports, toMarkdown } from './table.ts';

/** `npm run bench`: see USAGE. */
async function main(): Promise<number> {
  const command = readOptions(process.argv.slice(2));
  if (command.kind === 'help') {
    console.log(USAGE);
    return 0;
  }
  if (command.kind === 'compare') {
    const [before, after] = await Promise.all(command.files.map(readReport));
    console.log(compareReports(before, after));
    return 0;
  }
  const { jsonFile, markdownFile } = command.options;
  const report = await measure(command.options, async (soFar) => {
    if (jsonFile !== null) await writeFile(jsonFile, `${JSON.stringify(soFar, null, 2)}\n`);
  });
  const text = toMarkdown(report);
  console.log(text);
  if (markdownFile !== null) await writeFile(markdownFile, text);
  const failed = report.runs.filter(
    ({ name, skipped }) => name.startsWith('sluice') && skipped?.startsWith('it failed'),
  );
  if (failed.length > 0) return 2;
  return report.runs.some((run) => run.rounds.some((round) => round.problems.length > 0)) ? 1 : 0;
}

async function readReport(file: string): Promise<Report> {
  const report = JSON.parse(await readFile(file, 'utf8')) as Report;
  if (report.version === 1) return report;
  throw new SluiceError('INPUT_INVALID', `${file} is not a result of this bench`, { remedy: 'make it with --json' });
}

// The children end with this process (children.ts).
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

// Ended, not left to end: whatever a log or a broker's client still keeps open must not hold up what comes next.
try {
  process.exit(await main());
} catch (error) {
  console.error(error instanceof SluiceError ? error.toLine() : error);
  process.exit(2);
}

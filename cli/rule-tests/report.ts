import { styleText } from 'node:util';
import type { TestOutcome } from './run-test.ts';

/** What became of the files of one run. */
export interface Report {
  outcomes: TestOutcome[];
  /** Files that could not be read as tests. */
  broken: { file: string; message: string }[];
  elapsedMs: number;
}

export function isGreen({ outcomes, broken }: Report): boolean {
  return broken.length === 0 && outcomes.every(({ failures }) => failures.length === 0);
}

type Style = Parameters<typeof styleText>[0];

/** The report for people: a line for each test, and below one that fails what is expected and what came. */
export function printReport(report: Report, colours: boolean): string {
  const styled = (style: Style, text: string): string =>
    colours ? styleText(style, text, { validateStream: false }) : text;
  const lines: string[] = [];
  const files = new Set([...report.outcomes.map(({ test }) => test.file), ...report.broken.map(({ file }) => file)]);
  for (const file of files) {
    lines.push(styled('bold', file));
    for (const { message } of report.broken.filter((b) => b.file === file)) {
      lines.push(...message.split('\n').map((line) => `  ${styled('red', line)}`));
    }
    for (const { test, failures, elapsedMs } of report.outcomes.filter(({ test }) => test.file === file)) {
      const mark = failures.length === 0 ? styled('green', '✓') : styled('red', '✗');
      lines.push(`  ${mark} ${test.name} ${styled('dim', `(${inMs(elapsedMs)})`)}`);
      for (const { place, what, lines: below } of failures) {
        lines.push(`      ${test.file}:${place.line}:${place.column}: ${styled('red', what)}`);
        for (const line of below) lines.push(`        ${styled(styleOf(line), line)}`);
      }
    }
  }
  const failed = report.outcomes.filter(({ failures }) => failures.length > 0).length;
  const passed = report.outcomes.length - failed;
  const parts = [
    styled('green', `${passed} passed`),
    failed > 0 ? styled('red', `${failed} failed`) : '',
    report.broken.length > 0 ? styled('red', `${report.broken.length} of the files could not be read`) : '',
  ].filter((part) => part !== '');
  const counted = `${report.outcomes.length} test${report.outcomes.length === 1 ? '' : 's'} in ${files.size} file${files.size === 1 ? '' : 's'}`;
  lines.push('', `${counted}: ${parts.join(', ')} ${styled('dim', `(${inMs(report.elapsedMs)})`)}`);
  return lines.join('\n');
}

function styleOf(line: string): Style {
  if (line.startsWith('-')) return 'red';
  return line.startsWith('+') ? 'green' : 'dim';
}

function inMs(ms: number): string {
  return ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** The report for programs. */
export function jsonReport(report: Report): object {
  return {
    passed: report.outcomes.filter(({ failures }) => failures.length === 0).length,
    failed: report.outcomes.filter(({ failures }) => failures.length > 0).length,
    elapsedMs: report.elapsedMs,
    unreadable: report.broken,
    tests: report.outcomes.map(({ test, failures, elapsedMs }) => ({
      name: test.name,
      file: test.file,
      line: test.place.line,
      passed: failures.length === 0,
      elapsedMs,
      failures: failures.map(({ place, what, lines }) => ({ ...place, what, details: lines })),
    })),
  };
}

/** The report in the XML that CI systems read: a suite for each file, a case for each test. */
export function junitReport(report: Report): string {
  const files = new Set([...report.outcomes.map(({ test }) => test.file), ...report.broken.map(({ file }) => file)]);
  const suites = [...files].map((file) => {
    const outcomes = report.outcomes.filter(({ test }) => test.file === file);
    const broken = report.broken.filter((b) => b.file === file);
    const failures = outcomes.filter((o) => o.failures.length > 0).length;
    const timeMs = outcomes.reduce((sum, o) => sum + o.elapsedMs, 0);
    const cases = [
      ...outcomes.map(caseOf),
      ...broken.map(
        ({ message }) =>
          `    <testcase name="reads" classname="${xml(file)}" time="0"><error message="not a file of rule tests">${xml(message)}</error></testcase>`,
      ),
    ];
    const counts = `tests="${cases.length}" failures="${failures}" errors="${broken.length}" time="${seconds(timeMs)}"`;
    return [`  <testsuite name="${xml(file)}" ${counts}>`, ...cases, '  </testsuite>'].join('\n');
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="sluice test" time="${seconds(report.elapsedMs)}">\n${suites.join('\n')}\n</testsuites>\n`;
}

function caseOf({ test, failures, elapsedMs }: TestOutcome): string {
  const head = `    <testcase name="${xml(test.name)}" classname="${xml(test.file)}" file="${xml(test.file)}" line="${test.place.line}" time="${seconds(elapsedMs)}"`;
  if (failures.length === 0) return `${head}/>`;
  const texts = failures.map(({ place, what, lines }) => [`${test.file}:${place.line}: ${what}`, ...lines].join('\n'));
  return `${head}><failure message="${xml(failures[0].what)}">${xml(texts.join('\n'))}</failure></testcase>`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}

/** For text and attributes of XML 1.0, which has no place for control characters. */
function xml(text: string): string {
  const named: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text
    .replace(/[&<>"]/g, (c) => named[c])
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd');
}

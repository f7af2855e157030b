import type { BatchCounts } from '../../processors/batch-output.ts';
import type { Expectation, Expectations, Expected } from './expectations.ts';
import { type Kind, type Result, SHOWN } from './results.ts';
import { formatField } from './value-match.ts';
import type { Place } from './yaml-reader.ts';

/** Something that is not as a test expects it. */
export interface Failure {
  place: Place;
  what: string;
  /** Lines below it; one that begins with - is expected, one with + came out. */
  lines: string[];
}

/** Results of one kind that are listed when nobody expected them. */
const UNEXPECTED_MAX = 10;

export function compare(
  expected: Expectations,
  got: { results: Record<Kind, readonly Result[]>; counts: BatchCounts },
  dateMs: number,
): Failure[] {
  const failures = expected.results.flatMap((e) => compareResults(e, got.results[e.kind], dateMs));
  for (const { name, place, match } of expected.counts) {
    const value = got.counts[name as keyof BatchCounts];
    if (match.test(value)) continue;
    failures.push({ place, what: `${name} is not ${match.text}`, lines: [`- ${match.text}`, `+ ${value}`] });
  }
  return failures;
}

function compareResults(expected: Expectation, results: readonly Result[], dateMs: number): Failure[] {
  const { kind, exactly, include, exclude } = expected;
  const wanted = [...(exactly ?? []), ...include];
  const taken = assign(wanted, results);
  let left = results.filter((_, r) => !taken.includes(r));
  const failures: Failure[] = [];
  wanted.forEach((one, w) => {
    if (taken[w] !== -1) return;
    const nearest = nearestTo(one, left);
    failures.push(missing(kind, one, nearest, dateMs));
    // What is shown beside one that is missing is not told again.
    left = left.filter((result) => result !== nearest);
  });
  if (exactly !== null && left.length > 0) {
    const lines = left.slice(0, UNEXPECTED_MAX).map((result) => `+ ${formatResult(kind, result, [], dateMs)}`);
    if (left.length > UNEXPECTED_MAX) lines.push(`  … and ${left.length - UNEXPECTED_MAX} more`);
    const what =
      left.length === 1 ? `${NOUN[kind]} that was not expected` : `${left.length} ${kind} that were not expected`;
    failures.push({ place: expected.place, what, lines });
  }
  for (const one of exclude) {
    const found = results.find((result) => fits(one, result));
    if (found === undefined) continue;
    const lines = [`+ ${formatResult(kind, found, [...one.fields.keys()], dateMs)}`];
    failures.push({ place: one.place, what: `${NOUN[kind]} that should not have come`, lines });
  }
  return failures;
}

const NOUN: Record<Kind, string> = {
  rollups: 'a rollup',
  alarms: 'an alarm transition',
  quarantine: 'a message in the quarantine',
};

function fits({ fields }: Expected, result: Result): boolean {
  for (const [name, match] of fields) {
    const value = result.fields.get(name);
    if (value === undefined || !match.test(value)) return false;
  }
  return true;
}

/**
 * To each expected result the index of one that fits, none twice, −1 where there is none: a maximum matching, by augmenting paths
 * (Kuhn), since what is expected in few words may fit several.
 */
function assign(wanted: readonly Expected[], results: readonly Result[]): number[] {
  const options = wanted.map((one) => results.flatMap((result, r) => (fits(one, result) ? [r] : [])));
  const by = new Map<number, number>();
  const place = (w: number, tried: Set<number>): boolean => {
    for (const r of options[w]) {
      if (tried.has(r)) continue;
      tried.add(r);
      const other = by.get(r);
      if (other !== undefined && !place(other, tried)) continue;
      by.set(r, w);
      return true;
    }
    return false;
  };
  for (let w = 0; w < wanted.length; w++) place(w, new Set());
  const taken = wanted.map(() => -1);
  for (const [r, w] of by) taken[w] = r;
  return taken;
}

/** Of those left the one that agrees in most fields, those that name it counting first; null when there is none like it. */
function nearestTo(expected: Expected, left: readonly Result[]): Result | null {
  let best: Result | null = null;
  let bestScore = 0;
  for (const result of left) {
    let score = 0;
    for (const [name, match] of expected.fields) {
      const value = result.fields.get(name);
      if (value !== undefined && match.test(value)) score += NAMING.has(name) ? 10 : 1;
    }
    if (score <= bestScore) continue;
    best = result;
    bestScore = score;
  }
  return best;
}

function missing(kind: Kind, expected: Expected, nearest: Result | null, dateMs: number): Failure {
  const names = [...expected.fields.keys()];
  const own = `{ ${[...expected.fields].map(([name, match]) => `${name}: ${match.text}`).join(', ')} }`;
  const what = `${NOUN[kind]} that did not come`;
  if (nearest === null) return { place: expected.place, what, lines: [`- ${own}`, '  nothing like it came'] };
  const lines = [`- ${own}`, `+ ${formatResult(kind, nearest, names, dateMs)}`];
  for (const [name, match] of expected.fields) {
    const value = nearest.fields.get(name);
    if (value !== undefined && match.test(value)) continue;
    const got = formatField(value, nearest.times.has(name), dateMs);
    const known = [...nearest.fields.keys()].join(', ');
    lines.push(`  ${name}: expected ${match.text}, got ${got}${value === undefined ? ` (there is ${known})` : ''}`);
  }
  return { place: expected.place, what, lines };
}

const NAMING = new Set(['rule', 'device', 'window', 'metric', 'event', 'reason', 'phase']);
function formatResult(kind: Kind, result: Result, names: readonly string[], dateMs: number): string {
  const shown = names.length > 0 ? names : SHOWN[kind].filter((name) => result.fields.get(name) !== undefined);
  const fields = shown.map(
    (name) => `${name}: ${formatField(result.fields.get(name), result.times.has(name), dateMs)}`,
  );
  return `{ ${fields.join(', ')} }`;
}

/**
 * Quantities as people write them: `250ms`, `30s`, `5m`, `7d`, `64KiB`, `10GB`. A quantity is one decimal number and one
 * unit; it must come out as a whole number of the base unit (ms, bytes). `parse…` answers with the problem instead of throwing.
 */

export type Dimension = 'duration' | 'bytes';

export type Parsed<T> = { value: T } | { what: string; remedy: string };

const UNITS: Record<Dimension, ReadonlyMap<string, number>> = {
  duration: new Map([
    ['ms', 1],
    ['s', 1_000],
    ['m', 60_000],
    ['h', 3_600_000],
    ['d', 86_400_000],
  ]),
  bytes: new Map([
    ['B', 1],
    ['KiB', 2 ** 10],
    ['MiB', 2 ** 20],
    ['GiB', 2 ** 30],
    ['TiB', 2 ** 40],
    ['KB', 1e3],
    ['kB', 1e3],
    ['MB', 1e6],
    ['GB', 1e9],
    ['TB', 1e12],
  ]),
};

/** What people write for a unit that has another name here. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['sec', 's'],
  ['secs', 's'],
  ['second', 's'],
  ['seconds', 's'],
  ['min', 'm'],
  ['mins', 'm'],
  ['minute', 'm'],
  ['minutes', 'm'],
  ['hr', 'h'],
  ['hrs', 'h'],
  ['hour', 'h'],
  ['hours', 'h'],
  ['day', 'd'],
  ['days', 'd'],
  ['msec', 'ms'],
  ['millis', 'ms'],
  ['milliseconds', 'ms'],
  ['byte', 'B'],
  ['bytes', 'B'],
  ['k', 'KiB'],
  ['kib', 'KiB'],
  ['mib', 'MiB'],
  ['gib', 'GiB'],
  ['tib', 'TiB'],
  ['kb', 'KB'],
  ['mb', 'MB'],
  ['gb', 'GB'],
  ['tb', 'TB'],
]);

const NOUN: Record<Dimension, string> = { duration: 'a duration', bytes: 'a size' };
const BASE: Record<Dimension, string> = { duration: 'ms', bytes: 'bytes' };
const EXAMPLES: Record<Dimension, string> = { duration: '250ms, 30s, 5m, 1h or 7d', bytes: '64KiB, 1MiB or 10GB' };

/** Takes a whole number of the base unit, or a text of number and unit. */
export function parseQuantity(value: unknown, dimension: Dimension): Parsed<number> {
  const write = `write a whole number of ${BASE[dimension]}, or ${EXAMPLES[dimension]}`;
  if (typeof value === 'number') {
    if (!Number.isFinite(value) || value < 0) return { what: `${value} is not ${NOUN[dimension]}`, remedy: write };
    if (!Number.isSafeInteger(value))
      return { what: `${value} is not a whole number of ${BASE[dimension]}`, remedy: write };
    return { value };
  }
  if (value === null) return { what: 'has no value', remedy: write };
  if (typeof value !== 'string') return { what: `${describe(value)} is not ${NOUN[dimension]}`, remedy: write };
  const match = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-zµ]*)\s*$/.exec(value);
  if (match === null) return { what: `"${clip(value)}" is not ${NOUN[dimension]}`, remedy: write };
  const [, digits, unit] = match;
  if (unit === '') {
    return {
      what: `"${clip(value)}" is a text without a unit`,
      remedy: `write ${digits} without quotes for ${BASE[dimension]}, or ${EXAMPLES[dimension]}`,
    };
  }
  const factor = UNITS[dimension].get(unit);
  if (factor === undefined) return unknownUnit(value, digits, unit, dimension);
  const amount = Number(digits) * factor;
  // 0.1 * 3600000 and the like are whole numbers that binary fractions miss by a hair.
  const whole = Math.round(amount);
  if (!Number.isSafeInteger(whole)) return { what: `"${clip(value)}" is too large to be counted`, remedy: write };
  if (Math.abs(amount - whole) > 1e-6 * Math.max(1, amount * 1e-9)) {
    return { what: `"${clip(value)}" is not a whole number of ${BASE[dimension]}`, remedy: write };
  }
  return { value: whole };
}

function unknownUnit(value: string, digits: string, unit: string, dimension: Dimension): Parsed<number> {
  const other: Dimension = dimension === 'duration' ? 'bytes' : 'duration';
  const meant = UNITS[dimension].has(ALIASES.get(unit.toLowerCase()) ?? '')
    ? ALIASES.get(unit.toLowerCase())
    : undefined;
  if (meant !== undefined) {
    return { what: `unknown unit "${unit}" in "${clip(value)}"`, remedy: `did you mean ${digits}${meant}?` };
  }
  const isOther = UNITS[other].has(unit) || UNITS[other].has(ALIASES.get(unit.toLowerCase()) ?? '');
  const remedy = `write ${NOUN[dimension]} with one of ${[...UNITS[dimension].keys()].join(', ')}, as ${EXAMPLES[dimension]}`;
  return isOther
    ? { what: `"${clip(value)}" is ${NOUN[other]}, but this setting is ${NOUN[dimension]}`, remedy }
    : { what: `unknown unit "${unit}" in "${clip(value)}"`, remedy };
}

/** The shortest exact way to write a quantity, in units of 1024 where both are as short: 90000 → `90s`, 65536 → `64KiB`, 0 → `0ms`. */
export function formatQuantity(value: number, dimension: Dimension): string {
  const base = dimension === 'duration' ? 'ms' : 'B';
  let best = `${value}${base}`;
  for (const [name, factor] of UNITS[dimension]) {
    if (value === 0 || value % factor !== 0) continue;
    const text = `${value / factor}`;
    if (text.length < best.replace(/\D/g, '').length) best = text + name;
  }
  return best;
}

/** Pattern of the texts that parseQuantity takes, for the editor's JSON Schema. */
export function quantityPattern(dimension: Dimension): string {
  return `^\\s*\\d+(\\.\\d+)?\\s*(${[...UNITS[dimension].keys()].join('|')})\\s*$`;
}

/** What a value of the file is, in words, short enough for one line. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return 'nothing (an empty value)';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return `"${clip(value)}"`;
  return String(value);
}

/** A text of the file for a message: no line breaks or control characters, bounded. */
export function clip(text: string): string {
  const flat = text.replace(/[\p{Cc}\p{Cs}\u2028\u2029]/gu, ' ');
  return flat.length > 60 ? `${flat.slice(0, 57)}...` : flat;
}

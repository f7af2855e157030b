import { describe } from '../../config/quantity.ts';
import { matcher } from '../../model/pattern.ts';
import { formatTime, parseTime } from './times.ts';

/** A value of a result: a number, a text, or null; times are ms. */
export type Field = number | string | boolean | null;

/** What a test expects of one field of a result. */
export interface FieldMatch {
  test(value: Field): boolean;
  /** As it is written in YAML. */
  text: string;
}

/** Binary fractions: sums and averages come out a hair beside what people write. */
const RELATIVE = 1e-9;

const AROUND = /^(-?[\d.]+(?:e[+-]?\d+)?)\s*(?:±|\+-|\+\/-)\s*([\d.]+(?:e[+-]?\d+)?)$/i;
const COMPARED = /^(>=|<=|>|<)\s*(-?[\d.]+(?:e[+-]?\d+)?)$/i;

/**
 * How an expected value is read: a number equals (but for rounding); "21.5 ± 0.1" is near; "> 20" compares; a time
 * stands for its milliseconds where the field is a number; `*` in a text stands for any run of characters. Null where it cannot be read.
 */
export function fieldMatchOf(expected: unknown, dateMs: number): FieldMatch | null {
  if (expected === null) return { text: 'null', test: (value) => value === null };
  if (typeof expected === 'boolean') return { text: String(expected), test: (value) => value === expected };
  if (typeof expected === 'number') {
    const near = Math.abs(expected) * RELATIVE;
    return {
      text: String(expected),
      test: (value) => typeof value === 'number' && (Object.is(value, expected) || Math.abs(value - expected) <= near),
    };
  }
  if (typeof expected !== 'string') return null;
  const text = expected;
  const around = AROUND.exec(expected);
  if (around !== null) {
    const middle = Number(around[1]);
    const by = Number(around[2]) + Math.abs(middle) * RELATIVE;
    return { text, test: (value) => typeof value === 'number' && Math.abs(value - middle) <= by };
  }
  const compared = COMPARED.exec(expected);
  if (compared !== null) {
    const limit = Number(compared[2]);
    const holds = COMPARE[compared[1] as keyof typeof COMPARE];
    return { text, test: (value) => typeof value === 'number' && holds(value, limit) };
  }
  const timeMs = parseTime(expected, dateMs);
  const matches = matcher([expected]);
  return {
    text: timeMs === null ? quoted(expected) : expected,
    test: (value) => (typeof value === 'number' ? value === timeMs : typeof value === 'string' && matches(value)),
  };
}

const COMPARE = {
  '>': (a: number, b: number) => a > b,
  '<': (a: number, b: number) => a < b,
  '>=': (a: number, b: number) => a >= b,
  '<=': (a: number, b: number) => a <= b,
};

/** A value as one would write it into a test. `isTime`: the number is ms. */
export function formatField(value: Field | undefined, isTime: boolean, dateMs: number): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'number') return isTime ? formatTime(value, dateMs) : String(value);
  return typeof value === 'string' ? quoted(value) : String(value);
}

function quoted(text: string): string {
  return /^[A-Za-z_/][\w./ -]*$/.test(text) && !text.endsWith(' ') ? text : JSON.stringify(text);
}

/** For the message about an expected value that cannot be read. */
export function cannotBeRead(expected: unknown): string {
  return `${describe(expected)} is not a value to compare with`;
}

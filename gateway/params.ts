import { SluiceError } from '../model/errors.ts';

/** The query string as Fastify hands it over: a parameter that is given twice is an array. */
export type Query = Readonly<Record<string, unknown>>;

function bad(name: string, value: unknown, want: string): never {
  throw new SluiceError('INPUT_INVALID', `parameter ${name} is ${JSON.stringify(value)?.slice(0, 100)}`, {
    remedy: `give ${want}`,
    values: { name },
  });
}

/** Text of at most `bytesMax` characters; '' when absent. */
export function text(query: Query, name: string, charactersMax = 512): string {
  const value = query[name] ?? '';
  if (typeof value !== 'string') bad(name, value, 'one value');
  if (value.length > charactersMax) bad(name, value, `at most ${charactersMax} characters`);
  return value;
}

/** A repeated parameter or a list: `metric=a&metric=b`. Empty when absent. */
export function texts(query: Query, name: string, countMax: number): string[] {
  const value = query[name] ?? [];
  const list = Array.isArray(value) ? value : [value];
  if (list.length > countMax) bad(name, list.length, `at most ${countMax} of them`);
  for (const one of list)
    if (typeof one !== 'string' || one.length > 512) bad(name, one, 'text of at most 512 characters');
  return [...new Set(list as string[])];
}

export function integer(query: Query, name: string, range: { min: number; max: number; otherwise: number }): number {
  const value = query[name];
  if (value === undefined || value === '') return range.otherwise;
  const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= range.min && number <= range.max))
    bad(name, value, `a whole number from ${range.min} to ${range.max}`);
  return number;
}

export function oneOf<T extends string>(query: Query, name: string, choices: readonly T[], otherwise: T): T {
  const value = query[name];
  if (value === undefined || value === '') return otherwise;
  if (!choices.includes(value as T)) bad(name, value, `one of ${choices.join(', ')}`);
  return value as T;
}

/** A time as epoch milliseconds or ISO 8601. Bounded to what DateTime64(3) holds well (1970 to 2200). */
export function time(query: Query, name: string, otherwiseMs: number): number {
  const value = query[name];
  if (value === undefined || value === '') return otherwiseMs;
  const ms = typeof value !== 'string' ? Number.NaN : /^\d+$/.test(value) ? Number(value) : Date.parse(value);
  if (!(ms >= 0 && ms < 7_258_118_400_000)) bad(name, value, 'epoch milliseconds or a time like 2026-01-31T12:00:00Z');
  return ms;
}

/** The half-open range [from, to). */
export function timeRange(query: Query, nowMs: number, otherwiseMs: number): { fromMs: number; toMs: number } {
  const toMs = time(query, 'to', nowMs);
  const fromMs = time(query, 'from', Math.max(0, toMs - otherwiseMs));
  if (fromMs >= toMs) bad('from', query.from, 'a time before `to`');
  return { fromMs, toMs };
}

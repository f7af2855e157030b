import type { StateColumn } from './aggregate.ts';
import * as avg from './avg.ts';
import * as count from './count.ts';
import * as first from './first.ts';
import * as last from './last.ts';
import * as max from './max.ts';
import * as min from './min.ts';
import * as sum from './sum.ts';

/**
 * One window's state: the aggregates side by side in a row of a shared column. The calls are written out, one row for each
 * aggregate and function, because the engine inlines them; a loop over a table would cost ten times as much a reading.
 */
const COUNT = 0;
const SUM = COUNT + count.width;
const MIN = SUM + sum.width;
const MAX = MIN + min.width;
const FIRST = MAX + max.width;
const LAST = FIRST + first.width;

/** Doubles of one row. */
export const WINDOW_STATE_WIDTH = LAST + last.width;

export function begin(state: StateColumn, at: number): void {
  count.begin(state, at + COUNT);
  sum.begin(state, at + SUM);
  min.begin(state, at + MIN);
  max.begin(state, at + MAX);
  first.begin(state, at + FIRST);
  last.begin(state, at + LAST);
}

export function push(state: StateColumn, at: number, value: number, tsMs: number): void {
  count.push(state, at + COUNT);
  sum.push(state, at + SUM, value);
  min.push(state, at + MIN, value);
  max.push(state, at + MAX, value);
  first.push(state, at + FIRST, value, tsMs);
  last.push(state, at + LAST, value, tsMs);
}

export function merge(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
  count.merge(state, at + COUNT, from, fromAt + COUNT);
  sum.merge(state, at + SUM, from, fromAt + SUM);
  min.merge(state, at + MIN, from, fromAt + MIN);
  max.merge(state, at + MAX, from, fromAt + MAX);
  first.merge(state, at + FIRST, from, fromAt + FIRST);
  last.merge(state, at + LAST, from, fromAt + LAST);
}

export interface WindowResult {
  count: number;
  sum: number;
  min: number;
  max: number;
  avg: number;
  first: number;
  last: number;
  /** Further aggregates by name; null when the window has none. */
  extra: ReadonlyMap<string, number> | null;
}

export function result(state: StateColumn, at: number): WindowResult {
  const n = count.result(state, at + COUNT);
  const total = sum.result(state, at + SUM);
  return {
    count: n,
    sum: total,
    min: min.result(state, at + MIN),
    max: max.result(state, at + MAX),
    avg: avg.result(n, total),
    first: first.result(state, at + FIRST),
    last: last.result(state, at + LAST),
    extra: null,
  };
}

import type { AggregateSpec } from '../../../model/window.ts';
import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { StateColumn } from './aggregate.ts';
import { begin, merge, push, result, WINDOW_STATE_WIDTH, type WindowResult } from './window-state.ts';

/**
 * All that a window computes over its readings, as one state in `width` doubles of a shared column at `at`. Window kinds know
 * aggregates by this interface alone.
 */
export interface AggregateSet {
  readonly width: number;
  /** Before the first reading. What the row held before has been released. */
  begin(state: StateColumn, at: number): void;
  push(state: StateColumn, at: number, value: number, tsMs: number): void;
  /**
   * Takes in all that another state of the same set holds, as if its readings had been pushed. `from` may be `state` itself, at
   * another row; it is left as it was, and has still to be released.
   */
  merge(state: StateColumn, at: number, from: StateColumn, fromAt: number): void;
  /**
   * The same for the state of another series, as windows of a group do. What goes along one series in order of time (delta, rate,
   * time_avg) is then computed for each series by itself: begin a state for the group, and join that of each series once, when it is complete.
   */
  join(state: StateColumn, at: number, from: StateColumn, fromAt: number): void;
  result(state: StateColumn, at: number): WindowResult;
  /** The row is not used any more: gives back what it holds outside of the column. */
  release(state: StateColumn, at: number): void;
  save(state: StateColumn, at: number, out: StateWriter): void;
  /** Into a row that has not begun. */
  restore(state: StateColumn, at: number, from: StateReader): void;
  /** Memory held outside of the columns. */
  readonly bytes: number;
}

/** The set for a window's declaration. */
export function aggregateSet(specs: readonly AggregateSpec[]): AggregateSet {
  if (specs.length > 0) throw new Error(`unknown aggregate ${specs[0].kind}`);
  return PLAIN;
}

/** Count, sum, min, max, avg, first and last, which every window has. */
const PLAIN: AggregateSet = {
  width: WINDOW_STATE_WIDTH,
  begin,
  push,
  merge,
  join: merge,
  result,
  release: () => {},
  save: (state, at, out) => {
    for (let i = 0; i < WINDOW_STATE_WIDTH; i++) out.f64(state[at + i]);
  },
  restore: (state, at, from) => {
    for (let i = 0; i < WINDOW_STATE_WIDTH; i++) state[at + i] = from.f64();
  },
  bytes: 0,
};

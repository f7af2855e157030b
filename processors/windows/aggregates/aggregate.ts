import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { WindowResult } from './window-state.ts';

/**
 * What an aggregate is. Its state is `width` doubles inside the window's row of a shared column, at `at`; so a reading
 * allocates nothing and a window's state is one or two cache lines. `push` is called once for each reading of the window, in
 * the order of the log, `begin` before the first; `merge` takes in another state.
 *
 * Those that every window has are modules of this shape, with their rows in window-state.ts. The further ones are classes, since they
 * have parameters and may hold memory outside of the column; to add one: a file, and a row in the table of aggregate-set.ts.
 */
export type StateColumn = Float64Array;

/** An aggregate that a window has when its declaration names it. AggregateSet says what the calls mean. */
export interface FurtherAggregate {
  readonly width: number;
  begin(state: StateColumn, at: number): void;
  /** `value` is finite. */
  push(state: StateColumn, at: number, value: number, tsMs: number): void;
  merge(state: StateColumn, at: number, from: StateColumn, fromAt: number): void;
  join(state: StateColumn, at: number, from: StateColumn, fromAt: number): void;
  /** Adds its results by name; what is not defined for these readings is left out. `base` has the same readings. */
  results(state: StateColumn, at: number, base: WindowResult, into: Map<string, number>): void;
  release(state: StateColumn, at: number): void;
  save(state: StateColumn, at: number, out: StateWriter): void;
  restore(state: StateColumn, at: number, from: StateReader): void;
}

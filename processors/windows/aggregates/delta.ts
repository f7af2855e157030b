import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { FurtherAggregate, StateColumn } from './aggregate.ts';
import * as first from './first.ts';
import * as last from './last.ts';
import type { WindowResult } from './window-state.ts';

/** last − first in order of time; of a group, the sum of what each series has. 0 for a single reading. */
export class Delta implements FurtherAggregate {
  readonly width = JOINED + 1;

  begin(state: StateColumn, at: number): void {
    first.begin(state, at + FIRST);
    last.begin(state, at + LAST);
    state[at + JOINED] = 0;
  }

  push(state: StateColumn, at: number, value: number, tsMs: number): void {
    first.push(state, at + FIRST, value, tsMs);
    last.push(state, at + LAST, value, tsMs);
  }

  merge(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    first.merge(state, at + FIRST, from, fromAt + FIRST);
    last.merge(state, at + LAST, from, fromAt + LAST);
    state[at + JOINED] += from[fromAt + JOINED];
  }

  join(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    state[at + JOINED] += this.#of(from, fromAt);
  }

  results(state: StateColumn, at: number, _base: WindowResult, into: Map<string, number>): void {
    into.set('delta', this.#of(state, at));
  }

  #of(state: StateColumn, at: number): number {
    const none = state[at + LAST + 1] === Number.NEGATIVE_INFINITY;
    const own = none ? 0 : last.result(state, at + LAST) - first.result(state, at + FIRST);
    return own + state[at + JOINED];
  }

  release(): void {}

  save(state: StateColumn, at: number, out: StateWriter): void {
    for (let i = 0; i < this.width; i++) out.f64(state[at + i]);
  }

  restore(state: StateColumn, at: number, from: StateReader): void {
    for (let i = 0; i < this.width; i++) state[at + i] = from.f64();
  }
}

const FIRST = 0;
const LAST = FIRST + first.width;
/** Sum of the series that were joined. */
const JOINED = LAST + last.width;

import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { FurtherAggregate, StateColumn } from './aggregate.ts';
import type { WindowResult } from './window-state.ts';

/**
 * How many readings are at or below each bound: `le_5` counts values ≤ 5, and `le_inf` all of them; cumulative, as Prometheus'
 * histograms are. The row holds a count for each bucket, [above the bound before, up to its own].
 */
export class Histogram implements FurtherAggregate {
  readonly width: number;
  readonly #bounds: Float64Array;
  readonly #names: readonly string[];

  /** `bounds` ascend. */
  constructor(bounds: readonly number[]) {
    this.#bounds = Float64Array.from(bounds);
    this.#names = [...bounds.map((bound) => `le_${bound}`), 'le_inf'];
    this.width = bounds.length + 1;
  }

  begin(state: StateColumn, at: number): void {
    state.fill(0, at, at + this.width);
  }

  push(state: StateColumn, at: number, value: number): void {
    const bounds = this.#bounds;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (value <= bounds[middle]) high = middle;
      else low = middle + 1;
    }
    state[at + low]++;
  }

  merge(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    for (let i = 0; i < this.width; i++) state[at + i] += from[fromAt + i];
  }

  join(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    this.merge(state, at, from, fromAt);
  }

  results(state: StateColumn, at: number, _base: WindowResult, into: Map<string, number>): void {
    let sum = 0;
    for (let i = 0; i < this.width; i++) {
      sum += state[at + i];
      into.set(this.#names[i], sum);
    }
  }

  release(): void {}

  save(state: StateColumn, at: number, out: StateWriter): void {
    for (let i = 0; i < this.width; i++) out.varint(state[at + i]);
  }

  restore(state: StateColumn, at: number, from: StateReader): void {
    for (let i = 0; i < this.width; i++) state[at + i] = from.varint();
  }
}

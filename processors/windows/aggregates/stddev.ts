import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { FurtherAggregate, StateColumn } from './aggregate.ts';
import type { WindowResult } from './window-state.ts';

/**
 * Sample standard deviation: sqrt(Σ(x − mean)² / (n − 1)), as `stddevSamp` of SQL; none for a single reading. By Welford's update, which
 * does not cancel where values are large and close to one another, and Chan's formula for the union of two parts.
 */
export class Stddev implements FurtherAggregate {
  readonly width = 3;

  begin(state: StateColumn, at: number): void {
    state[at + COUNT] = 0;
    state[at + MEAN] = 0;
    state[at + SQUARES] = 0;
  }

  push(state: StateColumn, at: number, value: number): void {
    const n = ++state[at + COUNT];
    const delta = value - state[at + MEAN];
    state[at + MEAN] += delta / n;
    state[at + SQUARES] += delta * (value - state[at + MEAN]);
  }

  merge(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    const n = state[at + COUNT];
    const m = from[fromAt + COUNT];
    if (m === 0) return;
    const delta = from[fromAt + MEAN] - state[at + MEAN];
    state[at + COUNT] = n + m;
    state[at + MEAN] += (delta * m) / (n + m);
    state[at + SQUARES] += from[fromAt + SQUARES] + delta * delta * ((n * m) / (n + m));
  }

  join(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    this.merge(state, at, from, fromAt);
  }

  results(state: StateColumn, at: number, _base: WindowResult, into: Map<string, number>): void {
    const n = state[at + COUNT];
    if (n > 1) into.set('stddev', Math.sqrt(state[at + SQUARES] / (n - 1)));
  }

  release(): void {}

  save(state: StateColumn, at: number, out: StateWriter): void {
    for (let i = 0; i < this.width; i++) out.f64(state[at + i]);
  }

  restore(state: StateColumn, at: number, from: StateReader): void {
    for (let i = 0; i < this.width; i++) state[at + i] = from.f64();
  }
}

const COUNT = 0;
const MEAN = 1;
/** Σ(x − mean)². */
const SQUARES = 2;

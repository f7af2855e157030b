import type { StateColumn } from './aggregate.ts';

/** The value with the largest ts; of equal ts the first that arrived. Two doubles: value, ts. */
export const width = 2;

export function begin(state: StateColumn, at: number): void {
  state[at + 1] = Number.NEGATIVE_INFINITY;
}

export function push(state: StateColumn, at: number, value: number, tsMs: number): void {
  if (tsMs > state[at + 1]) {
    state[at] = value;
    state[at + 1] = tsMs;
  }
}

export function merge(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
  push(state, at, from[fromAt], from[fromAt + 1]);
}

export function result(state: StateColumn, at: number): number {
  return state[at];
}

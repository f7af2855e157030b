import type { StateColumn } from './aggregate.ts';

/** Readings of the window: one double, whole numbers up to 2^53. */
export const width = 1;

export function begin(state: StateColumn, at: number): void {
  state[at] = 0;
}

export function push(state: StateColumn, at: number): void {
  state[at]++;
}

export function merge(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
  state[at] += from[fromAt];
}

export function result(state: StateColumn, at: number): number {
  return state[at];
}

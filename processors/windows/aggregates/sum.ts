import type { StateColumn } from './aggregate.ts';

/** Plain sum in the order of the log, so that a replay rounds in the same way. */
export const width = 1;

export function begin(state: StateColumn, at: number): void {
  state[at] = 0;
}

export function push(state: StateColumn, at: number, value: number): void {
  state[at] += value;
}

export function merge(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
  state[at] += from[fromAt];
}

export function result(state: StateColumn, at: number): number {
  return state[at];
}

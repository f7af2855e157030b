import type { StateColumn } from './aggregate.ts';

export const width = 1;

export function begin(state: StateColumn, at: number): void {
  state[at] = Number.NEGATIVE_INFINITY;
}

export function push(state: StateColumn, at: number, value: number): void {
  if (value > state[at]) state[at] = value;
}

export function merge(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
  push(state, at, from[fromAt]);
}

export function result(state: StateColumn, at: number): number {
  return state[at];
}

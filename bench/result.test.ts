import { describe, expect, it } from 'vitest';
import { medianBy } from './result.ts';

describe('the median of rounds', () => {
  it.each([
    [[3], 3],
    [[5, 1, 3], 3],
    [[4, 1, 2, 3], 3],
  ])('of %j is %i: of an even number the worse one in the middle', (values, expected) => {
    const rounds = values.map((p99Ms) => ({ p99Ms }));
    expect(medianBy(rounds, ({ p99Ms }) => p99Ms)).toEqual({ p99Ms: expected });
    expect(rounds.map(({ p99Ms }) => p99Ms)).toEqual(values);
  });
});

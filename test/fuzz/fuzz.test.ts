import { describe, expect, it } from 'vitest';
import { fuzzCodecs } from './codec-fuzz.ts';
import { fuzzDoor } from './door-fuzz.ts';

/** Fixed seeds; `npm run fuzz -- --minutes M --seed S` goes on. */
describe('whatever comes', () => {
  it.each([1, 2, 3])(
    'the door acknowledges only what is on the log, and its neighbour notices nothing (seed %i)',
    async (seed) => {
      const result = await fuzzDoor(seed, 40);
      expect(result.problems).toEqual([]);
      expect(result.acksChecked).toBeGreaterThan(50);
    },
  );

  it.each([1, 2])('readers of bytes give an answer or an error of ours (seed %i)', (seed) => {
    expect(fuzzCodecs(seed, 1500).inputs).toBe(21_000);
  });
});

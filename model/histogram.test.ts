import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Histogram } from './histogram.ts';

it('counts every value at or below each bound, as a plain count over all values does', () => {
  const bounds = [0.001, 0.01, 0.1, 1];
  const value = fc.oneof(fc.constantFrom(...bounds), fc.double({ min: -1, max: 5, noNaN: true }));
  fc.assert(
    fc.property(fc.array(fc.tuple(value, fc.integer({ min: 0, max: 5 }))), (adds) => {
      const histogram = new Histogram(bounds);
      for (const [v, times] of adds) histogram.add(v, times);
      const all = adds.flatMap(([v, times]) => new Array<number>(times).fill(Math.max(0, v)));
      const found = histogram.snapshot();
      expect(found.counts).toEqual(bounds.map((bound) => all.filter((v) => v <= bound).length));
      expect(found.count).toBe(all.length);
      expect(found.sum).toBeCloseTo(
        all.reduce((a, b) => a + b, 0),
        6,
      );
    }),
  );
});

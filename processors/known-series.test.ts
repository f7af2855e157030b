import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KnownSeries } from './known-series.ts';

describe('KnownSeries', () => {
  it('gives back what it was given last, whatever it was', () => {
    const run = fc
      .tuple(fc.nat(1e9), fc.integer({ min: 1, max: 200 }))
      .map(([base, n]) => Array.from({ length: n }, (_, i) => base + i));
    const any = fc.array(fc.integer({ min: -1, max: 1e9 }), { maxLength: 100 });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(600), fc.oneof(run, any)), { maxLength: 60 }), (steps) => {
        const known = new KnownSeries();
        const expected = new Map<number, number[]>();
        for (const [device, found] of steps) {
          known.set(device, Int32Array.from(found));
          expected.set(device, found);
          for (const [d, series] of expected)
            expect([...known.of(d, series.length).subarray(0, series.length)]).toEqual(series);
        }
      }),
    );
  });
});

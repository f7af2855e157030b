import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ticksTo, toSvg } from './plots.ts';

const plot = {
  title: 'Latency & <load>',
  x: 'messages/s',
  y: 'ms',
  lines: [
    { name: 'p50', points: [1, 2, 3].map((x) => ({ x: x * 1e5, y: x })) },
    { name: 'p99', points: [1, 2, 3].map((x) => ({ x: x * 1e5, y: x * x * 4 })) },
    { name: 'nothing', points: [] },
  ],
};

describe('plots', () => {
  it('stand within their frame, with text escaped and colours for light and dark', () => {
    const svg = toSvg(plot);
    expect(svg).toContain('Latency &#38; &#60;load&#62;');
    expect(svg).toContain('prefers-color-scheme:dark');
    const places = [...svg.matchAll(/<circle class="d(\d)" cx="([\d.]+)" cy="([\d.]+)"/g)].map((m) =>
      m.slice(1).map(Number),
    );
    expect(places).toHaveLength(6);
    for (const [, x, y] of places) {
      expect(x).toBeGreaterThanOrEqual(64);
      expect(x).toBeLessThanOrEqual(720 - 150);
      expect(y).toBeGreaterThanOrEqual(44);
      expect(y).toBeLessThanOrEqual(380 - 48);
    }
    // A larger value is higher up, and the same distance apart for the same difference.
    const p50 = places.filter(([line]) => line === 0).map(([, , y]) => y);
    expect(p50[0] - p50[1]).toBeCloseTo(p50[1] - p50[2], 0);
    expect(p50[0]).toBeGreaterThan(p50[2]);
  });

  it('say so when there is nothing', () => {
    expect(() => toSvg({ ...plot, lines: [] })).toThrow('nothing to show');
  });

  it('have a few round steps from 0 that hold every value', () => {
    expect(ticksTo(0)).toHaveLength(6);
    expect(ticksTo(430_000)).toEqual([0, 1e5, 2e5, 3e5, 4e5, 5e5]);
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 1e12, noNaN: true }), (max) => {
        const ticks = ticksTo(max);
        expect(ticks[0]).toBe(0);
        expect(ticks[ticks.length - 1]).toBeGreaterThanOrEqual(max * (1 - 1e-8));
        expect(ticks[ticks.length - 2]).toBeLessThan(max);
        expect(ticks.length).toBeGreaterThanOrEqual(3);
        expect(ticks.length).toBeLessThanOrEqual(7);
      }),
    );
  });
});

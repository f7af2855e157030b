import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ENGINE_CASES } from './engine/cases.ts';
import { fitted, growthOf, growthTable } from './growth.ts';

const saves = {
  ...{ bytesPerSeries: 60, wholeMs: 1, wholePauseMs: 1, changeBytesPerSeries: 1, changeMs: 1, changePauseMs: 1 },
  restoreMs: 1,
};
const figures = ENGINE_CASES.map(({ name, alarms, windows, devices }) => ({
  name,
  series: devices * 3,
  cpuNsPerReading: 100 + 30 * windows.length + 4 * alarms.length + 20 * Math.max(0, Math.log10((devices * 3) / 1000)),
  readings: 1000,
  rollups: 10,
  bytesPerSeries: 200,
  saves,
}));

describe('the growth of costs', () => {
  it('finds the cases of each side among those that are measured, and the line through them', () => {
    const [rules, windows, series] = growthOf(figures);
    expect(rules.each).toBeCloseTo(4, 6);
    expect(windows.each).toBeCloseTo(30, 6);
    expect(series.each).toBeCloseTo(20, 1);
    for (const { fit } of [rules, windows, series]) expect(fit).toBeCloseTo(1, 3);
    expect(growthTable(figures)).toContain('| a tumbling window');
  });

  it('says nothing of what was not measured', () => {
    expect(growthOf(figures.slice(0, 2))).toEqual([]);
    expect(growthTable([])).not.toContain('R²');
  });

  it('is the line that leaves the least squares', () => {
    const some = fc.array(fc.record({ x: fc.integer({ min: 0, max: 100 }), y: fc.integer({ min: 0, max: 1000 }) }), {
      minLength: 2,
      maxLength: 12,
    });
    const off = fc.double({ min: -5, max: 5, noNaN: true });
    fc.assert(
      fc.property(some, off, off, (points, a, b) => {
        const { base, each } = fitted(points);
        const left = (c: number, k: number) => points.reduce((sum, p) => sum + (p.y - c - k * p.x) ** 2, 0);
        expect(left(base, each)).toBeLessThanOrEqual(left(base + a, each + b) + 1e-6);
      }),
    );
  });
});

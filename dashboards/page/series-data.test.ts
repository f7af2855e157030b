import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LiveReading, Series } from './api.ts';
import { SeriesData } from './series-data.ts';

/** Readings with offsets in the order of their arrival, times in any order. */
const readings = fc
  .array(fc.record({ t: fc.integer({ min: 0, max: 60_000 }), v: fc.integer({ min: -50, max: 50 }) }), { maxLength: 60 })
  .map((list) => list.map((r, o): LiveReading => ({ m: 'x', t: r.t, v: r.v, o })));

function rawSeries(list: LiveReading[]): Series {
  const byTime = new Map(list.map((r) => [r.t, r]));
  const sorted = [...byTime.values()].sort((a, b) => a.t - b.t);
  return {
    metric: 'x',
    throughOffset: Math.max(-1, ...list.map((r) => r.o)),
    t: sorted.map((r) => r.t),
    v: sorted.map((r) => r.v),
  };
}

function bucketSeries(list: LiveReading[], stepMs: number): Series {
  const buckets = new Map<number, number[]>();
  for (const r of list) {
    const start = Math.floor(r.t / stepMs) * stepMs;
    buckets.set(start, [...(buckets.get(start) ?? []), r.v]);
  }
  const t = [...buckets.keys()].sort((a, b) => a - b);
  const of = (start: number) => buckets.get(start)!;
  return {
    metric: 'x',
    throughOffset: Math.max(-1, ...list.map((r) => r.o)),
    t,
    v: t.map((s) => of(s).reduce((a, b) => a + b, 0) / of(s).length),
    min: t.map((s) => Math.min(...of(s))),
    max: t.map((s) => Math.max(...of(s))),
    count: t.map((s) => of(s).length),
  };
}

/** The points alone, without the breaks. */
function points(data: SeriesData): (number | null)[][] {
  const { x, v, min, max } = data.columns();
  return x.map((at, i) => [Math.round(at * 1000), v[i], min[i], max[i]]).filter((p) => p[1] !== null);
}

describe('history and live readings joined', () => {
  it('give, raw, what the history of it all would give, however they overlap', () => {
    fc.assert(
      fc.property(readings, fc.nat(60), fc.nat(60), (all, a, b) => {
        const [liveFrom, historyTo] = a < b ? [a, b] : [b, a];
        const data = new SeriesData(rawSeries(all.slice(0, historyTo)), 0, 60_001);
        for (const r of all.slice(liveFrom)) data.apply(r);
        expect(points(data)).toEqual(points(new SeriesData(rawSeries(all), 0, 60_001)));
      }),
    );
  });

  it('give, in buckets, each reading once, however they overlap', () => {
    fc.assert(
      fc.property(readings, fc.nat(60), fc.nat(60), (all, a, b) => {
        const [liveFrom, historyTo] = a < b ? [a, b] : [b, a];
        const data = new SeriesData(bucketSeries(all.slice(0, historyTo), 5_000), 5_000, 60_001);
        for (const r of all.slice(liveFrom)) data.apply(r);
        const want = points(new SeriesData(bucketSeries(all, 5_000), 5_000, 60_001));
        const got = points(data);
        expect(got.map((p) => [p[0], p[2], p[3]])).toEqual(want.map((p) => [p[0], p[2], p[3]]));
        for (const [i, p] of got.entries()) expect(p[1]).toBeCloseTo(want[i][1] as number, 9);
      }),
    );
  });

  it('take a reading behind the end of the history, whatever its offset', () => {
    const data = new SeriesData(bucketSeries([{ m: 'x', t: 1_000, v: 1, o: 9 }], 5_000), 5_000, 10_000);
    data.apply({ m: 'x', t: 12_000, v: 7, o: 4 });
    data.apply({ m: 'x', t: 2_000, v: 5, o: 9 });
    expect(points(data)).toEqual([
      [2_500, 1, 1, 1],
      [12_500, 7, 7, 7],
    ]);
  });

  it('break the line where readings are missing', () => {
    const t = [0, 1_000, 2_000, 3_000, 60_000, 61_000];
    const { x, v } = new SeriesData({ metric: 'x', throughOffset: 0, t, v: t.map(() => 1) }, 0, 70_000).columns();
    expect(v).toEqual([1, 1, 1, 1, null, 1, 1]);
    expect(x).toEqual([...x].sort((a, b) => a - b));
  });

  it('drop what has left the range', () => {
    const data = new SeriesData(rawSeries([10, 20, 30].map((t, o) => ({ m: 'x', t, v: t, o }))), 0, 100);
    data.trim(20);
    expect(points(data).map((p) => p[0])).toEqual([20, 30]);
    expect(data.last()).toEqual({ tMs: 30, value: 30 });
  });
});

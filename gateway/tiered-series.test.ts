import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { refreshTier } from '../store/tiers.ts';
import { openParts, type Parts } from './gateway.fixture.ts';
import { readSeries, type SeriesAnswer } from './series.ts';
import { StoreGate } from './store-gate.ts';
import { type ChartSources, planFor } from './tiered-series.ts';

const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
const T0 = Date.UTC(2024, 4, 17);
const ALL = { metrics: [], devices: [] };
const SOURCES: ChartSources = {
  rollups: [
    { ...ALL, name: '1m', sizeMs: MINUTE, keepMs: 10 * DAY },
    { ...ALL, name: '1d', sizeMs: DAY, keepMs: null },
    { ...ALL, name: '1h', sizeMs: HOUR, keepMs: 90 * DAY },
    { ...ALL, name: '7m', sizeMs: 7 * MINUTE, keepMs: null, metrics: ['rare'] },
  ],
  readingsKeepMs: DAY,
};
const nowMs = T0 + 3 * DAY + 90 * MINUTE + 20_000;

describe('what a chart is drawn from', () => {
  const plan = (rangeMs: number, stepMs: number, sources = SOURCES, metric = 't') =>
    planFor(
      sources,
      { device: 'd', metrics: [metric], fromMs: nowMs - rangeMs, toMs: nowMs, points: 100 },
      stepMs,
      nowMs,
    );
  const names = (p: ReturnType<typeof plan>) => [p?.stepMs, ...(p?.sources ?? []).map((s) => s.name)];

  it('is the coarsest that divides the step and is kept for so long, and the finer for its newest end', () => {
    expect(names(plan(HOUR, 30_000))).toEqual([undefined]);
    expect(names(plan(5 * HOUR, 5 * MINUTE))).toEqual([5 * MINUTE, '1m']);
    expect(names(plan(5 * DAY, 2 * HOUR))).toEqual([2 * HOUR, '1h', '1m']);
    expect(names(plan(400 * DAY, 7 * DAY))).toEqual([7 * DAY, '1d', '1h', '1m']);
    // Hours and minutes of then are gone: the days are what is left, in steps of whole days.
    expect(names(plan(400 * DAY, 6 * HOUR))).toEqual([DAY, '1d']);
    expect(names(plan(400 * DAY, 6 * HOUR, { ...SOURCES, readingsKeepMs: null }))).toEqual([undefined]);
    expect(names(plan(5 * HOUR, 7 * MINUTE, SOURCES, 'rare'))).toEqual([7 * MINUTE, '7m', '1m']);
  });
});

describe('series from tiers', () => {
  let parts: Parts;
  let gate: StoreGate;
  let readings: [number, number][];
  beforeAll(async () => {
    parts = await openParts();
    gate = new StoreGate(parts.reader, new ManualClock(nowMs));
    readings = [];
    // One reading each 20 s for three days and a bit; one silent metric that ended on the first day.
    for (let ts = T0; ts < nowMs; ts += 20_000) readings.push([ts, ((ts / 20_000) * 7919) % 1024]);
    const values = `SELECT 'd' AS device, 't' AS metric, fromUnixTimestamp64Milli(${T0} + 20000 * number) AS ts,
      (intDiv(${T0}, 20000) + number) * 7919 % 1024 AS value, '' AS text, ts AS received, 0, number, 0, 0, 0 FROM numbers(${readings.length})`;
    await parts.writer.command(
      `INSERT INTO readings (device, metric, ts, value, text, received, \`partition\`, \`offset\`, \`index\`, arrival, flags) ${values}`,
    );
    // What windows gave until now: the minute that is open has nothing yet, the day of now has but its first hour.
    await parts.writer.command(
      `INSERT INTO rollups (window, device, metric, start, end, count, sum, min, max, avg, first, last, revision, partition)
       SELECT '1m', device, metric, toStartOfMinute(ts) AS s, s + 60, count(), sum(value), min(value), max(value), avg(value), 0, 0, 1, 0
       FROM readings WHERE ts < fromUnixTimestamp64Milli(${nowMs - 20_000}) GROUP BY device, metric, s`,
    );
    await refreshTier(parts.writer, { name: '1h', from: '1m', sizeMs: HOUR, keepMs: null });
    await refreshTier(parts.writer, { name: '1d', from: '1h', sizeMs: DAY, keepMs: null });
    await parts.writer.command(
      "ALTER TABLE rollups UPDATE count = 1, sum = 0 WHERE (window = '1d' AND start >= {d:String}) OR (window = '1h' AND start >= {h:String}) SETTINGS mutations_sync = 1",
      { d: '2024-05-20 00:00:00', h: '2024-05-20 01:00:00' },
    );
  });
  afterAll(() => parts?.close());

  const ask = (fromMs: number, toMs: number, points: number): Promise<SeriesAnswer> =>
    readSeries(
      gate,
      { device: 'd', metrics: ['t'], fromMs, toMs, points },
      { ...SOURCES, readingsKeepMs: null },
      nowMs,
    );

  it.each([
    ['by the day', 14 * DAY, 10, ['1d', '1h', '1m', 'readings'], 7 * DAY],
    ['by hours', 3 * DAY, 24, ['1h', '1m', 'readings'], 4 * HOUR],
    ['by minutes', 2 * HOUR, 20, ['1m', 'readings'], 10 * MINUTE],
  ])('%s are what the readings say, up to the newest', async (_name, rangeMs, points, sources, stepMs) => {
    const fromMs = Math.ceil((nowMs - rangeMs) / stepMs) * stepMs;
    const answer = await ask(fromMs, nowMs, points);
    expect(answer).toMatchObject({ kind: 'buckets', stepMs, sources });
    const want = new Map<number, number[]>();
    for (const [ts, value] of readings) {
      if (ts < fromMs) continue;
      const start = Math.floor(ts / stepMs) * stepMs;
      want.set(start, [...(want.get(start) ?? []), value]);
    }
    const [{ t, v, min, max, count, throughOffset }] = answer.series;
    expect(t).toEqual([...want.keys()]);
    expect(count).toEqual([...want.values()].map((values) => values.length));
    expect(min).toEqual([...want.values()].map((values) => Math.min(...values)));
    expect(max).toEqual([...want.values()].map((values) => Math.max(...values)));
    for (const [i, values] of [...want.values()].entries())
      expect(v[i]).toBeCloseTo(values.reduce((a, b) => a + b) / values.length);
    expect(throughOffset).toBe(readings.length - 1);
  });

  it('give way to the readings where these are few, and where a metric has no rollups', async () => {
    expect(await ask(T0, T0 + 3 * MINUTE, 10)).toMatchObject({ kind: 'raw', sources: ['readings'] });
    const request = { device: 'd', metrics: ['t', 'none'], fromMs: T0, toMs: nowMs, points: 10 };
    expect(await readSeries(gate, request, SOURCES, nowMs)).toMatchObject({ sources: ['readings'] });
  });
});

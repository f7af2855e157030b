import { type StoreGate, wouldReadTooMuch } from './store-gate.ts';
import { type ChartSources, NO_SOURCES, planFor, readTiered } from './tiered-series.ts';

/**
 * Series of a chart. A range with few readings is given as it is; one with many in buckets of min, max, avg and count that
 * ClickHouse forms, so that what a browser gets is bounded by what it can draw.
 *
 * `throughOffset` says up to which offset of the device's partition the answer includes the metric: a live reading
 * (watch.ts) with a higher offset is not yet in it. The offsets of one device never go down, since a device keeps to one partition.
 */
export interface Series {
  metric: string;
  /** Highest log offset among the readings of the answer; −1 when there are none. */
  throughOffset: number;
  /** Times, ms, ascending: of the readings, or of the starts of the buckets. */
  t: number[];
  /** Values, or the averages of the buckets. */
  v: number[];
  /** Only of buckets. */
  min?: number[];
  max?: number[];
  count?: number[];
}

export interface SeriesAnswer {
  device: string;
  fromMs: number;
  toMs: number;
  /** 'raw': each reading once. 'buckets': each `stepMs` long, starting at multiples of it. */
  kind: 'raw' | 'buckets';
  stepMs: number;
  /** Whether a redelivery that is not yet merged away counts once (FINAL); true but for very large ranges. */
  exact: boolean;
  /** What answered, the coarsest first: names of windows and tiers, and `readings`. */
  sources: string[];
  series: Series[];
}

export interface SeriesRequest {
  device: string;
  metrics: string[];
  fromMs: number;
  toMs: number;
  /** About how many points are wanted for each metric. */
  points: number;
}

/** Rows that FINAL may look at within a page's patience. */
export const FINAL_ROWS_MAX = 4_000_000;
/** Of rows that conditions on the key rule out, the other columns are not read. FINAL looks at the rest before any other condition does. */
const KEY_FIRST = { optimize_move_to_prewhere_if_final: 1 };
/** Bucket lengths that divide what people read off a time axis. */
const STEPS_MS = [
  10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000,
  1_800_000, 3_600_000, 7_200_000, 14_400_000, 21_600_000, 43_200_000, 86_400_000, 604_800_000,
];

/** The shortest usual bucket with which the range has no more than `points` of them. */
export function stepFor(rangeMs: number, points: number): number {
  const least = rangeMs / points;
  return STEPS_MS.find((s) => s >= least) ?? Math.ceil(least / 604_800_000) * 604_800_000;
}

const WHERE = `device = {device:String} AND metric IN {metrics:Array(String)} AND text = ''
  AND ts >= fromUnixTimestamp64Milli({fromMs:Int64}) AND ts < fromUnixTimestamp64Milli({toMs:Int64})`;

/** Reads rollups where the steps are as long as theirs, and readings elsewhere. `nowMs` tells what is still kept. */
export async function readSeries(
  store: StoreGate,
  request: SeriesRequest,
  sources: ChartSources = NO_SOURCES,
  nowMs = 0,
): Promise<SeriesAnswer> {
  const { device, metrics, fromMs, toMs, points } = request;
  const plan = planFor(sources, request, stepFor(toMs - fromMs, points), nowMs);
  if (plan !== null) {
    const found = await readTiered(store, request, plan, sources, nowMs);
    // Few readings are better seen as they are, where they still are.
    const areKept = sources.readingsKeepMs === null || nowMs - fromMs <= sources.readingsKeepMs;
    if (found !== null && (!areKept || found.count > points * metrics.length * 2)) {
      const { series, used } = found;
      return { device, fromMs, toMs, kind: 'buckets', stepMs: plan.stepMs, exact: true, sources: used, series };
    }
  }
  return readReadings(store, request);
}

/**
 * Buckets tell how many readings there are, and are not much when there are few, so nothing is counted beforehand: large ranges, which
 * take longest, are read once.
 */
async function readReadings(store: StoreGate, request: SeriesRequest): Promise<SeriesAnswer> {
  const { device, metrics, fromMs, toMs, points } = request;
  const params = { device, metrics, fromMs, toMs };
  const stepMs = stepFor(toMs - fromMs, points);
  const { series, rows, exact } = await readBuckets(store, params, metrics, stepMs);
  const base = { device, fromMs, toMs, exact, sources: ['readings'] };
  if (rows > points * metrics.length * 2) return { ...base, kind: 'buckets', stepMs, series };
  return { ...base, kind: 'raw', stepMs: 0, series: await readRaw(store, exact, params, metrics, rows) };
}

async function readRaw(
  store: StoreGate,
  exact: boolean,
  params: Record<string, unknown>,
  metrics: string[],
  rows: number,
): Promise<Series[]> {
  const found = await store.query<{ m: string; t: number; v: number; o: number }>(
    `SELECT metric AS m, toUnixTimestamp64Milli(ts) AS t, value AS v, offset AS o
     FROM readings${exact ? ' FINAL' : ''} WHERE ${WHERE} ORDER BY m, t LIMIT {limit:UInt32}`,
    { ...params, limit: rows * 2 + 1000 },
  );
  const byMetric = new Map(metrics.map((m) => [m, empty(m)]));
  for (const row of found) {
    const series = byMetric.get(row.m);
    if (!series || row.v === null) continue;
    series.t.push(Number(row.t));
    series.v.push(Number(row.v));
    series.throughOffset = Math.max(series.throughOffset, Number(row.o));
  }
  return [...byMetric.values()];
}

interface BucketRow {
  m: string;
  t: number;
  lo: number;
  hi: number;
  v: number;
  n: number;
  o: number;
}

async function readBuckets(
  store: StoreGate,
  params: Record<string, unknown>,
  metrics: string[],
  stepMs: number,
): Promise<{ series: Series[]; rows: number; exact: boolean }> {
  const ask = (table: string, settings: Record<string, number>): Promise<BucketRow[]> =>
    store.query(
      `SELECT metric AS m, intDiv(toUnixTimestamp64Milli(ts), {stepMs:Int64}) * {stepMs:Int64} AS t,
              min(value) AS lo, max(value) AS hi, avg(value) AS v, count() AS n, max(offset) AS o
       FROM ${table} WHERE ${WHERE} GROUP BY m, t ORDER BY m, t`,
      { ...params, stepMs },
      settings,
    );
  let exact = true;
  const found = await ask('readings FINAL', { max_rows_to_read: FINAL_ROWS_MAX, ...KEY_FIRST }).catch(
    (error: unknown) => {
      if (!wouldReadTooMuch(error)) throw error;
      exact = false;
      return ask('readings', {});
    },
  );
  let rows = 0;
  const byMetric = new Map(metrics.map((m) => [m, { ...empty(m), min: [], max: [], count: [] } as Required<Series>]));
  for (const row of found) {
    const series = byMetric.get(row.m);
    if (!series) continue;
    series.t.push(Number(row.t));
    series.v.push(Number(row.v));
    series.min.push(Number(row.lo));
    series.max.push(Number(row.hi));
    series.count.push(Number(row.n));
    series.throughOffset = Math.max(series.throughOffset, Number(row.o));
    rows += Number(row.n);
  }
  return { series: [...byMetric.values()], rows, exact };
}

function empty(metric: string): Series {
  return { metric, throughOffset: -1, t: [], v: [] };
}

import { matcher } from '../model/pattern.ts';
import type { Series, SeriesRequest } from './series.ts';
import type { StoreGate } from './store-gate.ts';

/** Rollups that a chart may be drawn from: of tumbling windows by device that take every reading of their metrics, and of tiers. */
export interface ChartSource {
  name: string;
  sizeMs: number;
  /** How long its rows are kept; null for ever. */
  keepMs: number | null;
  /** Names or patterns; empty means all. */
  metrics: readonly string[];
  devices: readonly string[];
}

/** What the gateway knows about what the store holds. */
export interface ChartSources {
  /** In any order. */
  rollups: readonly ChartSource[];
  readingsKeepMs: number | null;
}

export const NO_SOURCES: ChartSources = { rollups: [], readingsKeepMs: null };

/** How a range is read from rollups: with which step, and from which of them, the coarsest first. */
export interface Plan {
  stepMs: number;
  sources: readonly ChartSource[];
}

/**
 * The rollups that can show a range with this step, or null when it is a matter of readings. Rollups help when a step holds at least
 * one of their periods; and where the readings of the range are deleted already, the finest that are still kept show it.
 */
export function planFor(
  { rollups, readingsKeepMs }: ChartSources,
  request: SeriesRequest,
  stepMs: number,
  nowMs: number,
): Plan | null {
  const { device, metrics, fromMs } = request;
  const able = rollups
    .filter((s) => matcher(s.devices)(device) && metrics.every(matcher(s.metrics)))
    .filter(({ keepMs }) => covers(keepMs, fromMs, nowMs))
    .sort((a, b) => b.sizeMs - a.sizeMs);
  const fitting = able.filter(({ sizeMs }) => stepMs % sizeMs === 0);
  if (fitting.length > 0) return { stepMs, sources: nested(rollupsBelow(fitting, rollups, device, metrics)) };
  const finest = able[able.length - 1];
  if (finest === undefined || covers(readingsKeepMs, fromMs, nowMs)) return null;
  return { stepMs: finest.sizeMs * Math.ceil(stepMs / finest.sizeMs), sources: [finest] };
}

function covers(keepMs: number | null, fromMs: number, nowMs: number): boolean {
  return keepMs === null || nowMs - fromMs <= keepMs;
}

/** The coarsest fitting one, and all finer ones, which fill in what it does not have yet, though they are not kept as long. */
function rollupsBelow(
  fitting: readonly ChartSource[],
  rollups: readonly ChartSource[],
  device: string,
  metrics: readonly string[],
): ChartSource[] {
  const [coarsest] = fitting;
  const finer = rollups.filter(
    (s) => s.sizeMs < coarsest.sizeMs && matcher(s.devices)(device) && metrics.every(matcher(s.metrics)),
  );
  return [coarsest, ...finer.sort((a, b) => b.sizeMs - a.sizeMs)];
}

/** Only those whose periods divide those before, so that one begins where the other ends. */
function nested(sources: readonly ChartSource[]): ChartSource[] {
  const kept: ChartSource[] = [];
  for (const source of sources) {
    const before = kept[kept.length - 1];
    if (before === undefined || before.sizeMs % source.sizeMs === 0) kept.push(source);
  }
  return kept;
}

interface Bucket {
  lo: number;
  hi: number;
  total: number;
  n: number;
}

/**
 * Buckets from rollups, the newest end from readings. The last period of each source may still be filling (and a tier is some
 * minutes behind), so from there on the next finer source is asked, and in the end the readings themselves:
 *
 *     1d ──────────────────▶│1h ────▶│1m ─▶│readings ▶
 *
 * A bucket at the border of the range is whole: it holds what its first and last periods hold. null when a metric has no rollups.
 */
export async function readTiered(
  store: StoreGate,
  request: SeriesRequest,
  plan: Plan,
  sources: ChartSources,
  nowMs: number,
): Promise<{ series: Series[]; count: number; used: string[] } | null> {
  const { device, metrics, fromMs, toMs } = request;
  const buckets = metrics.map(() => new Map<number, Bucket>());
  const through = metrics.map(() => -1);
  const used: string[] = [];
  const names = plan.sources.map(({ name }) => name);
  const lasts = await store.query<{ w: string; m: string; last: number }>(
    `SELECT window AS w, metric AS m, toUnixTimestamp64Milli(max(start)) AS last FROM rollups
     WHERE window IN {names:Array(String)} AND device = {device:String} AND metric IN {metrics:Array(String)}
       AND start < fromUnixTimestamp64Milli({toMs:Int64}) AND phase != 'early' AND count > 0 GROUP BY w, m`,
    { names, device, metrics, toMs },
  );
  if (metrics.some((metric) => !lasts.some(({ m }) => m === metric))) return null;
  const take = (rows: readonly Row[], from: string): void => {
    if (rows.length > 0) used.push(from);
    for (const row of rows) {
      const i = metrics.indexOf(row.m);
      if (i < 0) continue;
      add(buckets[i], Number(row.t), row);
      if (row.o !== undefined) through[i] = Math.max(through[i], Number(row.o));
    }
  };
  let begin = metrics.map(() => fromMs);
  for (const [k, { name, sizeMs, keepMs }] of plan.sources.entries()) {
    const next = plan.sources[k + 1];
    const nextKeepMs = next === undefined ? sources.readingsKeepMs : next.keepMs;
    const end = metrics.map((metric, i) => {
      const last = lasts.find((row) => row.w === name && row.m === metric);
      if (last === undefined || !covers(keepMs, begin[i], nowMs)) return begin[i];
      const lastMs = Number(last.last);
      return Math.max(begin[i], covers(nextKeepMs, lastMs, nowMs) ? lastMs : toMs);
    });
    // The first period of the range may begin before it.
    const first = begin.map((b) => (b === fromMs ? Math.floor(fromMs / sizeMs) * sizeMs : b));
    if (end.some((e, i) => e > first[i])) {
      take(await readSource(store, { device, metrics, name, first, end, stepMs: plan.stepMs }), name);
    }
    begin = end;
  }
  if (begin.some((b) => b < toMs)) {
    take(await readTail(store, { device, metrics, first: begin, toMs, stepMs: plan.stepMs }), 'readings');
  }
  let count = 0;
  const series = metrics.map((metric, i): Series => {
    const out = { metric, throughOffset: through[i], t: [], v: [], min: [], max: [], count: [] } as Required<Series>;
    for (const [t, { lo, hi, total, n }] of [...buckets[i].entries()].sort(([a], [b]) => a - b)) {
      out.t.push(t);
      out.v.push(total / n);
      out.min.push(lo);
      out.max.push(hi);
      out.count.push(n);
      count += n;
    }
    return out;
  });
  return { series, count, used };
}

interface Row {
  m: string;
  t: number;
  lo: number;
  hi: number;
  total: number;
  n: number;
  o?: number;
}

function add(buckets: Map<number, Bucket>, t: number, row: Row): void {
  const { lo, hi, total } = { lo: Number(row.lo), hi: Number(row.hi), total: Number(row.total) };
  const bucket = buckets.get(t);
  if (bucket === undefined) {
    buckets.set(t, { lo, hi, total, n: Number(row.n) });
    return;
  }
  bucket.lo = Math.min(bucket.lo, lo);
  bucket.hi = Math.max(bucket.hi, hi);
  bucket.total += total;
  bucket.n += Number(row.n);
}

const WHICH = 'indexOf({metrics:Array(String)}, metric)';
const bucketOf = (column: string) => `intDiv(toUnixTimestamp64Milli(${column}), {stepMs:Int64}) * {stepMs:Int64}`;

function readSource(
  store: StoreGate,
  ask: { device: string; metrics: string[]; name: string; first: number[]; end: number[]; stepMs: number },
): Promise<Row[]> {
  return store.query<Row>(
    `SELECT metric AS m, ${bucketOf('start')} AS t, min(r.min) AS lo, max(r.max) AS hi, sum(r.sum) AS total, sum(r.count) AS n
     FROM rollups AS r FINAL
     WHERE window = {name:String} AND device = {device:String} AND metric IN {metrics:Array(String)}
       AND start >= fromUnixTimestamp64Milli({least:Int64}) AND start < fromUnixTimestamp64Milli({most:Int64})
       AND toUnixTimestamp64Milli(start) >= {first:Array(Int64)}[${WHICH}]
       AND toUnixTimestamp64Milli(start) < {end:Array(Int64)}[${WHICH}]
       AND phase != 'early' AND r.count > 0
     GROUP BY m, t`,
    { ...ask, least: Math.min(...ask.first), most: Math.max(...ask.end) },
  );
}

/** Text has no place in a chart; it is not a number in `value`. */
function readTail(
  store: StoreGate,
  ask: { device: string; metrics: string[]; first: number[]; toMs: number; stepMs: number },
): Promise<Row[]> {
  return store.query<Row>(
    `SELECT metric AS m, ${bucketOf('ts')} AS t, min(value) AS lo, max(value) AS hi, sum(value) AS total, count() AS n,
            max(offset) AS o
     FROM readings FINAL
     WHERE device = {device:String} AND metric IN {metrics:Array(String)} AND text = ''
       AND ts >= fromUnixTimestamp64Milli({least:Int64}) AND ts < fromUnixTimestamp64Milli({toMs:Int64})
       AND toUnixTimestamp64Milli(ts) >= {first:Array(Int64)}[${WHICH}]
     GROUP BY m, t`,
    { ...ask, least: Math.min(...ask.first) },
  );
}

import type { RollupPhase } from '../model/rollup.ts';
import type { StoreGate } from './store-gate.ts';

/** Everything that the gateway asks of the store, but for the series of a chart (series.ts). Times are epoch milliseconds. */

const ms = (column: string) => `toUnixTimestamp64Milli(${column})`;

export interface MetricRow {
  metric: string;
  /** Newest by event time. */
  tsMs: number;
  receivedMs: number;
  /** null when the metric's newest value is text. */
  value: number | null;
  text: string;
}

/** The newest value of each metric of a device. Empty when the device is not known. */
export async function deviceMetrics(store: StoreGate, device: string, limit: number): Promise<MetricRow[]> {
  const rows = await store.query<MetricRow>(
    `SELECT metric, ${ms('max(ts)')} AS tsMs, ${ms('argMax(received, ts)')} AS receivedMs,
            argMax(value, ts) AS value, argMax(text, ts) AS text
     FROM readings WHERE device = {device:String}
     GROUP BY metric ORDER BY metric LIMIT {limit:UInt32}`,
    { device, limit },
  );
  return rows.map((r) => ({
    metric: r.metric,
    tsMs: Number(r.tsMs),
    receivedMs: Number(r.receivedMs),
    value: r.text === '' ? finite(r.value) : null,
    text: r.text,
  }));
}

export interface RollupRow {
  window: string;
  metric: string;
  startMs: number;
  endMs: number;
  count: number;
  sum: number;
  min: number;
  max: number;
  avg: number;
  first: number;
  last: number;
  revision: number;
  phase: RollupPhase;
  /** Further aggregates by name (docs/aggregates.md); empty when the window has none. */
  extra: Record<string, number>;
  /** What the window of a state lasted in; '' for all others. */
  label: string;
}

/**
 * Rollups, the newest first; with `newest` only the newest one of each window and metric. Each by its newest revision; what was taken
 * back (count 0) is left out.
 */
export async function listRollups(
  store: StoreGate,
  options: {
    device: string;
    metric: string;
    window: string;
    fromMs: number;
    toMs: number;
    newest: boolean;
    limit: number;
  },
): Promise<RollupRow[]> {
  const rows = await store.query<RollupRow>(
    `SELECT window, metric, ${ms('start')} AS startMs, ${ms('end')} AS endMs,
            count, sum, min, max, avg, first, last, revision, phase, extra, label
     FROM rollups FINAL
     WHERE device = {device:String} AND count > 0
       AND start >= fromUnixTimestamp64Milli({fromMs:Int64}) AND start < fromUnixTimestamp64Milli({toMs:Int64})
       ${options.metric === '' ? '' : 'AND metric = {metric:String}'}
       ${options.window === '' ? '' : 'AND window = {window:String}'}
     ORDER BY startMs DESC, window, metric ${options.newest ? 'LIMIT 1 BY window, metric' : ''} LIMIT {limit:UInt32}`,
    options,
  );
  return rows.map((r) => ({ ...r, startMs: Number(r.startMs), endMs: Number(r.endMs), count: Number(r.count) }));
}

export interface QuarantineRow {
  device: string;
  topic: string;
  receivedMs: number;
  reason: string;
  /** The head of the payload as text; bytes that are not UTF-8 are shown as U+FFFD. */
  payload: string;
  payloadBytes: number;
}

/** The newest quarantined messages, each position of the log once, with the beginning of their payload. */
export async function listQuarantine(store: StoreGate, limit: number): Promise<QuarantineRow[]> {
  const rows = await store.query<Omit<QuarantineRow, 'payload'> & { head: string }>(
    `SELECT device, topic, ${ms('received')} AS receivedMs, reason,
            toValidUTF8(substring(payload, 1, 256)) AS head, length(payload) AS payloadBytes
     FROM quarantine
     ORDER BY received DESC LIMIT 1 BY \`partition\`, \`offset\`, \`index\` LIMIT {limit:UInt32}`,
    { limit },
  );
  return rows.map(({ head, ...r }) => ({
    ...r,
    receivedMs: Number(r.receivedMs),
    payload: head,
    payloadBytes: Number(r.payloadBytes),
  }));
}

export interface FleetCounts {
  /** null when the store could not count them in time. */
  devices: number | null;
  readings: number;
  quarantined: number;
  alarmsOpen: number;
}

/**
 * What the overview counts in the store. `readings` and `quarantined` count rows, redeliveries not yet merged away included: that
 * is what the table knows without being read.
 */
export async function countRows(store: StoreGate): Promise<Omit<FleetCounts, 'devices'>> {
  const rows = await store.query<FleetCounts>(
    `SELECT (SELECT count() FROM readings) AS readings,
            (SELECT count() FROM quarantine) AS quarantined,
            (SELECT count() FROM alarms FINAL WHERE state = 'raised' AND group_id != id) AS alarmsOpen`,
  );
  const row = rows[0];
  return {
    readings: Number(row.readings),
    quarantined: Number(row.quarantined),
    alarmsOpen: Number(row.alarmsOpen),
  };
}

export async function countDevices(store: StoreGate): Promise<number> {
  const rows = await store.query<{ devices: number }>('SELECT count() AS devices FROM devices FINAL WHERE removed = 0');
  return Number(rows[0].devices);
}

function finite(value: unknown): number | null {
  const number = Number(value);
  return value !== null && Number.isFinite(number) ? number : null;
}

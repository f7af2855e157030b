import { LEDGER_COUNTS, type LedgerCount, MINUTE_MS } from '../../model/ledger.ts';
import type { Store } from '../../store/store.ts';

/**
 * What the audit asks of the store. Everything is added up there, by partition and minute; devices are only asked for where
 * those sums are off. Beside each count stands a mark: the sum of a hash of the device over the rows. One reading too few of one
 * device and one too many of another leave the count as it was, and change the mark.
 */
export interface Span {
  fromMs: number;
  toMs: number;
  /** Empty for all devices. */
  device: string;
}

/** How far a partition has been counted, and from where on. */
export interface Coverage {
  partition: number;
  begunMs: number;
  begunOffset: number;
  countedTo: number;
  /** The minute of the clock when it was counted last. */
  countedMs: number;
  isNewLog: boolean;
}

export type Sums = Record<LedgerCount, number>;

/** The ledger of one partition and minute. */
export interface Cell extends Sums {
  partition: number;
  minuteMs: number;
  /** Messages that the door acknowledged beyond those on the log, and those on the log beyond what a door claims; by device. */
  missing: number;
  unclaimed: number;
  storedMark: number;
  quarantinedMark: number;
  offsetFirst: number;
  offsetNext: number;
}

/** What a table holds of one partition and minute. */
export interface Held {
  rows: number;
  mark: number;
  offsetMin: number;
  offsetMax: number;
}

/** Aggregation along the table's order needs no hash table of all devices. */
const IN_ORDER = { optimize_aggregation_in_order: 1 };
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Doors' clocks differ a little. */
const SLACK_MS = 2 * MINUTE_MS;
/** The flag of derived readings (store/readings-block.ts). */
export const SENT = 'bitAnd(flags, 2) = 0';
const MARK = 'toInt64(cityHash64(device) % 1000003)';
const at = (name: string) => `fromUnixTimestamp64Milli({${name}:Int64})`;
/** Under names of their own: an alias that is a column's name would stand for the sum wherever the column is meant. */
const SUMS = LEDGER_COUNTS.map((name) => `sum(${name}) AS s_${name}`).join(', ');
const SUMS_OF_SUMS = LEDGER_COUNTS.map((name) => `sum(s_${name}) AS t_${name}`).join(', ');

type Row = Record<string, number | string>;

export async function readCoverage(store: Store): Promise<Coverage[]> {
  const rows = await store.query<Row>(
    `SELECT \`partition\` AS p, argMaxIf(counted_to, (minute, counted_to), device = '') AS newest, max(counted_to) AS furthest,
       toUnixTimestamp64Milli(maxIf(minute, device = '')) AS counted_ms,
       toUnixTimestamp64Milli(min(minute)) AS begun_ms, argMin(offset_first, (minute, offset_first)) AS begun_offset
     FROM ledger GROUP BY p ORDER BY p`,
  );
  return rows.map((row) => ({
    partition: Number(row.p),
    begunMs: Number(row.begun_ms),
    begunOffset: Number(row.begun_offset),
    countedTo: Number(row.newest),
    countedMs: Number(row.counted_ms),
    // A log that was begun anew has lower offsets than before.
    isNewLog: Number(row.furthest) > Number(row.newest),
  }));
}

/** The ledger by partition and minute, an hour at a time. */
export async function* readCells(store: Store, span: Span): AsyncGenerator<Cell> {
  const first = await store.query<Row>(
    `SELECT toUnixTimestamp64Milli(min(minute)) AS min_ms, toUnixTimestamp64Milli(max(minute)) AS max_ms, count() AS n
     FROM ledger WHERE minute >= ${at('fromMs')} AND minute < ${at('toMs')}`,
    { ...span },
  );
  if (Number(first[0]?.n ?? 0) === 0) return;
  const toMs = Number(first[0].max_ms) + 1;
  for (let fromMs = Number(first[0].min_ms); fromMs < toMs; fromMs += HOUR_MS) {
    const rows = await store.query<Row>(
      `SELECT p, toUnixTimestamp64Milli(m) AS minute_ms, ${SUMS_OF_SUMS},
         sum(greatest(s_acknowledged - toInt64(s_logged), 0)) AS missing,
         sum(greatest(toInt64(s_logged) - s_acknowledged, 0)) AS unclaimed, sum(toInt64(s_stored) * mark) AS stored_mark,
         sum(toInt64(s_quarantined) * mark) AS quarantined_mark, min(first) AS offset_first, max(next) AS offset_next
       FROM (
         SELECT minute AS m, \`partition\` AS p, device AS d, ${MARK} AS mark, ${SUMS}, sum(acknowledged) AS s_acknowledged,
           min(offset_first) AS first, max(offset_next) AS next
         FROM ledger FINAL
         WHERE minute >= ${at('fromMs')} AND minute < ${at('toMs')} ${span.device === '' ? '' : 'AND device = {device:String}'}
         GROUP BY minute, \`partition\`, device
       ) GROUP BY p, m ORDER BY m, p`,
      { ...span, fromMs, toMs: Math.min(toMs, fromMs + HOUR_MS) },
      { settings: IN_ORDER },
    );
    for (const row of rows) yield cellOf(row);
  }
}

function sumsOf(row: Row, prefix: string): Sums {
  return Object.fromEntries(LEDGER_COUNTS.map((name) => [name, Number(row[prefix + name])])) as Sums;
}

function cellOf(row: Row): Cell {
  const counts = sumsOf(row, 't_');
  return {
    ...counts,
    partition: Number(row.p),
    minuteMs: Number(row.minute_ms),
    missing: Number(row.missing),
    unclaimed: Number(row.unclaimed),
    storedMark: Number(row.stored_mark),
    quarantinedMark: Number(row.quarantined_mark),
    offsetFirst: Number(row.offset_first),
    offsetNext: Number(row.offset_next),
  };
}

export const cellKey = (partition: number, minuteMs: number): string => `${partition} ${minuteMs}`;

/**
 * What a table holds that the ledger has counted, by partition and minute, a day (a part of the table) at a time. What came after the
 * ledger was last written is left out by its offset, and so is what was there before the first count.
 */
export async function readHeld(
  store: Store,
  table: 'readings' | 'quarantine',
  span: Span,
  coverage: readonly Coverage[],
): Promise<Map<string, Held>> {
  const held = new Map<string, Held>();
  const begunMs = Math.min(...coverage.map((c) => c.begunMs));
  const endMs = Math.max(...coverage.map((c) => c.countedMs)) + DAY_MS;
  const toMs = Math.min(span.toMs, endMs);
  for (let fromMs = Math.max(span.fromMs, begunMs); fromMs < toMs; ) {
    const nextMs = Math.min(toMs, fromMs - (fromMs % DAY_MS) + DAY_MS);
    const rows = await store.query<Row>(
      `SELECT \`partition\` AS p, intDiv(toUnixTimestamp64Milli(received), ${MINUTE_MS}) AS m, count() AS n,
         sum(${MARK}) AS mark, min(\`offset\`) AS offset_min, max(\`offset\`) AS offset_max
       FROM ${table} FINAL WHERE ${heldWhere(span)} ${ofMessages(table)} GROUP BY p, m`,
      { ...heldParams(span, coverage), fromMs, toMs: nextMs },
      // A key whose rows are of two days is counted on both, as the ledger does.
      { settings: { do_not_merge_across_partitions_select_final: 1 } },
    );
    for (const row of rows) {
      held.set(cellKey(Number(row.p), Number(row.m) * MINUTE_MS), {
        rows: Number(row.n),
        mark: Number(row.mark),
        offsetMin: Number(row.offset_min),
        offsetMax: Number(row.offset_max),
      });
    }
    fromMs = nextMs;
  }
  return held;
}

/** Readings that were computed are of no message; they are not counted. */
function ofMessages(table: 'readings' | 'quarantine'): string {
  return table === 'readings' ? `AND ${SENT}` : '';
}

export function heldWhere(span: Span): string {
  const of = (name: string) => `{${name}:Array(Int64)}[\`partition\` + 1]`;
  return `received >= ${at('fromMs')} AND received < ${at('toMs')}
    ${span.device === '' ? '' : 'AND device = {device:String}'}
    AND (\`offset\` < ${of('countedTo')} OR toUnixTimestamp64Milli(received) < ${of('countedMs')})
    AND (\`offset\` >= ${of('begunOffset')} OR toUnixTimestamp64Milli(received) >= ${of('begunMs')})`;
}

export function heldParams(span: Span, coverage: readonly Coverage[]): Record<string, unknown> {
  const partitions = Math.max(...coverage.map((c) => c.partition)) + 1;
  const none = { countedTo: 0, countedMs: 0, begunOffset: 2 ** 52, begunMs: 2 ** 52, isNewLog: false };
  const by = Array.from({ length: partitions }, (_, p) => coverage.find((c) => c.partition === p) ?? none);
  return {
    ...span,
    countedTo: by.map((c) => c.countedTo),
    // Rows of an older log are judged by their time.
    countedMs: by.map((c) => (c.isNewLog ? Math.max(0, c.countedMs - SLACK_MS) : 0)),
    begunOffset: by.map((c) => c.begunOffset),
    begunMs: by.map((c) => c.begunMs + SLACK_MS),
  };
}

/** The ledger of one partition and minute by device, and whether its rows count something twice (the state was lost between them). */
export interface DeviceCell extends Sums {
  device: string;
  acknowledged: number;
  offsetFirst: number;
  offsetNext: number;
  recounted: boolean;
}

export async function readDeviceCells(store: Store, cell: Cell, device: string): Promise<Map<string, DeviceCell>> {
  const rows = await store.query<Row>(
    `SELECT device AS d, ${SUMS}, sum(acknowledged) AS s_acknowledged,
       min(offset_first) AS first, max(offset_next) AS next,
       arrayExists((a, b) -> b.1 < a.2, arrayPopBack(arraySort(groupArray((offset_first, offset_next))) AS ranges),
         arrayPopFront(ranges)) AS recounted
     FROM ledger FINAL WHERE minute = ${at('minuteMs')} AND \`partition\` = {partition:UInt16}
       ${device === '' ? '' : 'AND device = {device:String}'}
     GROUP BY device`,
    { minuteMs: cell.minuteMs, partition: cell.partition, device },
  );
  return new Map(
    rows.map((row) => [
      String(row.d),
      {
        ...sumsOf(row, 's_'),
        device: String(row.d),
        acknowledged: Number(row.s_acknowledged),
        offsetFirst: Number(row.first),
        offsetNext: Number(row.next),
        recounted: Number(row.recounted) === 1,
      },
    ]),
  );
}

export async function readDeviceHeld(
  store: Store,
  table: 'readings' | 'quarantine',
  cell: Cell,
  span: Span,
  coverage: readonly Coverage[],
): Promise<Map<string, Held>> {
  const rows = await store.query<Row>(
    `SELECT device AS d, count() AS n, min(\`offset\`) AS offset_min, max(\`offset\`) AS offset_max
     FROM ${table} FINAL WHERE ${heldWhere(span)} ${ofMessages(table)} AND \`partition\` = {p:UInt16} GROUP BY d`,
    {
      ...heldParams(span, coverage),
      fromMs: cell.minuteMs,
      toMs: cell.minuteMs + MINUTE_MS,
      p: cell.partition,
    },
    { settings: { do_not_merge_across_partitions_select_final: 1 } },
  );
  return new Map(
    rows.map((row) => [
      String(row.d),
      { rows: Number(row.n), mark: 0, offsetMin: Number(row.offset_min), offsetMax: Number(row.offset_max) },
    ]),
  );
}

export interface GapRow {
  device: string;
  seen: number;
  missing: number;
  restarts: number;
}

/** Devices with gaps in their own numbers, the largest first. */
export async function readGaps(store: Store, span: Span, limit: number): Promise<GapRow[]> {
  const rows = await store.query<Row>(
    `SELECT device AS d, sum(seq_seen) AS seen, sum(seq_missing) - sum(seq_found) AS missing, sum(seq_restarts) AS restarts
     FROM ledger FINAL WHERE minute >= ${at('fromMs')} AND minute < ${at('toMs')}
       ${span.device === '' ? '' : 'AND device = {device:String}'}
     GROUP BY d HAVING missing > 0 ORDER BY missing DESC, d LIMIT {limit:UInt32}`,
    { ...span, limit },
  );
  return rows.map((row) => ({
    device: String(row.d),
    seen: Number(row.seen),
    missing: Number(row.missing),
    restarts: Number(row.restarts),
  }));
}

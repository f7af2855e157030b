import type { Log } from '../../log/log.ts';
import { LEDGER_COUNTS, MINUTE_MS } from '../../model/ledger.ts';
import { TELEMETRY } from '../../model/topics.ts';
import type { Store } from '../../store/store.ts';
import {
  type Cell,
  type Coverage,
  cellKey,
  type GapRow,
  type Held,
  readCells,
  readCoverage,
  readDeviceCells,
  readGaps,
  readHeld,
  type Span,
  type Sums,
} from './counts.ts';
import { type Finding, narrow } from './narrow.ts';
import { type Decoding, readMessages } from './way.ts';

export interface AuditOptions {
  store: Store;
  /** Null when there is no log to be read: findings are then named by the counts alone. */
  log: Log | null;
  decoding: Decoding;
  span: Span;
  /** Also reads the whole log of the span again, and counts it. */
  readLog: boolean;
}

export interface Audit {
  fromMs: number;
  toMs: number;
  device: string;
  balanced: boolean;
  totals: Sums & {
    acknowledged: number;
    /** Acknowledged by a door, and not on the log. */
    missing: number;
    /** On the log and claimed by no door: its last seconds before a crash, or another producer's. */
    unclaimed: number;
    decoded: number;
    /** Rows of `readings` and `quarantine` that belong to what was counted. */
    rowsReadings: number;
    rowsQuarantine: number;
    /** Readings that a redelivery, too late to be known as one, took the place of. */
    replaced: number;
  };
  findings: Finding[];
  /** Partitions and minutes whose sums are off and that were not looked into: there are too many. */
  notNarrowed: number;
  recounted: number;
  gaps: GapRow[];
  /** What the log holds and the ledger has not counted yet: it is under way, and no part of the balance. */
  underWay: { partition: number; countedTo: number; logNext: number | null }[];
  /** Messages that were read from the log again; null when it was not read. */
  logRead: number | null;
}

/** Cells that are looked into; where more are off, the first ones tell the story. */
const CELLS_NARROWED_MAX = 50;
const FINDINGS_MAX = 1000;
const GAPS_MAX = 20;

/**
 * Balances the ledger of a span of minutes: what doors acknowledged against what is on the log, and what was given to the store
 * against what is there. Adds up inside the store; memory grows with the minutes of the span, not with rows or devices.
 */
export async function audit(options: AuditOptions): Promise<Audit> {
  const { store, log, span } = options;
  const coverage = await readCoverage(store);
  const result = emptyAudit(span);
  if (coverage.length === 0) return result;
  const readings = await readHeld(store, 'readings', span, coverage);
  const quarantine = await readHeld(store, 'quarantine', span, coverage);
  for (const held of readings.values()) result.totals.rowsReadings += held.rows;
  for (const held of quarantine.values()) result.totals.rowsQuarantine += held.rows;

  const off: Cell[] = [];
  const logged = new Map<string, Cell>();
  for await (const cell of readCells(store, span)) {
    add(result.totals, cell);
    const key = cellKey(cell.partition, cell.minuteMs);
    const isEven =
      cell.missing === 0 &&
      isHeld(readings.get(key), cell.stored, cell.storedMark) &&
      isHeld(quarantine.get(key), cell.quarantined, cell.quarantinedMark);
    if (!isEven) off.push(cell);
    if (options.readLog) logged.set(key, cell);
    readings.delete(key);
    quarantine.delete(key);
  }
  // What is left over are rows of minutes that the ledger does not know.
  for (const [key, held] of [...readings, ...quarantine]) off.push(cellOfRows(key, held));
  const parts = { store, log, decoding: options.decoding, span, coverage };
  for (const cell of off.slice(0, CELLS_NARROWED_MAX)) {
    const { findings, replaced, recounted } = await narrow(cell, parts);
    result.findings.push(...findings);
    result.totals.replaced += replaced;
    result.recounted += recounted;
  }
  result.notNarrowed = Math.max(0, off.length - CELLS_NARROWED_MAX);
  if (options.readLog && log !== null) await compareLog(log, logged, coverage, options, result);
  result.findings.splice(FINDINGS_MAX);
  result.gaps = await readGaps(store, span, GAPS_MAX);
  result.underWay = await underWay(log, coverage);
  result.balanced = result.findings.length === 0 && result.notNarrowed === 0;
  return result;
}

function isHeld(held: Held | undefined, rows: number, mark: number): boolean {
  return (held?.rows ?? 0) === rows && (held?.mark ?? 0) === mark;
}

function add(totals: Audit['totals'], cell: Cell): void {
  for (const name of LEDGER_COUNTS) totals[name] += cell[name];
  totals.missing += cell.missing;
  totals.unclaimed += cell.unclaimed;
  totals.acknowledged = totals.logged + totals.missing;
  totals.decoded = totals.logged - totals.quarantined;
}

const noSums = (): Sums => Object.fromEntries(LEDGER_COUNTS.map((name) => [name, 0])) as Sums;

function cellOfRows(key: string, held: Held): Cell {
  const [partition, minuteMs] = key.split(' ').map(Number);
  const none = { missing: 0, unclaimed: 0, storedMark: 0, quarantinedMark: 0 };
  return { ...noSums(), ...none, partition, minuteMs, offsetFirst: held.offsetMin, offsetNext: held.offsetMax + 1 };
}

function emptyAudit(span: Span): Audit {
  const more = {
    acknowledged: 0,
    missing: 0,
    unclaimed: 0,
    decoded: 0,
    rowsReadings: 0,
    rowsQuarantine: 0,
    replaced: 0,
  };
  return {
    ...span,
    balanced: true,
    totals: { ...noSums(), ...more },
    findings: [],
    notNarrowed: 0,
    recounted: 0,
    gaps: [],
    underWay: [],
    logRead: null,
  };
}

/** Counts the log again, minute by minute, and compares it with the ledger where the whole minute is still held. */
async function compareLog(
  log: Log,
  cells: ReadonlyMap<string, Cell>,
  coverage: readonly Coverage[],
  { store, span }: AuditOptions,
  result: Audit,
): Promise<void> {
  result.logRead = 0;
  for (const { partition, countedTo } of coverage) {
    const ofPartition = [...cells.values()].filter((cell) => cell.partition === partition);
    if (ofPartition.length === 0) continue;
    const first = Math.min(...ofPartition.map((cell) => cell.offsetFirst));
    const counts = new Map<number, number>();
    const device = span.device === '' ? undefined : span.device;
    const passed = await readMessages(log, partition, { first, next: countedTo, device }, (message) => {
      const minuteMs = message.receivedMs - (message.receivedMs % MINUTE_MS);
      counts.set(minuteMs, (counts.get(minuteMs) ?? 0) + 1);
      if (minuteMs >= span.fromMs && minuteMs < span.toMs) result.logRead!++;
    });
    for (const cell of ofPartition) {
      // Frames that could not be read were counted as one nameless message each; they stand in the quarantine.
      if (cell.offsetFirst < passed.first || cell.offsetNext > passed.next) continue;
      const found = counts.get(cell.minuteMs) ?? 0;
      const named = await namedMessages(store, cell, span, found);
      if (found !== named) result.findings.push(await logFinding(log, store, cell, span, named, found, passed.holes));
    }
  }
}

/** Messages of the cell that name a device; asked only where the sums differ. */
async function namedMessages(store: Store, cell: Cell, span: Span, found: number): Promise<number> {
  if (cell.logged === found) return found;
  const devices = await readDeviceCells(store, cell, span.device);
  return cell.logged - (devices.get('')?.logged ?? 0);
}

async function logFinding(
  log: Log,
  store: Store,
  cell: Cell,
  span: Span,
  expected: number,
  found: number,
  holes: readonly [number, number][],
): Promise<Finding> {
  const counted = await readDeviceCells(store, cell, span.device);
  const { partition, minuteMs, offsetFirst: first, offsetNext: next } = cell;
  const seen = new Map<string, number>();
  await readMessages(log, partition, { first, next }, ({ device, receivedMs }) => {
    if (receivedMs - (receivedMs % MINUTE_MS) === minuteMs) seen.set(device, (seen.get(device) ?? 0) + 1);
  });
  const devices = [...new Set([...counted.keys(), ...seen.keys()])].filter(
    (d) => d !== '' && (counted.get(d)?.logged ?? 0) !== (seen.get(d) ?? 0),
  );
  const inside = holes.filter(([a, b]) => b > first && a < next);
  const named = devices.slice(0, 5).join(', ') + (devices.length > 5 ? ` and ${devices.length - 5} more` : '');
  return {
    hop: 'log → processor',
    partition,
    minuteMs,
    device: named,
    offsetFirst: inside.length > 0 ? Math.min(...inside.map(([a]) => a)) : first,
    offsetNext: inside.length > 0 ? Math.max(...inside.map(([, b]) => b)) : next,
    expected,
    found,
    detail: inside.length > 0 ? 'the log no longer has these frames, which were counted' : 'the log was changed',
  };
}

async function underWay(log: Log | null, coverage: readonly Coverage[]): Promise<Audit['underWay']> {
  if (log === null) return coverage.map(({ partition, countedTo }) => ({ partition, countedTo, logNext: null }));
  const partitions = Array.from({ length: log.partitions }, (_, p) => p);
  const bounds = await Promise.all(partitions.map((p) => log.bounds(TELEMETRY, p)));
  return partitions.map((partition) => ({
    partition,
    countedTo: coverage.find((c) => c.partition === partition)?.countedTo ?? bounds[partition].first,
    logNext: bounds[partition].next,
  }));
}

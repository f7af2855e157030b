import type { Log } from '../../log/log.ts';
import { MINUTE_MS } from '../../model/ledger.ts';
import type { Store } from '../../store/store.ts';
import { type Cell, type Coverage, type Held, readDeviceCells, readDeviceHeld, SENT, type Span } from './counts.ts';
import { type Decoding, readMessages } from './way.ts';

/** Where the counts of two hops differ. */
export interface Finding {
  /** Between which hops, in the order of the way. */
  hop: 'door → log' | 'log → processor' | 'processor → readings' | 'processor → quarantine';
  partition: number;
  minuteMs: number;
  device: string;
  /** Frames [offsetFirst, offsetNext) among which it is. */
  offsetFirst: number;
  offsetNext: number;
  expected: number;
  found: number;
  /** What is known more closely. */
  detail: string;
}

export interface NarrowParts {
  store: Store;
  /** Null when there is none to be read. */
  log: Log | null;
  decoding: Decoding;
  span: Span;
  coverage: readonly Coverage[];
}

/** What became of a cell that is off. */
export interface Narrowed {
  findings: Finding[];
  /** Readings that a later redelivery took the place of: the row is there, with the position of the later message. */
  replaced: number;
  /** Devices whose state was lost, so that some messages were counted twice, and whose frames are not on the log any more. */
  recounted: number;
}

/** Keys of one query at most. */
const KEYS_MAX = 1000;

/** Looks at the devices of a partition and minute whose sums are off, and at the log as far as it still holds them. */
export async function narrow(cell: Cell, parts: NarrowParts): Promise<Narrowed> {
  const { store, span, coverage } = parts;
  const [devices, readings, quarantine] = await Promise.all([
    readDeviceCells(store, cell, span.device),
    readDeviceHeld(store, 'readings', cell, span, coverage),
    readDeviceHeld(store, 'quarantine', cell, span, coverage),
  ]);
  const result: Narrowed = { findings: [], replaced: 0, recounted: 0 };
  for (const device of new Set([...devices.keys(), ...readings.keys(), ...quarantine.keys()])) {
    const counted = devices.get(device);
    const base = { partition: cell.partition, minuteMs: cell.minuteMs, device };
    const range = {
      offsetFirst: counted?.offsetFirst ?? cell.offsetFirst,
      offsetNext: counted?.offsetNext ?? cell.offsetNext,
    };
    if (counted !== undefined && !counted.recounted && counted.acknowledged > counted.logged) {
      // The device's messages are not there to say where they would have been: the minute's frames say it.
      const where = { offsetFirst: cell.offsetFirst, offsetNext: cell.offsetNext };
      const detail = await holesIn(parts.log, cell);
      result.findings.push({
        ...base,
        ...where,
        hop: 'door → log',
        expected: counted.acknowledged,
        found: counted.logged,
        detail,
      });
    }
    const bad = quarantine.get(device)?.rows ?? 0;
    if (bad !== (counted?.quarantined ?? 0) && !counted?.recounted) {
      const hop = 'processor → quarantine';
      const expected = counted?.quarantined ?? 0;
      result.findings.push({ ...base, ...range, hop, expected, found: bad, detail: rangeOf(quarantine.get(device)) });
    }
    const rows = readings.get(device);
    const stored = counted?.stored ?? 0;
    if ((rows?.rows ?? 0) === stored) continue;
    const finding: Finding = {
      ...base,
      ...range,
      hop: 'processor → readings',
      expected: stored,
      found: rows?.rows ?? 0,
      detail: '',
    };
    await judgeReadings(finding, counted?.recounted ?? false, rows, parts, result);
  }
  return result;
}

const rangeOf = (held: Held | undefined): string =>
  held === undefined ? '' : `rows of offsets ${held.offsetMin} to ${held.offsetMax}`;

async function holesIn(log: Log | null, cell: Cell): Promise<string> {
  if (log === null) return '';
  const passed = await readMessages(
    log,
    cell.partition,
    { first: cell.offsetFirst, next: cell.offsetNext, device: '' },
    () => {},
  );
  if (passed.holes.length === 0) return '';
  const holes = passed.holes
    .slice(0, 5)
    .map(([first, next]) => (next === first + 1 ? `${first}` : `${first} to ${next - 1}`));
  return `the log has no frame at offset ${holes.join(', ')}`;
}

/** The messages of the device are read from the log again, and each reading looked for by its key. */
async function judgeReadings(
  finding: Finding,
  recounted: boolean,
  rows: Held | undefined,
  parts: NarrowParts,
  result: Narrowed,
): Promise<void> {
  const { device, partition, minuteMs } = finding;
  const read = parts.log === null ? null : await readAgain(parts.log, finding, rows, parts);
  if (read !== null) {
    result.replaced += read.replaced;
    if (read.lost.length > 0) {
      const offsets = read.lost.map((l) => l.offset);
      const some = read.lost
        .slice(0, 3)
        .map((l) => `${l.metric} at ${new Date(l.tsMs).toISOString()} (offset ${l.offset}, message ${l.index})`);
      result.findings.push({
        ...finding,
        offsetFirst: Math.min(...offsets),
        offsetNext: Math.max(...offsets) + 1,
        detail: `not there: ${some.join('; ')}${read.lost.length > 3 ? `; and ${read.lost.length - 3} more` : ''}`,
      });
    }
    if (read.extra.length > 0) {
      const offsets = read.extra.map((l) => l.offset);
      const some = read.extra
        .slice(0, 3)
        .map((l) => `${l.metric} at ${new Date(l.tsMs).toISOString()} (offset ${l.offset})`);
      result.findings.push({
        ...finding,
        offsetFirst: Math.min(...offsets),
        offsetNext: Math.max(...offsets) + 1,
        detail: `of no message: ${some.join('; ')}`,
      });
    }
    return;
  }
  if (recounted) {
    result.recounted++;
    return;
  }
  const short = finding.expected - finding.found;
  if (short > 0 && short <= (await laterUnchecked(parts.store, device, partition, minuteMs))) result.replaced += short;
  else result.findings.push({ ...finding, detail: 'the log no longer holds these frames' });
}

interface Place {
  offset: number;
  index: number;
  metric: string;
  tsMs: number;
}

/** Null when the log does not hold all of it. */
async function readAgain(log: Log, finding: Finding, rows: Held | undefined, parts: NarrowParts) {
  const { device, partition, minuteMs } = finding;
  const first = Math.min(finding.offsetFirst, rows?.offsetMin ?? finding.offsetFirst);
  const next = Math.max(finding.offsetNext, (rows?.offsetMax ?? -1) + 1);
  const wanted: (Place & { untimed: boolean })[] = [];
  const places = new Set<string>();
  const passed = await readMessages(log, partition, { first, next, device }, (message) => {
    const readings = parts.decoding.decode(message);
    if (typeof readings === 'string') return;
    const { offset, index } = message;
    for (const { metric, tsMs, untimed } of readings) {
      if (Math.floor(message.receivedMs / MINUTE_MS) * MINUTE_MS === minuteMs)
        wanted.push({ offset, index, metric, tsMs, untimed });
      places.add(`${offset} ${index} ${metric}`);
    }
  });
  // Not all is held, or a frame is gone from among them: what was in it is not known.
  if (passed.first > first || passed.next < next || passed.holes.length > 0) return null;
  const lost: Place[] = [];
  for (let at = 0; at < wanted.length; at += KEYS_MAX) {
    const some = wanted.slice(at, at + KEYS_MAX);
    const there = await readKeys(parts.store, device, some);
    for (const w of some) {
      if (!there.has(w.untimed ? `${w.metric} ${w.tsMs} ${w.offset}` : `${w.metric} ${w.tsMs}`)) lost.push(w);
    }
  }
  const extra = await readExtra(parts.store, finding, next, places);
  // Every key that is there and not among the device's rows of this minute has gone to a message of another one.
  const replaced = Math.max(0, finding.expected - finding.found - lost.length + extra.length);
  return { lost, extra, replaced };
}

/** Of the rows that are there "metric ts" and "metric ts offset". */
async function readKeys(store: Store, device: string, keys: readonly Place[]): Promise<Set<string>> {
  const rows = await store.query<{ metric: string; ts_ms: number | string; o: number | string }>(
    `SELECT metric, toUnixTimestamp64Milli(ts) AS ts_ms, \`offset\` AS o FROM readings
     WHERE device = {device:String} AND (metric, toUnixTimestamp64Milli(ts)) IN (
       SELECT arrayJoin(arrayZip({metrics:Array(String)}, {times:Array(Int64)})))`,
    { device, metrics: keys.map((k) => k.metric), times: keys.map((k) => k.tsMs) },
  );
  return new Set(rows.flatMap(({ metric, ts_ms, o }) => [`${metric} ${ts_ms}`, `${metric} ${ts_ms} ${o}`]));
}

/** Rows of the device and minute that no message on the log gave. */
async function readExtra(
  store: Store,
  { device, partition, minuteMs }: Finding,
  next: number,
  places: ReadonlySet<string>,
): Promise<Place[]> {
  const rows = await store.query<Record<'o' | 'i' | 'metric' | 'ts_ms', string | number>>(
    `SELECT \`offset\` AS o, \`index\` AS i, metric, toUnixTimestamp64Milli(ts) AS ts_ms FROM readings FINAL
     WHERE device = {device:String} AND ${SENT} AND \`partition\` = {partition:UInt16}
       AND received >= fromUnixTimestamp64Milli({fromMs:Int64}) AND received < fromUnixTimestamp64Milli({toMs:Int64})
       AND \`offset\` < {next:UInt64}`,
    { device, partition, fromMs: minuteMs, toMs: minuteMs + MINUTE_MS, next },
  );
  return rows
    .filter((row) => !places.has(`${row.o} ${row.i} ${row.metric}`))
    .map((row) => ({
      offset: Number(row.o),
      index: Number(row.i),
      metric: String(row.metric),
      tsMs: Number(row.ts_ms),
    }));
}

/** Readings of the device that were stored without a look at whether they were known, in this minute and after it. */
async function laterUnchecked(store: Store, device: string, partition: number, minuteMs: number): Promise<number> {
  const rows = await store.query<{ n: string | number }>(
    `SELECT sum(unchecked) AS n FROM ledger FINAL
     WHERE minute >= fromUnixTimestamp64Milli({minuteMs:Int64}) AND \`partition\` = {partition:UInt16} AND device = {device:String}`,
    { device, partition, minuteMs },
  );
  return Number(rows[0]?.n ?? 0);
}

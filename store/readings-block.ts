import {
  assertTimeMs,
  encodeBlock,
  fixedColumn,
  indexArray,
  lowCardinalityColumn,
  type NativeColumn,
  StringColumn,
  TIME_MS_MAX,
  TIME_MS_MIN,
  writeInt64,
} from './native.ts';

/** The partition of `readings` and of `quarantine` is a day (UTC) of `received`. */
export const DAY_MS = 86_400_000;

/** Names of the series that a worker has given small dense integers. A series keeps its names for as long as a block lives. */
export interface SeriesNames {
  device(series: number): string;
  metric(series: number): string;
}

/** The bits of the column `flags`. */
export const FLAG_UNTIMED = 1;
/** It was not sent: it was computed from other metrics of the device. */
export const FLAG_DERIVED = 2;
/** A window that should have taken it was closed: its rollup does not hold it. */
export const FLAG_LATE = 4;

/** Bits of a message's index inside `arrival`; a frame holds fewer messages than 2^20. */
const ARRIVAL_INDEX_SIZE = 1 << 20;

/**
 * What sets readings without a time of their own apart, so that two of them within the same millisecond are both kept:
 * offset * 2^20 + index + 1, never 0, the same after a replay. Readings with a device's time have 0.
 * Written as the low and the high word, since it may be beyond 2^53.
 */
function writeArrival(words: Uint32Array, at: number, offset: number, index: number): void {
  const low = (offset % 4096) * ARRIVAL_INDEX_SIZE + index + 1; // up to 2^32: may carry into the high word
  words[at * 2] = low;
  words[at * 2 + 1] = Math.floor(offset / 4096) + Math.floor(low / 0x1_0000_0000);
}

/**
 * Rows of `readings`, all of one partition of the log.
 *
 * Rows are kept as they came, in one typed array a column, with a count for each series. `finish` puts them in the order of the
 * table's key without comparing rows: the series are kept sorted by name, a counting sort gathers the rows of each, and
 * within a series rows come in order of time as a rule, so that only a series that has gone back in time is sorted.
 */
export class ReadingsBlock {
  rows = 0;
  readonly #names: SeriesNames;
  readonly #partition: number;
  #capacity = 4096;
  #series = new Uint32Array(this.#capacity);
  #ts = new Float64Array(this.#capacity);
  #value = new Float64Array(this.#capacity);
  #received = new Float64Array(this.#capacity);
  #offset = new Float64Array(this.#capacity);
  #index = new Uint32Array(this.#capacity);
  #flags = new Uint8Array(this.#capacity);
  /** Rows that have a text, and their texts. */
  #texts = new Map<number, string>();
  #anyFlags = false;
  #dayFirst = Number.POSITIVE_INFINITY;
  #dayLast = Number.NEGATIVE_INFINITY;

  // By series.
  #counts = new Uint32Array(64);
  #tsLast = new Float64Array(64).fill(Number.NEGATIVE_INFINITY);
  #backwards = new Uint8Array(64);
  #known = 0;
  #ranked: number[] = [];

  constructor(names: SeriesNames, partition: number) {
    this.#names = names;
    this.#partition = partition;
  }

  add(
    series: number,
    tsMs: number,
    value: number,
    text: string,
    receivedMs: number,
    offset: number,
    index: number,
    untimed: boolean,
    derived = false,
  ): void {
    if (!(tsMs >= TIME_MS_MIN && tsMs <= TIME_MS_MAX)) assertTimeMs(tsMs, 'ts');
    if (!(receivedMs >= TIME_MS_MIN && receivedMs <= TIME_MS_MAX)) assertTimeMs(receivedMs, 'received');
    if (this.rows === this.#capacity) this.#growRows();
    if (series >= this.#known) this.#growSeries(series);
    const row = this.rows++;
    this.#series[row] = series;
    this.#ts[row] = tsMs;
    this.#value[row] = value;
    this.#received[row] = receivedMs;
    this.#offset[row] = offset;
    this.#index[row] = index;
    const flags = (untimed ? FLAG_UNTIMED : 0) | (derived ? FLAG_DERIVED : 0);
    this.#flags[row] = flags;
    if (flags !== 0) this.#anyFlags = true;
    if (text !== '') this.#texts.set(row, text);
    const day = Math.floor(receivedMs / DAY_MS);
    if (day < this.#dayFirst) this.#dayFirst = day;
    if (day > this.#dayLast) this.#dayLast = day;
    this.#counts[series]++;
    const last = this.#tsLast[series];
    if (tsMs > last) this.#tsLast[series] = tsMs;
    else if (tsMs < last || !untimed) this.#backwards[series] = 1;
  }

  /** A row came too late for a window; rows count from 0 since the last `finish`. */
  markLate(row: number): void {
    this.#flags[row] |= FLAG_LATE;
    this.#anyFlags = true;
  }

  /** One block for each day (UTC) of `received`, the partition of the table, each sorted by the table's key. */
  finish(): Uint8Array<ArrayBuffer>[] {
    if (this.rows === 0) return [];
    this.#rank();
    const used = this.#ranked.filter((s) => this.#counts[s] > 0);
    const order = this.#order(used);
    const dictionaries = this.#dictionaries(used);
    const blocks: Uint8Array<ArrayBuffer>[] = [];
    if (this.#dayFirst === this.#dayLast) blocks.push(this.#encode(order, dictionaries));
    else {
      for (let day = this.#dayFirst; day <= this.#dayLast; day++) {
        const ofDay = order.filter((row) => Math.floor(this.#received[row] / DAY_MS) === day);
        if (ofDay.length > 0) blocks.push(this.#encode(ofDay, dictionaries));
      }
    }
    for (const s of used) {
      this.#counts[s] = 0;
      this.#tsLast[s] = Number.NEGATIVE_INFINITY;
      this.#backwards[s] = 0;
    }
    this.rows = 0;
    this.#texts.clear();
    this.#anyFlags = false;
    this.#dayFirst = Number.POSITIVE_INFINITY;
    this.#dayLast = Number.NEGATIVE_INFINITY;
    return blocks;
  }

  /** Brings the sorted list of series up to the ones that have come since. */
  #rank(): void {
    if (this.#ranked.length === this.#known) return;
    const { device, metric } = namesOf(this.#names);
    for (let s = this.#ranked.length; s < this.#known; s++) this.#ranked.push(s);
    this.#ranked.sort((a, b) => compare(device(a), device(b)) || compare(metric(a), metric(b)));
  }

  /** The rows in the order of the table's key: device, metric, ts, arrival. */
  #order(used: readonly number[]): Uint32Array {
    const next = new Uint32Array(this.#known);
    let start = 0;
    for (const s of used) {
      next[s] = start;
      start += this.#counts[s];
    }
    const order = new Uint32Array(this.rows);
    const series = this.#series;
    for (let row = 0; row < this.rows; row++) order[next[series[row]]++] = row;
    for (const s of used) {
      if (this.#backwards[s] === 0) continue;
      order
        .subarray(next[s] - this.#counts[s], next[s])
        .sort(
          (a, b) =>
            this.#ts[a] - this.#ts[b] || (this.#flags[a] & FLAG_UNTIMED) - (this.#flags[b] & FLAG_UNTIMED) || a - b,
        );
    }
    return order;
  }

  #dictionaries(used: readonly number[]): Dictionaries {
    const { device, metric } = namesOf(this.#names);
    const devices = new StringColumn();
    const deviceOf = new Uint32Array(this.#known);
    const metrics = new StringColumn();
    const metricOf = new Uint32Array(this.#known);
    const metricIndex = new Map<string, number>();
    let deviceLast: string | null = null;
    for (const s of used) {
      const name = device(s);
      if (name !== deviceLast) {
        devices.push(name);
        deviceLast = name;
      }
      deviceOf[s] = devices.count - 1;
      const metricName = metric(s);
      let at = metricIndex.get(metricName);
      if (at === undefined) {
        at = metrics.count;
        metricIndex.set(metricName, at);
        metrics.push(metricName);
      }
      metricOf[s] = at;
    }
    const deviceCount = devices.count;
    const metricCount = metrics.count;
    return { devices: devices.take(), deviceCount, deviceOf, metrics: metrics.take(), metricCount, metricOf };
  }

  #encode(order: Uint32Array, d: Dictionaries): Uint8Array<ArrayBuffer> {
    const rows = order.length;
    const device = indexArray(d.deviceCount, rows);
    const metric = indexArray(d.metricCount, rows);
    const ts = new Uint32Array(rows * 2);
    const value = new Float64Array(rows);
    const received = new Uint32Array(rows * 2);
    const offset = new Uint32Array(rows * 2);
    const index = new Uint32Array(rows);
    for (let i = 0; i < rows; i++) {
      const row = order[i];
      const series = this.#series[row];
      device[i] = d.deviceOf[series];
      metric[i] = d.metricOf[series];
      writeInt64(ts, i, this.#ts[row]);
      value[i] = this.#value[row];
      writeInt64(received, i, this.#received[row]);
      writeInt64(offset, i, this.#offset[row]);
      index[i] = this.#index[row];
    }
    return encodeBlock(rows, [
      lowCardinalityColumn('device', d.devices, d.deviceCount, device, rows),
      lowCardinalityColumn('metric', d.metrics, d.metricCount, metric, rows),
      fixedColumn('ts', 'DateTime64(3)', ts, rows * 2),
      fixedColumn('value', 'Float64', value, rows),
      this.#textColumn(order),
      fixedColumn('received', 'DateTime64(3)', received, rows * 2),
      fixedColumn('partition', 'UInt16', new Uint16Array(rows).fill(this.#partition), rows),
      fixedColumn('offset', 'UInt64', offset, rows * 2),
      fixedColumn('index', 'UInt32', index, rows),
      ...this.#flagColumns(order),
    ]);
  }

  #textColumn(order: Uint32Array): NativeColumn {
    const text = new StringColumn();
    if (this.#texts.size === 0) text.pushEmpty(order.length);
    else for (const row of order) text.push(this.#texts.get(row) ?? '');
    return { name: 'text', type: 'String', data: [text.take()] };
  }

  #flagColumns(order: Uint32Array): NativeColumn[] {
    const rows = order.length;
    const arrival = new Uint32Array(rows * 2);
    const flags = new Uint8Array(rows);
    if (this.#anyFlags) {
      for (let i = 0; i < rows; i++) {
        const row = order[i];
        if (this.#flags[row] === 0) continue;
        flags[i] = this.#flags[row];
        if ((flags[i] & FLAG_UNTIMED) === 0) continue;
        writeArrival(arrival, i, this.#offset[row], this.#index[row]);
      }
    }
    return [fixedColumn('arrival', 'UInt64', arrival, rows * 2), fixedColumn('flags', 'UInt8', flags, rows)];
  }

  #growRows(): void {
    this.#capacity *= 2;
    this.#series = grown(this.#series, new Uint32Array(this.#capacity));
    this.#ts = grown(this.#ts, new Float64Array(this.#capacity));
    this.#value = grown(this.#value, new Float64Array(this.#capacity));
    this.#received = grown(this.#received, new Float64Array(this.#capacity));
    this.#offset = grown(this.#offset, new Float64Array(this.#capacity));
    this.#index = grown(this.#index, new Uint32Array(this.#capacity));
    this.#flags = grown(this.#flags, new Uint8Array(this.#capacity));
  }

  #growSeries(series: number): void {
    this.#known = series + 1;
    if (series < this.#counts.length) return;
    let capacity = this.#counts.length;
    while (capacity <= series) capacity *= 2;
    this.#counts = grown(this.#counts, new Uint32Array(capacity));
    this.#tsLast = grown(this.#tsLast, new Float64Array(capacity).fill(Number.NEGATIVE_INFINITY));
    this.#backwards = grown(this.#backwards, new Uint8Array(capacity));
  }
}

interface Dictionaries {
  devices: Uint8Array;
  deviceCount: number;
  deviceOf: Uint32Array;
  metrics: Uint8Array;
  metricCount: number;
  metricOf: Uint32Array;
}

function namesOf(names: SeriesNames) {
  return { device: (s: number) => names.device(s), metric: (s: number) => names.metric(s) };
}

/** By UTF-16 units: where that differs from the engine's order by bytes, the engine sorts again. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function grown<T extends Uint8Array | Uint32Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

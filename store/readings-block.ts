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
import { type SeriesNames, SeriesRanks } from './series-ranks.ts';

export type { SeriesNames };

/** The partition of `readings` and of `quarantine` is a day (UTC) of `received`. */
export const DAY_MS = 86_400_000;

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
 * Rows are kept as they came, in one typed array a column, and what the rows of a message share once for each message. `finish` puts
 * them in the order of the table's key without comparing rows: series are kept sorted by name, a counting sort gathers the rows of
 * each, and within a series rows come in order of time as a rule, so that only a series that has gone back in time is sorted.
 *
 *     row ─▶ place    of its series among those of this block: count, newest ts      (columns by place, as many as the block has)
 *        └─▶ message  received, offset, index                                        (columns by message)
 *     series ─▶ place, rank                                                          (columns by series, as many as are known)
 */
export class ReadingsBlock {
  rows = 0;
  readonly #names: SeriesNames;
  readonly #partition: number;
  #capacity = 4096;
  #placeOf = new Uint32Array(this.#capacity);
  #ts = new Float64Array(this.#capacity);
  #value = new Float64Array(this.#capacity);
  #messageOf = new Uint32Array(this.#capacity);
  #flags = new Uint8Array(this.#capacity);
  /** Rows that have a text, and their texts. */
  #texts = new Map<number, string>();
  #anyFlags = false;
  #dayFirst = Number.POSITIVE_INFINITY;
  #dayLast = Number.NEGATIVE_INFINITY;

  // By message.
  #messages = 0;
  #received = new Float64Array(1024);
  #offset = new Float64Array(1024);
  #index = new Uint32Array(1024);

  // By place.
  #places = 0;
  #seriesAt = new Uint32Array(1024);
  #counts = new Uint32Array(1024);
  #tsLast = new Float64Array(1024);
  #backwards = new Uint8Array(1024);

  // By series; a place is counted from 1, 0 for a series that has none in this block.
  #known = 0;
  #place = new Uint32Array(64);
  readonly #ranks: SeriesRanks;

  constructor(names: SeriesNames, partition: number) {
    this.#names = names;
    this.#partition = partition;
    this.#ranks = new SeriesRanks(names);
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
    let message = this.#messages - 1;
    if (
      message < 0 ||
      this.#index[message] !== index ||
      this.#offset[message] !== offset ||
      this.#received[message] !== receivedMs
    )
      message = this.#addMessage(receivedMs, offset, index);
    if (this.rows === this.#capacity) this.#growRows();
    let place = series < this.#known ? this.#place[series] - 1 : -1;
    if (place < 0) place = this.#addPlace(series);
    const row = this.rows++;
    this.#placeOf[row] = place;
    this.#ts[row] = tsMs;
    this.#value[row] = value;
    this.#messageOf[row] = message;
    const flags = (untimed ? FLAG_UNTIMED : 0) | (derived ? FLAG_DERIVED : 0);
    this.#flags[row] = flags;
    if (flags !== 0) this.#anyFlags = true;
    if (text !== '') this.#texts.set(row, text);
    this.#counts[place]++;
    const last = this.#tsLast[place];
    if (tsMs > last) this.#tsLast[place] = tsMs;
    else if (tsMs < last || !untimed) this.#backwards[place] = 1;
  }

  #addMessage(receivedMs: number, offset: number, index: number): number {
    assertTimeMs(receivedMs, 'received');
    const message = this.#messages++;
    if (message === this.#index.length) {
      this.#received = grown(this.#received, new Float64Array(message * 2));
      this.#offset = grown(this.#offset, new Float64Array(message * 2));
      this.#index = grown(this.#index, new Uint32Array(message * 2));
    }
    this.#received[message] = receivedMs;
    this.#offset[message] = offset;
    this.#index[message] = index;
    const day = Math.floor(receivedMs / DAY_MS);
    if (day < this.#dayFirst) this.#dayFirst = day;
    if (day > this.#dayLast) this.#dayLast = day;
    return message;
  }

  #addPlace(series: number): number {
    if (series >= this.#known) {
      this.#known = series + 1;
      let capacity = this.#place.length;
      while (capacity <= series) capacity *= 2;
      if (capacity > this.#place.length) this.#place = grown(this.#place, new Uint32Array(capacity));
    }
    const place = this.#places++;
    if (place === this.#counts.length) {
      this.#seriesAt = grown(this.#seriesAt, new Uint32Array(place * 2));
      this.#counts = grown(this.#counts, new Uint32Array(place * 2));
      this.#tsLast = grown(this.#tsLast, new Float64Array(place * 2));
      this.#backwards = grown(this.#backwards, new Uint8Array(place * 2));
    }
    this.#place[series] = place + 1;
    this.#seriesAt[place] = series;
    this.#counts[place] = 0;
    this.#tsLast[place] = Number.NEGATIVE_INFINITY;
    this.#backwards[place] = 0;
    return place;
  }

  /** A row came too late for a window; rows count from 0 since the last `finish`. */
  markLate(row: number): void {
    this.#flags[row] |= FLAG_LATE;
    this.#anyFlags = true;
  }

  /** One block for each day (UTC) of `received`, the partition of the table, each sorted by the table's key. */
  finish(): Uint8Array<ArrayBuffer>[] {
    if (this.rows === 0) return [];
    const ranked = this.#ranks.sorted(this.#seriesAt.subarray(0, this.#places), this.#known);
    const places = ranked.map((series) => this.#place[series] - 1);
    const order = this.#order(places);
    const dictionaries = this.#dictionaries(places);
    const blocks: Uint8Array<ArrayBuffer>[] = [];
    if (this.#dayFirst === this.#dayLast) blocks.push(this.#encode(order, dictionaries));
    else {
      for (let day = this.#dayFirst; day <= this.#dayLast; day++) {
        const ofDay = order.filter((row) => Math.floor(this.#received[this.#messageOf[row]] / DAY_MS) === day);
        if (ofDay.length > 0) blocks.push(this.#encode(ofDay, dictionaries));
      }
    }
    for (const series of ranked) this.#place[series] = 0;
    this.rows = 0;
    this.#places = 0;
    this.#messages = 0;
    this.#texts.clear();
    this.#anyFlags = false;
    this.#dayFirst = Number.POSITIVE_INFINITY;
    this.#dayLast = Number.NEGATIVE_INFINITY;
    return blocks;
  }

  /** The rows in the order of the table's key: device, metric, ts, arrival. `places` are ranked. */
  #order(places: Uint32Array): Uint32Array {
    const next = new Uint32Array(places.length);
    let start = 0;
    for (let i = 0; i < places.length; i++) {
      next[places[i]] = start;
      start += this.#counts[places[i]];
    }
    const order = new Uint32Array(this.rows);
    const placeOf = this.#placeOf;
    for (let row = 0; row < this.rows; row++) order[next[placeOf[row]]++] = row;
    for (let i = 0; i < places.length; i++) {
      const place = places[i];
      if (this.#backwards[place] === 0) continue;
      order
        .subarray(next[place] - this.#counts[place], next[place])
        .sort(
          (a, b) =>
            this.#ts[a] - this.#ts[b] || (this.#flags[a] & FLAG_UNTIMED) - (this.#flags[b] & FLAG_UNTIMED) || a - b,
        );
    }
    return order;
  }

  #dictionaries(places: Uint32Array): Dictionaries {
    const names = this.#names;
    const devices = new StringColumn();
    const deviceOf = new Uint32Array(places.length);
    const metrics = new StringColumn();
    const metricOf = new Uint32Array(places.length);
    const metricIndex = new Map<string, number>();
    let deviceLast: string | null = null;
    for (let i = 0; i < places.length; i++) {
      const place = places[i];
      const series = this.#seriesAt[place];
      const name = names.device(series);
      if (name !== deviceLast) {
        devices.push(name);
        deviceLast = name;
      }
      deviceOf[place] = devices.count - 1;
      const metricName = names.metric(series);
      let at = metricIndex.get(metricName);
      if (at === undefined) {
        at = metrics.count;
        metricIndex.set(metricName, at);
        metrics.push(metricName);
      }
      metricOf[place] = at;
    }
    const deviceCount = devices.count;
    const metricCount = metrics.count;
    return { devices: devices.take(), deviceCount, deviceOf, metrics: metrics.take(), metricCount, metricOf };
  }

  #encode(order: Uint32Array, d: Dictionaries): Uint8Array<ArrayBuffer> {
    const rows = order.length;
    scratch.begin(rows * SCRATCH_ROW_BYTES);
    const device = indexArray(d.deviceCount, rows);
    const metric = indexArray(d.metricCount, rows);
    const ts = scratch.words(rows * 2);
    const value = scratch.doubles(rows);
    const received = scratch.words(rows * 2);
    const offset = scratch.words(rows * 2);
    const index = scratch.words(rows);
    for (let i = 0; i < rows; i++) {
      const row = order[i];
      const place = this.#placeOf[row];
      device[i] = d.deviceOf[place];
      metric[i] = d.metricOf[place];
      writeInt64(ts, i, this.#ts[row]);
      value[i] = this.#value[row];
      const message = this.#messageOf[row];
      writeInt64(received, i, this.#received[message]);
      writeInt64(offset, i, this.#offset[message]);
      index[i] = this.#index[message];
    }
    return encodeBlock(rows, [
      lowCardinalityColumn('device', d.devices, d.deviceCount, device, rows),
      lowCardinalityColumn('metric', d.metrics, d.metricCount, metric, rows),
      fixedColumn('ts', 'DateTime64(3)', ts, rows * 2),
      fixedColumn('value', 'Float64', value, rows),
      ...this.#textColumn(order),
      fixedColumn('received', 'DateTime64(3)', received, rows * 2),
      fixedColumn('partition', 'UInt16', new Uint16Array(rows).fill(this.#partition), rows),
      fixedColumn('offset', 'UInt64', offset, rows * 2),
      fixedColumn('index', 'UInt32', index, rows),
      ...this.#flagColumns(order),
    ]);
  }

  /** Where no row has a text the column is left out: the table's default is the same. */
  #textColumn(order: Uint32Array): NativeColumn[] {
    if (this.#texts.size === 0) return [];
    const text = new StringColumn();
    for (const row of order) text.push(this.#texts.get(row) ?? '');
    return [{ name: 'text', type: 'String', data: [text.take()] }];
  }

  /** Left out where all are 0. */
  #flagColumns(order: Uint32Array): NativeColumn[] {
    if (!this.#anyFlags) return [];
    const rows = order.length;
    const arrival = new Uint32Array(rows * 2);
    const flags = new Uint8Array(rows);
    for (let i = 0; i < rows; i++) {
      const row = order[i];
      if (this.#flags[row] === 0) continue;
      flags[i] = this.#flags[row];
      if ((flags[i] & FLAG_UNTIMED) === 0) continue;
      const message = this.#messageOf[row];
      writeArrival(arrival, i, this.#offset[message], this.#index[message]);
    }
    return [fixedColumn('arrival', 'UInt64', arrival, rows * 2), fixedColumn('flags', 'UInt8', flags, rows)];
  }

  #growRows(): void {
    this.#capacity *= 2;
    this.#placeOf = grown(this.#placeOf, new Uint32Array(this.#capacity));
    this.#ts = grown(this.#ts, new Float64Array(this.#capacity));
    this.#value = grown(this.#value, new Float64Array(this.#capacity));
    this.#messageOf = grown(this.#messageOf, new Uint32Array(this.#capacity));
    this.#flags = grown(this.#flags, new Uint8Array(this.#capacity));
  }
}

/** Columns of a block that is being encoded: their room is used again for the next, since only the block itself leaves. */
class Scratch {
  #kept = new ArrayBuffer(0);
  #buffer = this.#kept;
  #at = 0;

  /** What was handed out before is handed out again. */
  begin(bytes: number): void {
    this.#at = 0;
    if (bytes <= this.#kept.byteLength) this.#buffer = this.#kept;
    else this.#buffer = new ArrayBuffer(bytes);
    if (bytes <= SCRATCH_BYTES_MAX) this.#kept = this.#buffer;
  }

  /** Their values are those of before. */
  doubles(length: number): Float64Array {
    return new Float64Array(this.#buffer, this.#take(length * 8), length);
  }

  words(length: number): Uint32Array {
    return new Uint32Array(this.#buffer, this.#take(length * 4), length);
  }

  #take(bytes: number): number {
    const at = this.#at;
    this.#at += (bytes + 7) & ~7;
    return at;
  }
}

/** ts, value, received, offset and index, each begun at a multiple of eight. */
const SCRATCH_ROW_BYTES = 40;
/** A larger block is rare. */
const SCRATCH_BYTES_MAX = 200_000 * SCRATCH_ROW_BYTES;
const scratch = new Scratch();

interface Dictionaries {
  devices: Uint8Array;
  deviceCount: number;
  deviceOf: Uint32Array;
  metrics: Uint8Array;
  metricCount: number;
  metricOf: Uint32Array;
}

function grown<T extends Uint8Array | Uint32Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

import { setImmediate } from 'node:timers/promises';
import { SluiceError } from '../model/errors.ts';

/**
 * ClickHouse's Native format, as a client of revision 0 (plain HTTP) writes it. Integers are little-endian.
 *
 *     stream          block*
 *     block           varuint columns · varuint rows · column{columns}
 *     column          string name · string type · data            (no data at all when rows = 0)
 *     string          varuint length · bytes                       (any bytes)
 *     varuint         LEB128, 7 bits a byte, lowest first
 *
 *     data, by type
 *       UIntN, IntN, FloatN      N/8 bytes a row
 *       DateTime64(3)            Int64 milliseconds since the epoch
 *       String                   string a row
 *       Nullable(T)              a byte a row, 1 where null · data of T (any value where null)
 *       Map(K, V)                UInt64 a row: pairs up to and with this row · data of K · data of V, a value for each pair
 *       LowCardinality(String)   UInt64 1                          version of the keys' serialization
 *                                UInt64 0x600 | width              width of an index: 0 UInt8, 1 UInt16, 2 UInt32;
 *                                                                  0x200 the keys follow, 0x400 they are this block's own
 *                                UInt64 keys · string{keys}
 *                                UInt64 rows · index{rows}
 *       Map(LowCardinality(String), Float64)
 *                                UInt64 1                          version of the keys' serialization
 *                                UInt64{rows}                      pairs up to and with each row
 *                                the keys as above, without the version, and the values; nothing of either where there are none
 *
 * Source: ClickHouse's documentation of the format and what the engine itself writes; native.test.ts holds golden bytes, and
 * reads everything back through the engine.
 */

/** A column that is ready to be written: its name and type, and the bytes of its data in one or more pieces. */
export interface NativeColumn {
  name: string;
  type: string;
  data: readonly Uint8Array[];
}

const utf8 = new TextEncoder();

/** One block in a buffer of its own. `rows` must be what the columns' data holds; nothing here can check that. */
export function encodeBlock(rows: number, columns: readonly NativeColumn[]): Uint8Array<ArrayBuffer> {
  const encoding = encode(rows, columns);
  let step = encoding.next();
  while (!step.done) step = encoding.next();
  return step.value;
}

/** The same for a block of many megabytes: other work of the thread takes turns with it. The data must not change meanwhile. */
export async function encodeBlockInTurns(
  rows: number,
  columns: readonly NativeColumn[],
): Promise<Uint8Array<ArrayBuffer>> {
  const encoding = encode(rows, columns);
  let step = encoding.next();
  for (; !step.done; step = encoding.next()) await setImmediate();
  return step.value;
}

/** What is copied in one turn: a few hundred microseconds. */
const TURN_BYTES = 1024 * 1024;

/** Stops after each turn. */
function* encode(rows: number, columns: readonly NativeColumn[]): Generator<void, Uint8Array<ArrayBuffer>> {
  const heads = columns.map((c) => columnHead(c.name, c.type));
  let size = varuintSize(columns.length) + varuintSize(rows);
  for (let i = 0; i < columns.length; i++) {
    size += heads[i].length;
    if (rows > 0) for (const piece of columns[i].data) size += piece.length;
  }
  const out = new Uint8Array(Buffer.allocUnsafeSlow(size).buffer); // every byte is written
  let at = writeVaruint(out, 0, columns.length);
  at = writeVaruint(out, at, rows);
  let turnAt = TURN_BYTES;
  for (let i = 0; i < columns.length; i++) {
    out.set(heads[i], at);
    at += heads[i].length;
    if (rows === 0) continue;
    for (const piece of columns[i].data) {
      out.set(piece, at);
      at += piece.length;
      if (at < turnAt) continue;
      turnAt = at + TURN_BYTES;
      yield;
    }
  }
  return out;
}

const headCache = new Map<string, Uint8Array>();

/** Names and types are those of our tables: few, and the same for every block. */
function columnHead(name: string, type: string): Uint8Array {
  const key = `${name}\0${type}`;
  let head = headCache.get(key);
  if (head === undefined) {
    const strings = new StringColumn();
    strings.push(name);
    strings.push(type);
    head = strings.take();
    if (headCache.size < 1000) headCache.set(key, head);
  }
  return head;
}

/** A column of fixed-width values from the first `rows` items of a typed array, which is copied only when the block is encoded. */
export function fixedColumn(
  name: string,
  type: string,
  values: Uint8Array | Uint16Array | Uint32Array | Float64Array | BigInt64Array | BigUint64Array,
  rows: number,
): NativeColumn {
  return { name, type, data: [new Uint8Array(values.buffer, values.byteOffset, rows * values.BYTES_PER_ELEMENT)] };
}

/**
 * LowCardinality(String) from a dictionary (`keys`: as many strings as StringColumn wrote) and an index into it for each row.
 * The narrower the indexes' array, the fewer the bytes; it must be able to hold `keyCount` − 1.
 */
export function lowCardinalityColumn(
  name: string,
  keys: Uint8Array,
  keyCount: number,
  indexes: Uint8Array | Uint16Array | Uint32Array,
  rows: number,
): NativeColumn {
  const width = indexes.BYTES_PER_ELEMENT === 1 ? 0 : indexes.BYTES_PER_ELEMENT === 2 ? 1 : 2;
  const version = new Uint32Array([1, 0]);
  const head = new Uint32Array([0x600 | width, 0, keyCount, 0]);
  const tail = new Uint32Array([rows, 0]);
  return {
    name,
    type: 'LowCardinality(String)',
    data: [
      new Uint8Array(version.buffer),
      new Uint8Array(head.buffer),
      keys,
      new Uint8Array(tail.buffer),
      new Uint8Array(indexes.buffer, indexes.byteOffset, rows * indexes.BYTES_PER_ELEMENT),
    ],
  };
}

/** The narrowest array of indexes into a dictionary of `keyCount` strings. */
export function indexArray(keyCount: number, rows: number): Uint8Array | Uint16Array | Uint32Array {
  if (keyCount <= 0x100) return new Uint8Array(rows);
  if (keyCount <= 0x10000) return new Uint16Array(rows);
  return new Uint32Array(rows);
}

/** Strings one after another, each with its length before it: the data of a String column, or the keys of a dictionary. */
export class StringColumn {
  count = 0;
  #bytes = new Uint8Array(256);
  #at = 0;

  /** Appends text as UTF-8 (a lone surrogate becomes U+FFFD). */
  push(text: string): void {
    this.count++;
    // A UTF-16 unit becomes at most 3 bytes, and a length at most 5.
    if (this.#bytes.length - this.#at < text.length * 3 + 5) this.#grow(text.length * 3 + 5);
    const bytes = this.#bytes;
    const guess = varuintSize(text.length);
    const { written } = utf8.encodeInto(text, bytes.subarray(this.#at + guess));
    const size = varuintSize(written);
    if (size !== guess) bytes.copyWithin(this.#at + size, this.#at + guess, this.#at + guess + written);
    this.#at = writeVaruint(bytes, this.#at, written) + written;
  }

  /** Appends a string of any bytes. */
  pushBytes(value: Uint8Array): void {
    this.count++;
    if (this.#bytes.length - this.#at < value.length + 5) this.#grow(value.length + 5);
    this.#at = writeVaruint(this.#bytes, this.#at, value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  /** Appends `count` empty strings. */
  pushEmpty(count: number): void {
    this.count += count;
    if (this.#bytes.length - this.#at < count) this.#grow(count);
    this.#bytes.fill(0, this.#at, this.#at + count);
    this.#at += count;
  }

  /** What was written so far. It stays valid until the next push; the column then starts anew. */
  take(): Uint8Array {
    const bytes = this.#bytes.subarray(0, this.#at);
    this.#bytes = new Uint8Array(256);
    this.#at = 0;
    this.count = 0;
    return bytes;
  }

  #grow(atLeast: number): void {
    const bigger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + atLeast));
    bigger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = bigger;
  }
}

/** A LowCardinality(String) column from strings, for tables whose rows are few. */
export class DictionaryColumn {
  #index = new Map<string, number>();
  #keys = new StringColumn();
  #rows: number[] = [];

  push(text: string): void {
    let at = this.#index.get(text);
    if (at === undefined) {
      at = this.#index.size;
      this.#index.set(text, at);
      this.#keys.push(text);
    }
    this.#rows.push(at);
  }

  /** The column; the builder starts anew. */
  take(name: string): NativeColumn {
    const keyCount = this.#index.size;
    const indexes = indexArray(keyCount, this.#rows.length);
    indexes.set(this.#rows);
    const column = lowCardinalityColumn(name, this.#keys.take(), keyCount, indexes, this.#rows.length);
    this.#index.clear();
    this.#rows = [];
    return column;
  }
}

/** A Map(LowCardinality(String), Float64) column; keys are few and the same in most rows. */
export class MapColumn {
  #keys = new DictionaryColumn();
  #values: number[] = [];
  #ends = new Int64Column();

  /** A row; null is an empty map. */
  push(map: ReadonlyMap<string, number> | null): void {
    if (map !== null) {
      for (const [key, value] of map) {
        this.#keys.push(key);
        this.#values.push(value);
      }
    }
    this.#ends.push(this.#values.length);
  }

  /** The column, or null when no row has a pair: it may then be left out of the block. The builder starts anew. */
  take(name: string): NativeColumn | null {
    const values = Float64Array.from(this.#values);
    const [version, ...keys] = this.#keys.take(name).data;
    const ends = this.#ends.take(name, 'UInt64').data;
    this.#values = [];
    if (values.length === 0) return null;
    const type = 'Map(LowCardinality(String), Float64)';
    return { name, type, data: [version, ...ends, ...keys, new Uint8Array(values.buffer)] };
  }
}

/**
 * A column Map(String, V), in the order of the pairs of each map. A table may have LowCardinality keys: the server casts, and the form
 * that a LowCardinality has inside a map is not needed.
 */
export function mapColumn(
  name: string,
  type: 'String' | 'Float64',
  maps: readonly ReadonlyMap<string, string | number>[],
): NativeColumn {
  const offsets = new Int64Column();
  const keys = new StringColumn();
  const texts = new StringColumn();
  const numbers: number[] = [];
  let pairs = 0;
  for (const map of maps) {
    for (const [key, value] of map) {
      keys.push(key);
      if (type === 'String') texts.push(String(value));
      else numbers.push(Number(value));
    }
    pairs += map.size;
    offsets.push(pairs);
  }
  const values = type === 'String' ? texts.take() : new Uint8Array(Float64Array.from(numbers).buffer);
  return { name, type: `Map(String, ${type})`, data: [...offsets.take(name, 'UInt64').data, keys.take(), values] };
}

/** Int64 or UInt64 values (also DateTime64) out of JavaScript integers up to 2^53, without a BigInt for each. */
export class Int64Column {
  rows = 0;
  #words = new Uint32Array(512);

  push(value: number): void {
    if (this.rows * 2 === this.#words.length) {
      const bigger = new Uint32Array(this.#words.length * 2);
      bigger.set(this.#words);
      this.#words = bigger;
    }
    writeInt64(this.#words, this.rows++, value);
  }

  take(name: string, type: 'Int64' | 'UInt64' | 'DateTime64(3)'): NativeColumn {
    const column = fixedColumn(name, type, this.#words, this.rows * 2);
    this.rows = 0;
    this.#words = new Uint32Array(512);
    return column;
  }
}

/** Writes an integer (−2^53 … 2^53) as item `at` of an array of 64-bit integers, seen as pairs of 32-bit words. */
export function writeInt64(words: Uint32Array, at: number, value: number): void {
  words[at * 2] = value; // stored modulo 2^32, as the low word of two's complement
  words[at * 2 + 1] = Math.floor(value / 0x1_0000_0000);
}

/** The span that DateTime64(3) is exact in and that ClickHouse's functions accept: the years 1900 to 2299. */
export const TIME_MS_MIN = Date.UTC(1900, 0, 1);
export const TIME_MS_MAX = Date.UTC(2300, 0, 1) - 1;

/** Throws INPUT_INVALID for a time that DateTime64(3) cannot hold: whoever decodes must have put it aside before. */
export function assertTimeMs(timeMs: number, column: string): void {
  if (timeMs >= TIME_MS_MIN && timeMs <= TIME_MS_MAX) return;
  throw new SluiceError(
    'INPUT_INVALID',
    `${column} is ${timeMs} ms, outside of the years 1900 to 2299 of DateTime64(3)`,
    {
      values: { column, timeMs },
      remedy: 'quarantine the message',
    },
  );
}

function varuintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

function writeVaruint(out: Uint8Array, at: number, value: number): number {
  let rest = value;
  let to = at;
  while (rest >= 0x80) {
    out[to++] = (rest & 0x7f) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  out[to++] = rest;
  return to;
}

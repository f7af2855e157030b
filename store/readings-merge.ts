import { encodeBlockInTurns, indexArray, lowCardinalityColumn, type NativeColumn } from './native.ts';

/**
 * One block of `readings` made of several that are each in the order of the table's key, so that the engine need not sort what it is
 * given. A device is in one partition of the log, and the blocks of an insert are those of partitions: merging them is moving runs of rows.
 *
 *     block 1   a a a a c c c          run: the rows of a series in a block; of runs of the same series that of the earlier block is first
 *     block 2   b b d d d      ──▶     a a a a b b c c c d d d
 *
 * Series whose times overlap between two blocks, which is what late readings make, are left to the engine: it looks whether a block is sorted.
 */

/** With fewer rows in a run than this on average, moving runs costs more than the engine's sorting does. */
const RUN_ROWS_MIN = 128;

/** The columns of fixed width that a block of readings has, or may have, and the bytes of a value. */
const WIDTHS: ReadonlyMap<string, number> = new Map([
  ['DateTime64(3)', 8],
  ['Float64', 8],
  ['UInt64', 8],
  ['UInt32', 4],
  ['UInt16', 2],
  ['UInt8', 1],
]);
const TEXT = 'text';

interface Dictionary {
  /** A character for each byte, so that they compare as bytes do. */
  names: string[];
  /** Where each begins in the block, with its length before it; and where the last ends. */
  ends: number[];
  indexes: Uint8Array | Uint16Array | Uint32Array;
}

interface Fixed {
  name: string;
  type: string;
  width: number;
  at: number;
}

/** A block that is being read from its first run to its last. */
interface Source {
  number: number;
  bytes: Buffer;
  rows: number;
  device: Dictionary;
  metric: Dictionary;
  fixed: Map<string, Fixed>;
  /** Where the column of texts begins; −1 for none. */
  textAt: number;
  /** The place of its metrics among those of all blocks. */
  metricRanks: number[];
  /** Of the next run. */
  row: number;
  rowEnd: number;
}

/** Rows of one source, one behind the other, which stand so in the result as well. */
interface Piece {
  source: Source;
  from: number;
  end: number;
}

/**
 * The blocks as one, or as they are when that is not worth it, or when one of them is not what was expected. An insert has 30 MB and more,
 * which other work of the thread need not wait for: it takes turns. The blocks must not change meanwhile.
 */
export async function mergeReadings(
  blocks: readonly Uint8Array<ArrayBuffer>[],
  runRowsMin = RUN_ROWS_MIN,
): Promise<readonly Uint8Array<ArrayBuffer>[]> {
  if (blocks.length < 2) return blocks;
  const sources: Source[] = [];
  for (const block of blocks) {
    const source = read(block, sources.length);
    if (source === null) return blocks;
    sources.push(source);
  }
  const rows = sources.reduce((sum, source) => sum + source.rows, 0);
  const runs = sources.reduce((sum, source) => sum + source.device.names.length * source.metric.names.length, 0);
  if (runs * runRowsMin > rows) return blocks;
  return [await merged(sources, rows)];
}

function merged(sources: Source[], rows: number): Promise<Uint8Array<ArrayBuffer>> {
  const metrics = rankMetrics(sources);
  const metric = indexArray(metrics.length, rows);
  const devicesMax = sources.reduce((sum, { device }) => sum + device.names.length, 0);
  const device = indexArray(devicesMax, rows);
  const deviceKeys: Uint8Array[] = [];
  const pieces: Piece[] = [];
  const waiting: Source[] = [];
  for (const source of sources) if (nextRun(source)) queue(waiting, source);
  let name: string | null = null;
  let at = 0;
  for (let source = waiting.shift(); source !== undefined; source = waiting.shift()) {
    const own = source.device.indexes[source.row];
    if (source.device.names[own] !== name) {
      name = source.device.names[own];
      deviceKeys.push(keyBytes(source, source.device, own));
    }
    const end = at + source.rowEnd - source.row;
    device.fill(deviceKeys.length - 1, at, end);
    metric.fill(source.metricRanks[source.metric.indexes[source.row]], at, end);
    at = end;
    const last = pieces[pieces.length - 1];
    if (last?.source === source && last.end === source.row) last.end = source.rowEnd;
    else pieces.push({ source, from: source.row, end: source.rowEnd });
    if (nextRun(source)) queue(waiting, source);
  }
  const keys = Buffer.concat(metrics.map(({ source, own }) => keyBytes(source, source.metric, own)));
  return encodeBlockInTurns(rows, [
    lowCardinalityColumn('device', Buffer.concat(deviceKeys), deviceKeys.length, device, rows),
    lowCardinalityColumn('metric', keys, metrics.length, metric, rows),
    ...textColumn(sources, pieces),
    ...fixedColumns(sources, pieces),
  ]);
}

/** Puts a source before those whose next run comes after its own. */
function queue(waiting: Source[], source: Source): void {
  let at = 0;
  while (at < waiting.length && isBefore(waiting[at], source)) at++;
  waiting.splice(at, 0, source);
}

function isBefore(a: Source, b: Source): boolean {
  const [deviceA, deviceB] = [a.device.names[a.device.indexes[a.row]], b.device.names[b.device.indexes[b.row]]];
  if (deviceA !== deviceB) return deviceA < deviceB;
  const [metricA, metricB] = [a.metricRanks[a.metric.indexes[a.row]], b.metricRanks[b.metric.indexes[b.row]]];
  return metricA === metricB ? a.number < b.number : metricA < metricB;
}

/** Moves on to the rows of the next series; false when there are no more. */
function nextRun(source: Source): boolean {
  const { rows, device, metric, rowEnd: row } = source;
  if (row === rows) return false;
  let end = row + 1;
  while (end < rows && device.indexes[end] === device.indexes[row] && metric.indexes[end] === metric.indexes[row])
    end++;
  source.row = row;
  source.rowEnd = end;
  return true;
}

/** The metrics of all sources in the order of their bytes, with a source that knows each. */
function rankMetrics(sources: Source[]): { source: Source; own: number }[] {
  const known = new Map<string, { source: Source; own: number }>();
  for (const source of sources)
    for (const [own, name] of source.metric.names.entries()) known.set(name, { source, own });
  const names = [...known.keys()].sort();
  const ranks = new Map(names.map((name, rank) => [name, rank]));
  for (const source of sources) source.metricRanks = source.metric.names.map((name) => ranks.get(name) as number);
  return names.map((name) => known.get(name) as { source: Source; own: number });
}

function keyBytes({ bytes }: Source, { ends }: Dictionary, own: number): Uint8Array {
  return bytes.subarray(ends[own], ends[own + 1]);
}

/** A column that not all blocks have is zero in those that have not: it was left out since it is nothing else there. */
function fixedColumns(sources: readonly Source[], pieces: readonly Piece[]): NativeColumn[] {
  const columns = new Map(sources.flatMap(({ fixed }) => [...fixed]));
  return [...columns.values()].map(({ name, type, width }) => {
    const data = pieces.map(({ source, from, end }) => {
      const at = source.fixed.get(name)?.at;
      return at === undefined
        ? new Uint8Array((end - from) * width)
        : source.bytes.subarray(at + from * width, at + end * width);
    });
    return { name, type, data };
  });
}

/** A text has no fixed width: where those of a run begin is found by walking along all of them. */
function textColumn(sources: readonly Source[], pieces: readonly Piece[]): NativeColumn[] {
  if (sources.every(({ textAt }) => textAt < 0)) return [];
  const walked = new Map(sources.map((source) => [source, source.textAt]));
  const data = pieces.map(({ source, from, end }) => {
    if (source.textAt < 0) return new Uint8Array(end - from); // empty strings
    const start = walked.get(source) as number; // the pieces of a source come in the order of its rows
    const behind = skipStrings(source.bytes, start, end - from);
    walked.set(source, behind);
    return source.bytes.subarray(start, behind);
  });
  return [{ name: TEXT, type: 'String', data }];
}

/** Null when it is no block of readings as readings-block.ts writes them. */
function read(block: Uint8Array<ArrayBuffer>, number: number): Source | null {
  const reader = new Reader(Buffer.from(block.buffer, block.byteOffset, block.byteLength));
  const columns = reader.varuint();
  const rows = reader.varuint();
  const dictionaries = new Map<string, Dictionary>();
  const fixed = new Map<string, Fixed>();
  let textAt = -1;
  for (let i = 0; i < columns; i++) {
    const name = reader.string();
    const type = reader.string();
    const width = WIDTHS.get(type);
    if (type === 'LowCardinality(String)') dictionaries.set(name, reader.dictionary(rows));
    else if (type === 'String' && name === TEXT) {
      textAt = reader.at;
      reader.at = skipStrings(reader.bytes, textAt, rows);
    } else if (width === undefined) return null;
    else {
      fixed.set(name, { name, type, width, at: reader.at });
      reader.at += rows * width;
    }
  }
  const [device, metric] = [dictionaries.get('device'), dictionaries.get('metric')];
  if (device === undefined || metric === undefined || reader.at !== block.length) return null;
  // Names outside of the basic plane of Unicode are in another order by UTF-16 units than by bytes.
  if (device.names.some((name, i) => i > 0 && name <= device.names[i - 1])) return null;
  const base = { number, bytes: reader.bytes, rows, device, metric, fixed, textAt };
  return { ...base, metricRanks: [], row: 0, rowEnd: 0 };
}

/** Behind so many strings. */
function skipStrings(bytes: Buffer, from: number, count: number): number {
  let at = from;
  for (let i = 0; i < count; i++) {
    let length = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = bytes[at++];
      length += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    at += length;
  }
  return at;
}

/** Reads a block; its grammar is in native.ts. */
class Reader {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  varuint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.bytes[this.at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  string(): string {
    const length = this.varuint();
    this.at += length;
    return this.bytes.toString('latin1', this.at - length, this.at);
  }

  dictionary(rows: number): Dictionary {
    const width = 1 << (this.bytes.readUInt32LE(this.at + 8) & 3);
    const count = this.bytes.readUInt32LE(this.at + 16);
    this.at += 24;
    const names: string[] = [];
    const ends = [this.at];
    for (let i = 0; i < count; i++) {
      names.push(this.string());
      ends.push(this.at);
    }
    const from = this.at + 8; // behind the number of rows
    this.at = from + rows * width;
    if (width === 1) return { names, ends, indexes: this.bytes.subarray(from, this.at) };
    const aligned = this.bytes.buffer.slice(this.bytes.byteOffset + from, this.bytes.byteOffset + this.at);
    return { names, ends, indexes: width === 2 ? new Uint16Array(aligned) : new Uint32Array(aligned) };
  }
}

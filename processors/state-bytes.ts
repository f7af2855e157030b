import { SluiceError } from '../model/errors.ts';
import { PatchWriter } from '../model/patch.ts';
import { ALL, type Roster } from './roster.ts';
import type { ColumnCut, KnownBlocks, KnownColumn, Piece } from './state-blocks.ts';

/**
 * The forms that a checkpoint's state is written in:
 *
 *     varint   7 bits a byte, lowest first, the high bit set on all but the last; 0 … 2^53 − 1
 *     f64      8 bytes, IEEE 754, little-endian
 *     text     varint length, UTF-8
 *
 * Columns of many items are cut when they are given, and written later, block by block (state-blocks.ts): what a writer holds is a list
 * of bytes, columns and parts. The reader checks every bound and throws CHECKPOINT_UNREADABLE; it never reads past the end and never
 * allocates more than the bytes can hold.
 */
export class StateWriter {
  readonly prefix: string;
  /** Where the blocks of the state before lie, when what has not changed shall be taken from there. */
  readonly known: KnownBlocks | null;
  /** The series and devices that are written, and by what numbers. */
  readonly series: Roster;
  readonly devices: Roster;
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #at = 0;
  /** What lies before #bytes[#from]. */
  #segments: Segment[] = [];
  #from = 0;

  /** It grows; `size` is what it begins with, bytes. */
  constructor(size = 256, prefix = '', known: KnownBlocks | null = null, of: Rosters = EVERYTHING) {
    this.#bytes = new Uint8Array(size);
    this.#view = new DataView(this.#bytes.buffer);
    this.prefix = prefix;
    this.known = known;
    this.series = of.series;
    this.devices = of.devices;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#at + bytes, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  /** Some are left out: it is another state that is written, whose blocks nobody knows. */
  get leavesOut(): boolean {
    return this.series !== ALL || this.devices !== ALL;
  }

  /** Bytes that it has room for without growing. */
  get room(): number {
    return this.#bytes.length - this.#at;
  }

  varint(value: number): void {
    this.#room(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#at++] = rest;
  }

  f64(value: number): void {
    this.#room(8);
    this.#view.setFloat64(this.#at, value, true);
    this.#at += 8;
  }

  text(value: string): void {
    const bytes = Buffer.from(value);
    this.varint(bytes.length);
    this.#append(bytes);
  }

  /** Read again by `bytes` or `part`. */
  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.#append(bytes);
  }

  #append(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** A writer for a part inside this one, whose columns are told apart by the name. */
  inside(name: string): StateWriter {
    return new StateWriter(256, `${this.prefix}/${name}`, this.known, this);
  }

  /** A part of its own, which a reader can pass over. Nothing may be written to it any more. */
  part(part: StateWriter): void {
    if (part.#segments.length === 0) this.bytes(part.written());
    else this.#push({ kind: 'part', part, hasLength: true });
  }

  /** What another has written, without a length before it. Nothing may be written to it any more. */
  section(section: StateWriter): void {
    this.#push({ kind: 'part', part: section, hasLength: false });
  }

  /** A column that is written when the others are asked to. */
  column(column: ColumnCut): void {
    this.#push({ kind: 'column', column });
  }

  #push(segment: Segment): void {
    if (this.#at > this.#from) this.#segments.push({ kind: 'bytes', bytes: this.written() });
    this.#from = this.#at;
    this.#segments.push(segment);
  }

  /** A view of what was written since the last column or part; later writes do not change it. */
  written(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(this.#from, this.#at);
  }

  /** The same, and what comes now is counted anew. */
  takeWritten(): Uint8Array<ArrayBuffer> {
    const bytes = this.written();
    this.#from = this.#at;
    return bytes;
  }

  /** The columns, in their order. */
  *columns(): Generator<ColumnCut> {
    for (const segment of this.#segments) {
      if (segment.kind === 'column') yield segment.column;
      else if (segment.kind === 'part') yield* segment.part.columns();
    }
  }

  /** Bytes of the state, with those that are taken from the one before. Right when all columns are written. */
  get length(): number {
    let length = this.#at - this.#from;
    for (const segment of this.#segments) {
      if (segment.kind === 'bytes') length += segment.bytes.length;
      else if (segment.kind === 'column') length += segment.column.length;
      else length += segment.part.length + (segment.hasLength ? varintSize(segment.part.length) : 0);
    }
    return length;
  }

  /** What the state is made of, in order, and where its columns will lie. All columns must have been written. */
  pieces(): { pieces: Piece[]; blocks: KnownBlocks } {
    const pieces: Piece[] = [];
    const blocks = new Map<string, KnownColumn>();
    this.#collect(pieces, blocks, 0);
    return { pieces, blocks };
  }

  #collect(pieces: Piece[], blocks: Map<string, KnownColumn>, start: number): number {
    let at = start;
    const push = (bytes: Uint8Array): void => {
      if (bytes.length > 0) pieces.push(bytes);
      at += bytes.length;
    };
    for (const segment of this.#segments) {
      if (segment.kind === 'bytes') push(segment.bytes);
      else if (segment.kind === 'column') {
        for (const piece of segment.column.pieces) pieces.push(piece);
        blocks.set(segment.column.key, segment.column.known(at));
        at += segment.column.length;
      } else {
        if (segment.hasLength) {
          const length = new StateWriter(8);
          length.varint(segment.part.length);
          push(length.written());
        }
        at = segment.part.#collect(pieces, blocks, at);
      }
    }
    push(this.written());
    return at;
  }

  /** All of it in a buffer of its own. Only where nothing is taken from a state before. */
  finish(): Uint8Array<ArrayBuffer> {
    for (const column of this.columns()) column.write(Number.POSITIVE_INFINITY);
    const { pieces } = this.pieces();
    const out = new Uint8Array(this.length);
    let at = 0;
    for (const piece of pieces) {
      if (!(piece instanceof Uint8Array)) throw new Error('a whole state takes nothing from the one before');
      out.set(piece, at);
      at += piece.length;
    }
    return out;
  }
}

/** What a state is written with. */
export interface Rosters {
  series: Roster;
  devices: Roster;
}

export const EVERYTHING: Rosters = { series: ALL, devices: ALL };

type Segment =
  | { kind: 'bytes'; bytes: Uint8Array }
  | { kind: 'column'; column: ColumnCut }
  | { kind: 'part'; part: StateWriter; hasLength: boolean };

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

/** What makes a state out of the one before (model/patch.ts), from the pieces of a writer. */
export function patchOf(pieces: readonly Piece[]): { bytes: number; pieces: readonly Uint8Array[] } {
  const patch = new PatchWriter();
  for (const piece of pieces) {
    if (piece instanceof Uint8Array) patch.put(piece);
    else patch.copy(piece.from, piece.length);
  }
  return patch.pieces();
}

export class StateReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  varint(): number {
    let value = 0;
    let factor = 1;
    for (let i = 0; i < 8; i++) {
      if (this.#at === this.#bytes.length) this.unreadable('it ends inside a number');
      const byte = this.#bytes[this.#at++];
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) this.unreadable('a number is above 2^53');
        return value;
      }
      factor *= 0x80;
    }
    return this.unreadable('a number has too many bytes');
  }

  /** A varint below `end`. */
  below(end: number, what: string): number {
    const value = this.varint();
    if (value >= end) this.unreadable(`${what} is ${value}, and must be below ${end}`);
    return value;
  }

  /** How many items follow, each of at least one byte. */
  count(): number {
    const value = this.varint();
    if (value > this.#bytes.length - this.#at) this.unreadable(`${value} items do not fit into the rest`);
    return value;
  }

  f64(): number {
    if (this.#at + 8 > this.#bytes.length) this.unreadable('it ends inside a float');
    this.#at += 8;
    return this.#view.getFloat64(this.#at - 8, true);
  }

  text(): string {
    const length = this.count();
    this.#at += length;
    try {
      return this.#utf8.decode(this.#bytes.subarray(this.#at - length, this.#at));
    } catch {
      return this.unreadable('a text is not UTF-8');
    }
  }

  part(): StateReader {
    return new StateReader(this.bytes());
  }

  /** A view of the bytes of a part. */
  bytes(): Uint8Array {
    const length = this.count();
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  end(): void {
    if (this.#at !== this.#bytes.length) this.unreadable(`${this.#bytes.length - this.#at} bytes are left over`);
  }

  unreadable(what: string): never {
    throw new SluiceError(
      'CHECKPOINT_UNREADABLE',
      `the state of a checkpoint is unreadable at byte ${this.#at}: ${what}`,
    );
  }
}

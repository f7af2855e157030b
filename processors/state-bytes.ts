import { SluiceError } from '../model/errors.ts';
import { PatchWriter } from '../model/patch.ts';
import { withRoom } from './columns.ts';

/**
 * The forms that a checkpoint's state is written in:
 *
 *     varint   7 bits a byte, lowest first, the high bit set on all but the last; 0 … 2^53 − 1
 *     f64      8 bytes, IEEE 754, little-endian
 *     text     varint length, UTF-8
 *
 * Columns of many items are written in blocks, so that a save can leave out those that have not changed since the one before.
 * The reader checks every bound and throws CHECKPOINT_UNREADABLE; it never reads past the end and never allocates more than
 * the bytes can hold.
 */
export class StateWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #at = 0;
  readonly #prefix: string;
  readonly #known: KnownBlocks | null;
  /** What is not written here but lies in the state before: at #bytes[at] come `length` bytes from there. */
  #taken: { at: number; from: number; length: number }[] = [];
  #takenBytes = 0;
  #made: { key: string; index: number; block: KnownBlock }[] = [];

  /** Bytes so far, with those that are taken from the state before. */
  get length(): number {
    return this.#at + this.#takenBytes;
  }

  /**
   * BLOCK_ITEMS items of a column, or the last few of it: written by `write`, unless nothing of them was `changed` since the state
   * before. `column` tells the columns of a part apart.
   */
  block(column: string, index: number, items: number, changed: boolean, write: () => void): void {
    const key = `${this.#prefix}/${column}`;
    const before = changed ? undefined : this.#known?.get(key)?.[index];
    const from = this.length;
    if (before !== undefined && before.items === items) {
      this.#taken.push({ at: this.#at, from: before.from, length: before.length });
      this.#takenBytes += before.length;
    } else write();
    this.#made.push({ key, index, block: { from, length: this.length - from, items } });
  }

  /**
   * It grows; `size` is what it begins with, bytes. `known` says where the blocks of the state before lie, when what has not changed
   * shall be taken from there.
   */
  constructor(size = 64 * 1024, prefix = '', known: KnownBlocks | null = null) {
    this.#bytes = new Uint8Array(size);
    this.#view = new DataView(this.#bytes.buffer);
    this.#prefix = prefix;
    this.#known = known;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#at + bytes, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
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
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** A writer for a part inside this one, whose blocks are told apart by the name. */
  inside(name: string): StateWriter {
    return new StateWriter(64 * 1024, `${this.#prefix}/${name}`, this.#known);
  }

  /** A part of its own, which a reader can pass over. */
  part(part: StateWriter): void {
    const bytes = part.#bytes.subarray(0, part.#at);
    this.varint(part.length);
    const from = this.length;
    for (const { key, index, block } of part.#made) {
      this.#made.push({ key, index, block: { ...block, from: from + block.from } });
    }
    for (const taken of part.#taken) this.#taken.push({ ...taken, at: this.#at + taken.at });
    this.#takenBytes += part.#takenBytes;
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

  /** A copy of what was written, in a buffer of its own. Only when nothing was taken from a state before. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#at);
  }

  /** What makes this state out of the one before (model/patch.ts). */
  finishChange(): Uint8Array<ArrayBuffer> {
    const patch = new PatchWriter();
    let at = 0;
    for (const taken of this.#taken) {
      patch.put(this.#bytes.subarray(at, taken.at));
      patch.copy(taken.from, taken.length);
      at = taken.at;
    }
    patch.put(this.#bytes.subarray(at, this.#at));
    return patch.finish();
  }

  /** Where the blocks of this state lie. */
  blocks(): KnownBlocks {
    const blocks = new Map<string, KnownBlock[]>();
    for (const { key, index, block } of this.#made) {
      const column = blocks.get(key);
      if (column === undefined) blocks.set(key, [block]);
      else column[index] = block;
    }
    return blocks;
  }
}

/** Where each block of each column lies in a state. */
export type KnownBlocks = ReadonlyMap<string, readonly KnownBlock[]>;

interface KnownBlock {
  from: number;
  length: number;
  items: number;
}

/** Small, so that a few active devices among many do not touch every block. */
export const BLOCK_ITEMS = 64;
const BLOCK_SHIFT = 6;

/** Which blocks of a column have changed since the last save. */
export class ChangedBlocks {
  #marks = new Uint8Array(64);

  /** On the hot path: one store. */
  mark(item: number): void {
    const block = item >>> BLOCK_SHIFT;
    if (block >= this.#marks.length) this.#grow(block);
    this.#marks[block] = 1;
  }

  /** By itself, so that `mark` is short enough to be inlined beside the aggregates. */
  #grow(block: number): void {
    this.#marks = withRoom(this.#marks, block, 0);
  }

  /** Writes items 0 … count − 1 block by block, `write` one item; then nothing is marked any more. */
  save(out: StateWriter, column: string, count: number, write: (item: number) => void): void {
    for (let begin = 0, block = 0; begin < count; begin += BLOCK_ITEMS, block++) {
      const end = Math.min(count, begin + BLOCK_ITEMS);
      const changed = block < this.#marks.length && this.#marks[block] !== 0;
      out.block(column, block, end - begin, changed, () => {
        for (let item = begin; item < end; item++) write(item);
      });
    }
    this.#marks.fill(0);
  }
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

import { withRoom } from './columns.ts';
import { ALL, type Roster } from './roster.ts';
import { StateWriter } from './state-bytes.ts';

/**
 * Large columns of a state are written in blocks of BLOCK_ITEMS items, so that a save leaves out what has not changed since the one
 * before, and so that it can be spread: at the end of a frame the columns are *cut*, which notes what has to be written, and the blocks
 * are written a few at a time while frames go on. What is written is the state at the cut all the same, because whoever changes an
 * item says so before (`mark`), and a block that is still to be written is then written first.
 *
 *     cut ──▶ blocks written in their order, between frames ──▶ all written: pieces
 *      └─ mark(item) of a block that is not yet written ─▶ its bytes are put aside, and used when its turn comes
 */

/** Small, so that a few active devices among many do not touch every block. */
export const BLOCK_ITEMS = 64;
const BLOCK_SHIFT = 6;

/** Bytes of a state, or so many bytes of the state before from a place there. */
export type Piece = Uint8Array | { from: number; length: number };

/** Where each block of each column lies in a state. */
export type KnownBlocks = ReadonlyMap<string, KnownColumn>;

export interface KnownColumn {
  start: number;
  items: number;
  /** Where each block ends, counted from `start`. */
  ends: Float64Array;
}

/** Writes one item of a column. It takes the numbers of series and devices from `out`, and nothing else that it writes by. */
export type WriteItem = (item: number, out: StateWriter) => void;

/** Which blocks of a column have changed since the last save. */
export class ChangedBlocks {
  #marks = new Uint8Array(64);
  #cut: ColumnCut | null = null;

  /** An item is about to change. To be called before it does; on the hot path: one look. */
  mark(item: number): void {
    const block = item >>> BLOCK_SHIFT;
    if (block >= this.#marks.length || this.#marks[block] === 0) this.#first(block);
  }

  /** The first change of a block. By itself, so that `mark` is short enough to be inlined. */
  #first(block: number): void {
    this.#marks = withRoom(this.#marks, block, 0);
    this.#marks[block] = 1;
    this.#cut?.keep(block);
  }

  /** Every item up to `count` is about to change. */
  markAll(count: number): void {
    for (let item = 0; item < count; item += BLOCK_ITEMS) this.mark(item);
  }

  /**
   * Cuts items 0 … count − 1, which `write` writes one by one. Then nothing is marked any more. To a writer that leaves something out those
   * items are written at once that are in `of`, and what was cut or marked stays as it is.
   */
  save(out: StateWriter, column: string, count: number, write: WriteItem, of: Roster = ALL): void {
    if (out.leavesOut) {
      of.each(count, (item) => write(item, out));
      return;
    }
    this.#cut = new ColumnCut(out, column, count, this.#marks, write);
    this.#marks = new Uint8Array(this.#marks.length);
    out.column(this.#cut);
  }
}

/** Items that once they are there never change, such as names: nothing has to be marked. */
export function saveFixed(out: StateWriter, column: string, count: number, write: WriteItem, of: Roster = ALL): void {
  if (out.leavesOut) of.each(count, (item) => write(item, out));
  else out.column(new ColumnCut(out, column, count, new Uint8Array(0), write));
}

/** A page of written blocks; several pieces lie in one. */
const PAGE_BYTES = 256 << 10;

/** One column of a state at the moment of its cut. */
export class ColumnCut {
  readonly key: string;
  /** In order; complete when `write` has said so. */
  pieces: Piece[] = [];
  /** Bytes of the blocks so far, those that are taken from the state before among them. */
  length = 0;
  readonly #count: number;
  readonly #changed: Uint8Array;
  readonly #before: KnownColumn | undefined;
  readonly #write: WriteItem;
  readonly #ends: Float64Array;
  readonly #kept = new Map<number, Uint8Array>();
  #next = 0;
  #page = new StateWriter(0);

  constructor(out: StateWriter, column: string, count: number, changed: Uint8Array, write: WriteItem) {
    this.key = `${out.prefix}/${column}`;
    this.#count = count;
    this.#changed = changed;
    this.#before = out.known?.get(this.key);
    this.#write = write;
    this.#ends = new Float64Array(Math.ceil(count / BLOCK_ITEMS));
  }

  /** A block is about to change: puts its bytes aside when they have yet to be written. */
  keep(block: number): void {
    if (block < this.#next || block >= this.#ends.length || this.#kept.has(block) || this.#isTaken(block)) return;
    const out = new StateWriter();
    this.#items(block, out);
    this.#kept.set(block, out.written());
  }

  /** Whether the block stands in the state before as it is. */
  #isTaken(block: number): boolean {
    const before = this.#before;
    if (before === undefined || (block < this.#changed.length && this.#changed[block] !== 0)) return false;
    return Math.min(this.#count, (block + 1) * BLOCK_ITEMS) === Math.min(before.items, (block + 1) * BLOCK_ITEMS);
  }

  #items(block: number, out: StateWriter): void {
    const end = Math.min(this.#count, (block + 1) * BLOCK_ITEMS);
    for (let item = block * BLOCK_ITEMS; item < end; item++) this.#write(item, out);
  }

  get isWritten(): boolean {
    return this.#next === this.#ends.length;
  }

  /** Writes on, up to about so many bytes; returns how many are left of them. */
  write(bytesMax: number): number {
    let left = bytesMax;
    const ends = this.#ends;
    while (this.#next < ends.length && left > 0) {
      const block = this.#next++;
      if (this.#isTaken(block)) {
        this.#take(block);
        left -= LOOK_BYTES;
      } else {
        const bytes = this.#block(block);
        this.length += bytes;
        left -= LOOK_BYTES + bytes;
      }
      ends[block] = this.length;
    }
    if (this.isWritten) {
      this.#flush();
      this.#page = new StateWriter(0);
    }
    return left;
  }

  #take(block: number): void {
    const { start, ends } = this.#before as KnownColumn;
    const begin = block === 0 ? 0 : ends[block - 1];
    const length = ends[block] - begin;
    this.length += length;
    this.#flush();
    const last = this.pieces.at(-1);
    const from = start + begin;
    if (last !== undefined && !(last instanceof Uint8Array) && last.from + last.length === from) last.length += length;
    else this.pieces.push({ from, length });
  }

  #block(block: number): number {
    const kept = this.#kept.get(block);
    if (kept !== undefined) {
      this.#kept.delete(block);
      this.#flush();
      this.pieces.push(kept);
      return kept.length;
    }
    if (this.#page.room < PAGE_BYTES / 4) {
      this.#flush();
      this.#page = new StateWriter(PAGE_BYTES);
    }
    const from = this.#page.written().length;
    this.#items(block, this.#page);
    return this.#page.written().length - from;
  }

  #flush(): void {
    const bytes = this.#page.takeWritten();
    if (bytes.length > 0) this.pieces.push(bytes);
  }

  /** Where its blocks lie when it begins at `start`. */
  known(start: number): KnownColumn {
    return { start, items: this.#count, ends: this.#ends };
  }

  /** Lets go of the bytes; whoever needed them has them. */
  release(): void {
    this.pieces = [];
  }
}

/** What looking at a block counts as, in bytes written. */
const LOOK_BYTES = 16;

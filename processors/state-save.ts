import type { SavedState, StateSizes } from './partition-state.ts';
import type { KnownBlocks, Piece } from './state-blocks.ts';
import { patchOf, type StateWriter } from './state-bytes.ts';

/**
 * A state on its way into bytes. It was cut at the end of a frame; each `step` writes a bounded piece of it, and frames may be worked at
 * between two of them. First come the blocks of the columns, then all is put together in one buffer.
 */
export class StateSave {
  readonly #out: StateWriter;
  readonly #writers: ReadonlyMap<string, StateWriter>;
  readonly #isChange: boolean;
  readonly #sizes: Omit<StateSizes, 'bytes'>;
  #assembly: Assembly | null = null;

  constructor(
    out: StateWriter,
    writers: ReadonlyMap<string, StateWriter>,
    isChange: boolean,
    sizes: Omit<StateSizes, 'bytes'>,
  ) {
    this.#out = out;
    this.#writers = writers;
    this.#isChange = isChange;
    this.#sizes = sizes;
  }

  /** Writes about so many bytes more; returns the state when that was the last of it, else null. */
  step(bytesMax: number): SavedState | null {
    let left = bytesMax;
    for (const column of this.#out.columns()) {
      if (!column.isWritten) left = column.write(left);
      if (!column.isWritten) return null;
    }
    this.#assembly ??= this.#assemble();
    const { bytes, blocks, stateBytes, sizes } = this.#assembly;
    if (!this.#copy(this.#assembly, Math.max(left, bytesMax / 2) * COPIES_BYTES)) return null;
    return { bytes, isChange: this.#isChange, stateBytes, sizes, blocks };
  }

  #assemble(): Assembly {
    const { pieces, blocks } = this.#out.pieces();
    const stateBytes = this.#out.length;
    const patch = this.#isChange ? patchOf(pieces) : { bytes: stateBytes, pieces: pieces.filter(isBytes) };
    const sizes = { ...this.#sizes, bytes: new Map([...this.#writers].map(([name, { length }]) => [name, length])) };
    for (const column of this.#out.columns()) column.release();
    return { ...patch, bytes: new Uint8Array(patch.bytes), next: 0, at: 0, blocks, stateBytes, sizes };
  }

  /** Copies about so many bytes; false when there is more. */
  #copy(assembly: Assembly, bytesMax: number): boolean {
    const end = assembly.at + bytesMax;
    while (assembly.next < assembly.pieces.length && assembly.at < end) {
      const piece = assembly.pieces[assembly.next++];
      assembly.bytes.set(piece, assembly.at);
      assembly.at += piece.length;
    }
    return assembly.next === assembly.pieces.length;
  }
}

interface Assembly {
  pieces: readonly Uint8Array[];
  next: number;
  bytes: Uint8Array<ArrayBuffer>;
  at: number;
  blocks: KnownBlocks;
  stateBytes: number;
  sizes: StateSizes;
}

/** Copying costs about so many times less than writing. */
const COPIES_BYTES = 8;

function isBytes(piece: Piece): piece is Uint8Array {
  return piece instanceof Uint8Array;
}

/**
 * Memory for states that do not fit into a row: blocks of 2^k doubles, from chunks that are never moved or given back. A freed
 * block is the next that is taken of its size. Whoever keeps a block keeps its handle, a whole number that fits into a
 * double of the row, and asks for chunk and offset at each use:
 *
 *     handle      block · 32 + k
 *     chunk       64 KiB, or one block where that is larger
 */
export class BlockPool {
  /** Memory of all chunks. */
  bytes = 0;
  /** By k. */
  readonly #chunks: Float64Array[][] = Array.from({ length: SIZES }, () => []);
  readonly #free: number[][] = Array.from({ length: SIZES }, () => []);
  readonly #used = new Int32Array(SIZES);

  /** A block of 2^k doubles, all 0. */
  take(k: number): number {
    const freed = this.#free[k].pop();
    if (freed !== undefined) {
      const offset = this.offset(freed);
      this.chunk(freed).fill(0, offset, offset + 2 ** k);
      return freed;
    }
    const perChunk = 1 << Math.max(0, CHUNK_K - k);
    const block = this.#used[k]++;
    if (block % perChunk === 0) {
      const chunk = new Float64Array(perChunk * 2 ** k);
      this.bytes += chunk.byteLength;
      this.#chunks[k].push(chunk);
    }
    return block * 32 + k;
  }

  give(handle: number): void {
    this.#free[handle & 31].push(handle);
  }

  /** The array that holds the block; it stays valid for ever. */
  chunk(handle: number): Float64Array {
    const k = handle & 31;
    return this.#chunks[k][handle >>> (5 + Math.max(0, CHUNK_K - k))];
  }

  /** Where the block begins in its chunk. */
  offset(handle: number): number {
    const k = handle & 31;
    return ((handle >>> 5) & ((1 << Math.max(0, CHUNK_K - k)) - 1)) << k;
  }

  /** Doubles of the block. */
  size(handle: number): number {
    return 1 << (handle & 31);
  }
}

/** Stands where there is no block. */
export const NO_BLOCK = -1;

const CHUNK_K = 13;
const SIZES = 17;

/** The least k with 2^k ≥ `doubles`. */
export function sizeFor(doubles: number): number {
  return doubles <= 1 ? 0 : 32 - Math.clz32(doubles - 1);
}

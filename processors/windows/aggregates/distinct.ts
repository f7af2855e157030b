import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { FurtherAggregate, StateColumn } from './aggregate.ts';
import { type BlockPool, NO_BLOCK, sizeFor } from './block-pool.ts';
import type { WindowResult } from './window-state.ts';

/**
 * How many different values. Exact up to EXACT_MAX of them, which are kept sorted; beyond that a HyperLogLog of 4,096 registers in
 * the same 4 KiB, with a standard error of 1.04 / √4096 = 1.6 %. Which of the two it is, and its result, depend on the set of values
 * alone, so any order and any split into parts give the same.
 *
 * The estimate is Ertl's, which has no bias to correct at any cardinality (O. Ertl, "New cardinality estimation algorithms for
 * HyperLogLog sketches", 2017, algorithm 6).
 */
export class Distinct implements FurtherAggregate {
  readonly width = 2;
  readonly #pool: BlockPool;

  constructor(pool: BlockPool) {
    this.#pool = pool;
  }

  begin(state: StateColumn, at: number): void {
    state[at + BLOCK] = NO_BLOCK;
    state[at + COUNT] = 0;
  }

  push(state: StateColumn, at: number, value: number): void {
    const count = state[at + COUNT];
    if (count === ESTIMATED) this.#register(state[at + BLOCK], value);
    else this.#insert(state, at, count, value);
  }

  #insert(state: StateColumn, at: number, count: number, value: number): void {
    let block = state[at + BLOCK];
    if (block === NO_BLOCK) {
      block = this.#pool.take(FIRST_K);
      state[at + BLOCK] = block;
    }
    let values = this.#pool.chunk(block);
    let from = this.#pool.offset(block);
    let low = from;
    let high = from + count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[middle] < value) low = middle + 1;
      else high = middle;
    }
    if (low < from + count && values[low] === value) return;
    if (count === EXACT_MAX) {
      this.#estimate(state, at);
      this.#register(state[at + BLOCK], value);
      return;
    }
    if (count === this.#pool.size(block)) {
      const larger = this.#pool.take(sizeFor(count * 2));
      const into = this.#pool.offset(larger);
      this.#pool.chunk(larger).set(values.subarray(from, from + count), into);
      this.#pool.give(block);
      state[at + BLOCK] = larger;
      low += into - from;
      values = this.#pool.chunk(larger);
      from = into;
    }
    values.copyWithin(low + 1, low, from + count);
    values[low] = value;
    state[at + COUNT] = count + 1;
  }

  /** From the values themselves to registers. */
  #estimate(state: StateColumn, at: number): void {
    const exact = state[at + BLOCK];
    const registers = this.#pool.take(REGISTERS_K);
    if (exact !== NO_BLOCK) {
      const from = this.#pool.offset(exact);
      const values = this.#pool.chunk(exact);
      for (let i = 0; i < state[at + COUNT]; i++) this.#register(registers, values[from + i]);
      this.#pool.give(exact);
    }
    state[at + BLOCK] = registers;
    state[at + COUNT] = ESTIMATED;
  }

  #bytes(block: number): Uint8Array {
    const chunk = this.#pool.chunk(block);
    return new Uint8Array(chunk.buffer, this.#pool.offset(block) * 8, REGISTERS);
  }

  #register(block: number, value: number): void {
    // 0 and −0 are one value.
    double[0] = value === 0 ? 0 : value;
    const index = hash(SEED_INDEX) >>> (32 - P);
    const rank = Math.clz32(hash(SEED_RANK)) + 1;
    const chunk = this.#pool.chunk(block);
    // Eight registers lie in a double; its bytes are reached through a view that is made once for each chunk.
    let bytes = views.get(chunk);
    if (bytes === undefined) {
      bytes = new Uint8Array(chunk.buffer);
      views.set(chunk, bytes);
    }
    const at = this.#pool.offset(block) * 8 + index;
    if (rank > bytes[at]) bytes[at] = rank;
  }

  merge(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    const block = from[fromAt + BLOCK];
    const count = from[fromAt + COUNT];
    if (count !== ESTIMATED) {
      for (let i = 0; i < count; i++) this.push(state, at, this.#pool.chunk(block)[this.#pool.offset(block) + i]);
      return;
    }
    if (state[at + COUNT] !== ESTIMATED) this.#estimate(state, at);
    const own = this.#bytes(state[at + BLOCK]);
    const other = this.#bytes(block);
    for (let i = 0; i < REGISTERS; i++) if (other[i] > own[i]) own[i] = other[i];
  }

  join(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    this.merge(state, at, from, fromAt);
  }

  results(state: StateColumn, at: number, _base: WindowResult, into: Map<string, number>): void {
    const count = state[at + COUNT];
    into.set('distinct', count === ESTIMATED ? estimateOf(this.#bytes(state[at + BLOCK])) : count);
  }

  release(state: StateColumn, at: number): void {
    if (state[at + BLOCK] !== NO_BLOCK) this.#pool.give(state[at + BLOCK]);
    state[at + BLOCK] = NO_BLOCK;
  }

  /** 0 and the registers, or 1 + the count and the values. */
  save(state: StateColumn, at: number, out: StateWriter): void {
    const block = state[at + BLOCK];
    const count = state[at + COUNT];
    if (count === ESTIMATED) {
      out.varint(0);
      for (const register of this.#bytes(block)) out.varint(register);
      return;
    }
    out.varint(1 + count);
    for (let i = 0; i < count; i++) out.f64(this.#pool.chunk(block)[this.#pool.offset(block) + i]);
  }

  restore(state: StateColumn, at: number, from: StateReader): void {
    this.begin(state, at);
    const counted = from.below(EXACT_MAX + 2, 'the count of distinct values');
    if (counted === 0) {
      this.#estimate(state, at);
      const registers = this.#bytes(state[at + BLOCK]);
      for (let i = 0; i < REGISTERS; i++) registers[i] = from.below(RANK_MAX + 1, 'a register');
    } else for (let i = 1; i < counted; i++) this.push(state, at, from.f64());
  }
}

const BLOCK = 0;
/** Of exact values; ESTIMATED when the block holds registers. */
const COUNT = 1;
const ESTIMATED = -1;

export const EXACT_MAX = 512;
const FIRST_K = 2;
const P = 12;
const REGISTERS = 1 << P;
const REGISTERS_K = P - 3;
/** Ranks come from 32 bits: the leading zeros and one more. */
const RANK_BITS = 32;
const RANK_MAX = RANK_BITS + 1;

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);
const views = new WeakMap<Float64Array, Uint8Array>();
const SEED_INDEX = 0x2f6e2b1;
const SEED_RANK = 0x61c88647;

/** MurmurHash3 (x86, 32 bits; A. Appleby) of the eight bytes of `double`. */
function hash(seed: number): number {
  let h = seed;
  for (let i = 0; i < 2; i++) {
    let word = Math.imul(words[i], 0xcc9e2d51);
    word = Math.imul((word << 15) | (word >>> 17), 0x1b873593);
    h ^= word;
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
  }
  h ^= 8;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function estimateOf(registers: Uint8Array): number {
  const ranks = new Float64Array(RANK_MAX + 1);
  for (const rank of registers) ranks[rank]++;
  let z = REGISTERS * tau(1 - ranks[RANK_MAX] / REGISTERS);
  for (let k = RANK_BITS; k >= 1; k--) z = 0.5 * (z + ranks[k]);
  z += REGISTERS * sigma(ranks[0] / REGISTERS);
  return Math.round((REGISTERS * REGISTERS) / (2 * Math.LN2 * z));
}

/** x + Σ x^(2^k) · 2^(k−1). */
function sigma(x: number): number {
  if (x === 1) return Number.POSITIVE_INFINITY;
  let power = x;
  let factor = 1;
  let sum = x;
  for (let before = Number.NaN; before !== sum; factor *= 2) {
    power *= power;
    before = sum;
    sum += power * factor;
  }
  return sum;
}

/** (1 − x − Σ (1 − x^(2^−k))² · 2^−k) / 3. */
function tau(x: number): number {
  if (x === 0 || x === 1) return 0;
  let root = x;
  let factor = 1;
  let sum = 1 - x;
  for (let before = Number.NaN; before !== sum; ) {
    root = Math.sqrt(root);
    before = sum;
    factor *= 0.5;
    sum -= (1 - root) * (1 - root) * factor;
  }
  return sum / 3;
}

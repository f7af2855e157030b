import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { FurtherAggregate, StateColumn } from './aggregate.ts';
import { type BlockPool, NO_BLOCK, sizeFor } from './block-pool.ts';
import type { WindowResult } from './window-state.ts';

/**
 * Percentiles by a DDSketch (C. Masson, J. Rim, H. Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
 * guarantees", 2019): a result is within 1 % of the value of rank ⌊p/100 · (n − 1)⌋ among the sorted readings, and never outside of
 * [min, max]. One sketch serves all percentiles of a window.
 *
 *     bin k      values in (γ^(k−1), γ^k], γ = (1 + α)/(1 − α), told as 2γ^k/(γ + 1)
 *     row        zeros, then for values below 0 and above: block of counts, key of its first bin
 *
 * A block covers the bins from the least to the largest that has a value, rounded up to a power of two: values between 20 and 25
 * need 12 bins. At most BINS_MAX, which is 35 orders of magnitude between the smallest and the largest magnitude of one sign;
 * magnitudes smaller than that are counted in the lowest bin. All of it depends on the set of values alone, not on their order.
 */
export class Percentiles implements FurtherAggregate {
  readonly width = 1 + 2 * STORE;
  readonly #pool: BlockPool;
  readonly #percents: readonly number[];
  readonly #names: readonly string[];

  constructor(percents: readonly number[], pool: BlockPool) {
    this.#pool = pool;
    this.#percents = percents;
    this.#names = percents.map((percent) => `p${percent}`);
  }

  begin(state: StateColumn, at: number): void {
    state[at] = 0;
    state[at + BELOW] = NO_BLOCK;
    state[at + ABOVE] = NO_BLOCK;
  }

  push(state: StateColumn, at: number, value: number): void {
    if (value > 0) this.#add(state, at + ABOVE, Math.ceil(Math.log(value) * PER_LOG), 1);
    else if (value < 0) this.#add(state, at + BELOW, Math.ceil(Math.log(-value) * PER_LOG), 1);
    else state[at]++;
  }

  #add(state: StateColumn, at: number, key: number, count: number): void {
    let block = state[at];
    let bin = key - state[at + 1];
    if (block === NO_BLOCK || bin < 0 || bin >= this.#pool.size(block)) {
      bin = this.#makeRoom(state, at, key) - state[at + 1];
      block = state[at];
    }
    this.#pool.chunk(block)[this.#pool.offset(block) + bin] += count;
  }

  /** The block comes to cover `key`, or the lowest bin that it may have; returns the key to count. */
  #makeRoom(state: StateColumn, at: number, key: number): number {
    const pool = this.#pool;
    const old = state[at];
    const oldBase = state[at + 1];
    let low = key;
    let high = key;
    if (old !== NO_BLOCK) {
      const [first, last] = this.#span(old);
      low = Math.min(low, oldBase + first);
      high = Math.max(high, oldBase + last);
    }
    low = Math.max(low, high - BINS_MAX + 1);
    const bins = high - low + 1;
    const block = pool.take(Math.max(FIRST_K, sizeFor(bins)));
    const base = low - ((pool.size(block) - bins) >> 1);
    if (old !== NO_BLOCK) {
      const [first, last] = this.#span(old);
      const from = pool.chunk(old);
      const fromAt = pool.offset(old);
      const into = pool.chunk(block);
      const intoAt = pool.offset(block);
      for (let i = first; i <= last; i++) into[intoAt + Math.max(oldBase + i, low) - base] += from[fromAt + i];
      pool.give(old);
    }
    state[at] = block;
    state[at + 1] = base;
    return Math.max(key, low);
  }

  /** The first and the last bin of a block that have a value; one has. */
  #span(block: number): [number, number] {
    const counts = this.#pool.chunk(block);
    const offset = this.#pool.offset(block);
    let first = 0;
    while (counts[offset + first] === 0) first++;
    let last = this.#pool.size(block) - 1;
    while (counts[offset + last] === 0) last--;
    return [first, last];
  }

  merge(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    state[at] += from[fromAt];
    for (const store of [BELOW, ABOVE]) {
      const block = from[fromAt + store];
      if (block === NO_BLOCK) continue;
      const counts = this.#pool.chunk(block);
      const offset = this.#pool.offset(block);
      const base = from[fromAt + store + 1];
      // From the highest, so that the block need be made larger once at most for each doubling.
      const [first, last] = this.#span(block);
      for (let i = last; i >= first; i--)
        if (counts[offset + i] > 0) this.#add(state, at + store, base + i, counts[offset + i]);
    }
  }

  join(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    this.merge(state, at, from, fromAt);
  }

  results(state: StateColumn, at: number, base: WindowResult, into: Map<string, number>): void {
    for (let i = 0; i < this.#percents.length; i++) {
      const rank = Math.floor((this.#percents[i] * (base.count - 1)) / 100);
      const value = this.#valueAt(state, at, rank);
      // Which of 0 and −0 is the least or the largest depends on the order: both are told as 0.
      into.set(this.#names[i], Math.min(base.max, Math.max(base.min, value)) + 0);
    }
  }

  /** Within 1 % of the value that has `rank` others below it. */
  #valueAt(state: StateColumn, at: number, rank: number): number {
    let left = rank;
    const below = state[at + BELOW];
    if (below !== NO_BLOCK) {
      const counts = this.#pool.chunk(below);
      const offset = this.#pool.offset(below);
      for (let i = this.#pool.size(below) - 1; i >= 0; i--) {
        left -= counts[offset + i];
        if (left < 0) return -middleOf(state[at + BELOW + 1] + i);
      }
    }
    left -= state[at];
    const above = state[at + ABOVE];
    if (left < 0 || above === NO_BLOCK) return 0;
    const counts = this.#pool.chunk(above);
    const offset = this.#pool.offset(above);
    const size = this.#pool.size(above);
    for (let i = 0; i < size; i++) {
      left -= counts[offset + i];
      if (left < 0) return middleOf(state[at + ABOVE + 1] + i);
    }
    return Number.POSITIVE_INFINITY;
  }

  release(state: StateColumn, at: number): void {
    for (const store of [BELOW, ABOVE]) {
      if (state[at + store] !== NO_BLOCK) this.#pool.give(state[at + store]);
      state[at + store] = NO_BLOCK;
    }
  }

  /** Zeros; then for each sign how many bins from the first to the last with a value, the key of the first, and the counts. */
  save(state: StateColumn, at: number, out: StateWriter): void {
    out.varint(state[at]);
    for (const store of [BELOW, ABOVE]) {
      const block = state[at + store];
      if (block === NO_BLOCK) {
        out.varint(0);
        continue;
      }
      const [first, last] = this.#span(block);
      out.varint(last - first + 1);
      out.varint(state[at + store + 1] + first + KEY_ZERO);
      const counts = this.#pool.chunk(block);
      const offset = this.#pool.offset(block);
      for (let i = first; i <= last; i++) out.varint(counts[offset + i]);
    }
  }

  restore(state: StateColumn, at: number, from: StateReader): void {
    this.begin(state, at);
    state[at] = from.varint();
    for (const store of [BELOW, ABOVE]) {
      const bins = from.below(BINS_MAX + 1, 'the count of bins');
      if (bins === 0) continue;
      const key = from.below(2 * KEY_ZERO, 'the key of a bin') - KEY_ZERO;
      for (let i = 0; i < bins; i++) {
        const count = from.varint();
        if (count > 0) this.#add(state, at + store, key + i, count);
        else if (i === 0 || i === bins - 1) from.unreadable('the first or the last bin is empty');
      }
    }
  }
}

/** The relative error. */
export const ALPHA = 0.01;
const LOG_GAMMA = Math.log((1 + ALPHA) / (1 - ALPHA));
const PER_LOG = 1 / LOG_GAMMA;
/** 2γ^k/(γ + 1): as far, relatively, from the bin's lower end as from its upper. */
const middleOf = (key: number): number => Math.exp(key * LOG_GAMMA) * (1 - ALPHA);

export const BINS_MAX = 4096;
const FIRST_K = 3;
/** Above the magnitude of every key: ln(2^1075) · PER_LOG is 37,257. */
const KEY_ZERO = 40_000;

/** Doubles of one sign's store: its block, and the key of the block's first bin. */
const STORE = 2;
const BELOW = 1;
const ABOVE = BELOW + STORE;

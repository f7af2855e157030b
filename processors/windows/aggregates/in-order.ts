import type { AggregateSpec } from '../../../model/window.ts';
import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { FurtherAggregate, StateColumn } from './aggregate.ts';
import { type BlockPool, NO_BLOCK } from './block-pool.ts';
import { increase, rate } from './rate.ts';
import { area } from './time-avg.ts';
import type { WindowResult } from './window-state.ts';

/**
 * `rate` and `time_avg` go from reading to reading in order of time, so they keep the readings, sorted; those of one time by value. A
 * reading that comes out of order, or late, is put where it belongs, and the result is that of the sorted readings, in whatever order
 * and parts they came. In order, a reading is appended.
 *
 *     first ──folded: increase, area──▶ oldest kept · · · · newest          block: ts, value, ts, value …
 *
 * The bound: with SAMPLES_MAX readings the older half is folded into its sums. A reading older than the oldest kept is then
 * not taken, and counted in the result `left_out`: one that is both late and more than SAMPLES_MAX / 2 readings behind. Folded
 * states merge exactly when they do not overlap in time, as panes of hopping windows and sessions do not.
 *
 * Of joined series the rates add up; their time-weighted average is over the time of all of them: Σ area / Σ time.
 */
export class InOrder implements FurtherAggregate {
  readonly width = WIDTH;
  readonly #pool: BlockPool;
  readonly #rate: boolean;
  readonly #timeAvg: boolean;

  constructor(kinds: readonly AggregateSpec['kind'][], pool: BlockPool) {
    this.#pool = pool;
    this.#rate = kinds.includes('rate');
    this.#timeAvg = kinds.includes('time_avg');
  }

  begin(state: StateColumn, at: number): void {
    state.fill(0, at, at + WIDTH);
    state[at + BLOCK] = NO_BLOCK;
  }

  push(state: StateColumn, at: number, value: number, tsMs: number): void {
    if (this.#isFoldedAway(state, at, value, tsMs)) state[at + LEFT_OUT]++;
    else {
      this.#insert(state, at, value, tsMs);
      if (state[at + COUNT] >= SAMPLES_MAX) this.#fold(state, at, SAMPLES_MAX / 2);
    }
  }

  /** Whether a reading lies before the oldest that is kept, where there are sums only. */
  #isFoldedAway(state: StateColumn, at: number, value: number, tsMs: number): boolean {
    if (state[at + FOLDED] === 0) return false;
    const samples = this.#pool.chunk(state[at + BLOCK]);
    const from = this.#pool.offset(state[at + BLOCK]);
    return isBefore(tsMs, value, samples[from], samples[from + 1]);
  }

  #insert(state: StateColumn, at: number, value: number, tsMs: number): void {
    const pool = this.#pool;
    const count = state[at + COUNT];
    let block = state[at + BLOCK];
    if (block === NO_BLOCK) {
      block = pool.take(FIRST_K);
      state[at + BLOCK] = block;
    } else if (count * 2 === pool.size(block)) {
      const larger = pool.take((block & 31) + 1);
      const from = pool.offset(block);
      pool.chunk(larger).set(pool.chunk(block).subarray(from, from + count * 2), pool.offset(larger));
      pool.give(block);
      block = larger;
      state[at + BLOCK] = block;
    }
    const samples = pool.chunk(block);
    const from = pool.offset(block);
    const end = from + count * 2;
    let to = end;
    if (count > 0 && isBefore(tsMs, value, samples[end - 2], samples[end - 1])) {
      let low = 0;
      let high = count - 1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (isBefore(tsMs, value, samples[from + middle * 2], samples[from + middle * 2 + 1])) high = middle;
        else low = middle + 1;
      }
      to = from + low * 2;
      samples.copyWithin(to + 2, to, end);
    }
    samples[to] = tsMs;
    samples[to + 1] = value;
    state[at + COUNT] = count + 1;
  }

  /** The oldest `count` readings go into the sums; the one behind them is the oldest that is kept. */
  #fold(state: StateColumn, at: number, count: number): void {
    const samples = this.#pool.chunk(state[at + BLOCK]);
    const from = this.#pool.offset(state[at + BLOCK]);
    if (state[at + FOLDED] === 0) {
      state[at + FIRST_TS] = samples[from];
      state[at + FIRST_VALUE] = samples[from + 1];
    }
    this.#sumUp(state, at, count + 1);
    state[at + INCREASE] = sums.increase;
    state[at + AREA] = sums.area;
    state[at + FOLDED] += count;
    samples.copyWithin(from, from + count * 2, from + state[at + COUNT] * 2);
    state[at + COUNT] -= count;
  }

  /** Into `sums`: what was folded, and what goes along the oldest `count` readings that are kept; in order of time, so it rounds alike. */
  #sumUp(state: StateColumn, at: number, count: number): void {
    const samples = this.#pool.chunk(state[at + BLOCK]);
    const from = this.#pool.offset(state[at + BLOCK]);
    sums.increase = state[at + INCREASE];
    sums.area = state[at + AREA];
    for (let i = from; i < from + (count - 1) * 2; i += 2) {
      sums.increase += increase(samples[i + 1], samples[i + 3]);
      sums.area += area(samples[i + 1], samples[i], samples[i + 2]);
    }
  }

  merge(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    for (let i = JOINED; i < WIDTH; i++) state[at + i] += from[fromAt + i];
    state[at + LEFT_OUT] += from[fromAt + LEFT_OUT];
    if (from[fromAt + COUNT] === 0) return;
    if (from[fromAt + FOLDED] === 0) this.#take(state, at, from, fromAt);
    else if (state[at + COUNT] === 0) this.#become(state, at, from, fromAt);
    else if (this.#endsBefore(state, at, from, fromAt)) {
      this.#link(state, at, from, fromAt);
      state[at + COUNT] = 0;
      this.#take(state, at, from, fromAt);
    } else if (state[at + FOLDED] === 0) {
      // The other is the one with sums: it is taken as it is, and the readings of this one are put into it.
      const block = state[at + BLOCK];
      const count = state[at + COUNT];
      this.#become(state, at, from, fromAt);
      this.#takeSamples(state, at, block, count);
      this.#pool.give(block);
    } else if (this.#endsBefore(from, fromAt, state, at)) this.#linkBefore(state, at, from, fromAt);
    else {
      state[at + LEFT_OUT] += from[fromAt + FOLDED];
      this.#take(state, at, from, fromAt);
    }
  }

  /** The readings that the other keeps. */
  #take(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    // Wholly before what was folded here: the sums take it in.
    if (state[at + FOLDED] > 0 && state[at + COUNT] > 0 && this.#endsBefore(from, fromAt, state, at))
      this.#linkBefore(state, at, from, fromAt);
    else this.#takeSamples(state, at, from[fromAt + BLOCK], from[fromAt + COUNT]);
  }

  #takeSamples(state: StateColumn, at: number, block: number, count: number): void {
    const samples = this.#pool.chunk(block);
    const offset = this.#pool.offset(block);
    for (let i = 0; i < count; i++) {
      const tsMs = samples[offset + i * 2];
      const value = samples[offset + i * 2 + 1];
      if (state[at + COUNT] > 0 && this.#isFoldedAway(state, at, value, tsMs)) state[at + LEFT_OUT]++;
      else this.#insert(state, at, value, tsMs);
    }
    while (state[at + COUNT] >= SAMPLES_MAX) this.#fold(state, at, SAMPLES_MAX / 2);
  }

  /** An empty state, or one whose block is no longer its own, becomes a copy of the other. */
  #become(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    for (const field of [FOLDED, FIRST_TS, FIRST_VALUE, INCREASE, AREA]) state[at + field] = from[fromAt + field];
    state[at + BLOCK] = NO_BLOCK;
    state[at + COUNT] = 0;
    this.#takeSamples(state, at, from[fromAt + BLOCK], from[fromAt + COUNT]);
  }

  #endsBefore(a: StateColumn, at: number, b: StateColumn, bAt: number): boolean {
    const last = this.#pool.offset(a[at + BLOCK]) + (a[at + COUNT] - 1) * 2;
    const samples = this.#pool.chunk(a[at + BLOCK]);
    return samples[last] < this.#firstTs(b, bAt);
  }

  #firstTs(state: StateColumn, at: number): number {
    if (state[at + FOLDED] > 0) return state[at + FIRST_TS];
    return this.#pool.chunk(state[at + BLOCK])[this.#pool.offset(state[at + BLOCK])];
  }

  #firstValue(state: StateColumn, at: number): number {
    if (state[at + FOLDED] > 0) return state[at + FIRST_VALUE];
    return this.#pool.chunk(state[at + BLOCK])[this.#pool.offset(state[at + BLOCK]) + 1];
  }

  /** All of `a`, the way from its end to where `b` begins, and what `b` has folded become the sums of `a`. */
  #link(a: StateColumn, at: number, b: StateColumn, bAt: number): void {
    const firstTs = this.#firstTs(a, at);
    const firstValue = this.#firstValue(a, at);
    const last = this.#pool.offset(a[at + BLOCK]) + (a[at + COUNT] - 1) * 2;
    const samples = this.#pool.chunk(a[at + BLOCK]);
    this.#sumUp(a, at, a[at + COUNT]);
    a[at + INCREASE] = sums.increase + increase(samples[last + 1], b[bAt + FIRST_VALUE]) + b[bAt + INCREASE];
    a[at + AREA] = sums.area + area(samples[last + 1], samples[last], b[bAt + FIRST_TS]) + b[bAt + AREA];
    a[at + FOLDED] += a[at + COUNT] + b[bAt + FOLDED];
    a[at + FIRST_TS] = firstTs;
    a[at + FIRST_VALUE] = firstValue;
  }

  /** The same when the other lies before: the readings that are kept stay. */
  #linkBefore(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    const last = this.#pool.offset(from[fromAt + BLOCK]) + (from[fromAt + COUNT] - 1) * 2;
    const samples = this.#pool.chunk(from[fromAt + BLOCK]);
    this.#sumUp(from, fromAt, from[fromAt + COUNT]);
    state[at + INCREASE] += sums.increase + increase(samples[last + 1], state[at + FIRST_VALUE]);
    state[at + AREA] += sums.area + area(samples[last + 1], samples[last], state[at + FIRST_TS]);
    state[at + FOLDED] += from[fromAt + COUNT] + from[fromAt + FOLDED];
    state[at + FIRST_VALUE] = this.#firstValue(from, fromAt);
    state[at + FIRST_TS] = this.#firstTs(from, fromAt);
  }

  join(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    for (let i = JOINED; i < WIDTH; i++) state[at + i] += from[fromAt + i];
    state[at + LEFT_OUT] += from[fromAt + LEFT_OUT];
    if (from[fromAt + COUNT] === 0) return;
    const spanMs = this.#own(from, fromAt);
    const perSecond = rate(sums.increase, spanMs);
    if (perSecond === null) {
      state[at + JOINED_POINTS]++;
      state[at + JOINED_POINTS_SUM] += sums.last;
    } else {
      state[at + JOINED_RATES]++;
      state[at + JOINED_RATE] += perSecond;
      state[at + JOINED_AREA] += sums.area;
      state[at + JOINED_SPAN] += spanMs;
    }
  }

  /** Into `sums`: all of the series' own readings, of which there are some; returns the time from the first to the last. */
  #own(state: StateColumn, at: number): number {
    const count = state[at + COUNT];
    const last = this.#pool.offset(state[at + BLOCK]) + (count - 1) * 2;
    const samples = this.#pool.chunk(state[at + BLOCK]);
    this.#sumUp(state, at, count);
    sums.last = samples[last + 1];
    return samples[last] - this.#firstTs(state, at);
  }

  results(state: StateColumn, at: number, _base: WindowResult, into: Map<string, number>): void {
    let perSecond = state[at + JOINED_RATES] > 0 ? state[at + JOINED_RATE] : null;
    let spanMs = state[at + JOINED_SPAN];
    let areaSum = state[at + JOINED_AREA];
    let points = state[at + JOINED_POINTS];
    let pointsSum = state[at + JOINED_POINTS_SUM];
    if (state[at + COUNT] > 0) {
      const ownMs = this.#own(state, at);
      const own = rate(sums.increase, ownMs);
      if (own !== null) perSecond = (perSecond ?? 0) + own;
      spanMs += ownMs;
      areaSum += sums.area;
      if (own === null) {
        points++;
        pointsSum += sums.last;
      }
    }
    if (this.#rate && perSecond !== null) into.set('rate', perSecond);
    if (this.#timeAvg && spanMs > 0) into.set('time_avg', areaSum / spanMs);
    else if (this.#timeAvg && points > 0) into.set('time_avg', pointsSum / points);
    if (state[at + LEFT_OUT] > 0) into.set('left_out', state[at + LEFT_OUT]);
  }

  release(state: StateColumn, at: number): void {
    if (state[at + BLOCK] !== NO_BLOCK) this.#pool.give(state[at + BLOCK]);
    state[at + BLOCK] = NO_BLOCK;
  }

  /** The row from its third double, then the count and the readings that are kept. */
  save(state: StateColumn, at: number, out: StateWriter): void {
    const block = state[at + BLOCK];
    const count = state[at + COUNT];
    for (let i = FOLDED; i < WIDTH; i++) out.f64(state[at + i]);
    out.varint(count);
    for (let i = 0; i < count * 2; i++) out.f64(this.#pool.chunk(block)[this.#pool.offset(block) + i]);
  }

  restore(state: StateColumn, at: number, from: StateReader): void {
    this.begin(state, at);
    for (let i = FOLDED; i < WIDTH; i++) state[at + i] = from.f64();
    const count = from.below(SAMPLES_MAX, 'the count of readings in order');
    if (count === 0 && state[at + FOLDED] > 0) from.unreadable('readings were folded, and none is kept');
    for (let i = 0; i < count; i++) {
      const tsMs = from.f64();
      this.#insert(state, at, from.f64(), tsMs);
    }
  }
}

function isBefore(tsMs: number, value: number, otherMs: number, other: number): boolean {
  return tsMs < otherMs || (tsMs === otherMs && value < other);
}

/** What #sumUp and #own tell: an object of its own for each call would cost more than the sums. */
const sums = { increase: 0, area: 0, last: 0 };

/** Readings that are kept for one window of one series: 64 KiB. */
export const SAMPLES_MAX = 4096;
const FIRST_K = 3;

/** Where the parts of a row are. */
const BLOCK = 0;
const COUNT = 1;
/** How many readings were folded into the sums; 0 when there are no sums, and the next four say nothing. */
const FOLDED = 2;
const FIRST_TS = 3;
const FIRST_VALUE = 4;
const INCREASE = 5;
const AREA = 6;
const LEFT_OUT = 7;
/** Of joined series: those with a rate, its sum, Σ area, Σ time; those with readings of one time only, and their values. */
const JOINED = 8;
const JOINED_RATES = JOINED;
const JOINED_RATE = JOINED + 1;
const JOINED_AREA = JOINED + 2;
const JOINED_SPAN = JOINED + 3;
const JOINED_POINTS = JOINED + 4;
const JOINED_POINTS_SUM = JOINED + 5;
const WIDTH = JOINED + 6;

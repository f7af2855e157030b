import type { Rollup } from '../../model/rollup.ts';
import type { SlidingWindow as SlidingSpec } from '../../model/window.ts';
import { withRoom } from '../columns.ts';
import type { SeriesDictionary } from '../series.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import { type AggregateSet, aggregateSet } from './aggregates/aggregate-set.ts';
import type { EventTime } from './event-time.ts';
import { WindowLimits } from './limits.ts';
import { ReadingBuffer } from './reading-buffer.ts';
import { SlidingSums } from './sliding-sums.ts';
import type { WindowOperator } from './window.ts';

/**
 * Sliding windows: for each reading one result, over (ts − size, ts] of its series. Its rollup has start = ts − size and end = ts;
 * of this kind alone the start is outside and the end inside. Readings of the same ts share a result.
 *
 * It is emitted when the watermark has passed ts (is above it), so with outOfOrderMs 0 when the next reading comes. A late
 * reading gives its own result and corrects those of the size that follows it, each as long as it is there: until the watermark has
 * gone on by the allowed lateness. It counts as too late when its own result is gone.
 *
 * For each series the readings that a result may still need, in order of ts, and with the last reading of each ts the revision of its
 * result. What every window has comes of sums that go on from result to result (sliding-sums.ts); further aggregates are made by going
 * through the readings of the window, so each costs as much as there are.
 */
export class SlidingWindow implements WindowOperator {
  readonly horizonMs: number;
  readonly limits: WindowLimits;
  readonly #spec: SlidingSpec;
  readonly #series: SeriesDictionary;
  readonly #time: EventTime;
  readonly #set: AggregateSet;
  readonly #scratch: Float64Array;
  /** By series; null before its first reading, undefined when the window does not take it. */
  readonly #readings: (ReadingBuffer | null | undefined)[] = [];
  /** By series, where there are readings; not state. */
  readonly #sums: SlidingSums[] = [];
  /** By series: no result of an earlier ts has yet to be emitted. Not state: from below it is found again. */
  #pendingMs = new Float64Array(1024);
  readonly #plain: boolean;
  /** By series: the ts of the newest result that is gone. */
  #gone = new Float64Array(1024);
  /** Results that late readings have changed in this frame, and those whose time passed while it was worked at. */
  #corrected: { series: number; tsMs: number }[] = [];
  #frozen: Rollup[] = [];
  #open = 0;

  constructor(spec: SlidingSpec, series: SeriesDictionary, time: EventTime) {
    this.#spec = spec;
    this.#series = series;
    this.#time = time;
    this.limits = new WindowLimits(spec, series);
    this.#set = aggregateSet(spec.aggregates);
    this.#plain = spec.aggregates.length === 0;
    this.#scratch = new Float64Array(this.#set.width);
    this.horizonMs = spec.sizeMs + spec.outOfOrderMs + spec.allowedLatenessMs;
  }

  /** Readings that are kept. */
  get open(): number {
    return this.#open;
  }

  seriesAdded(series: number): void {
    this.#readings[series] = this.limits.takes(series) ? null : undefined;
    this.#gone = withRoom(this.#gone, series, 0);
    this.#pendingMs = withRoom(this.#pendingMs, series, 0);
  }

  push(series: number, device: number, tsMs: number, value: number): boolean {
    let readings = this.#readings[series];
    if (readings === undefined) return this.limits.pass(series);
    if (readings === null) {
      readings = new ReadingBuffer();
      this.#readings[series] = readings;
      this.#sums[series] = new SlidingSums();
    }
    const { sizeMs, outOfOrderMs, allowedLatenessMs } = this.#spec;
    const newestMs = this.#time.newest(device);
    const goneMs = Math.max(this.#gone[series], newestMs - outOfOrderMs - allowedLatenessMs - 1);
    if (tsMs <= goneMs && tsMs + sizeMs <= goneMs + 1) return false;
    if (readings.count >= this.limits.readingsMax && !this.#makeRoom(readings, series, tsMs)) return true;
    if (readings.count > 0 && readings.ts(readings.count - 1) >= tsMs) this.#noteLate(readings, series, tsMs, goneMs);
    const at = readings.after(tsMs);
    const isTie = at > 0 && readings.ts(at - 1) === tsMs;
    const key = isTie ? readings.key(at - 1) : tsMs > goneMs ? PENDING : NO_RESULT;
    if (isTie) readings.setKey(at - 1, NO_RESULT);
    if (at < readings.count || isTie) this.#sums[series].reset();
    if (key === PENDING && tsMs < this.#pendingMs[series]) this.#pendingMs[series] = tsMs;
    readings.add(tsMs, value, key);
    this.#open++;
    if (key === PENDING && !isTie) this.#time.wake(device, tsMs + 1 + outOfOrderMs);
    return tsMs > goneMs;
  }

  /**
   * The oldest reading leaves, and what it has yet to give is given as it is. False when the one that comes is older than all that are
   * held, so that it would leave itself.
   */
  #makeRoom(readings: ReadingBuffer, series: number, tsMs: number): boolean {
    this.limits.displaced(1);
    const oldestMs = readings.ts(0);
    // Of readings of the same ts the last one has the result.
    const isLast = readings.ts(1) > oldestMs;
    if (tsMs < oldestMs || (isLast && tsMs === oldestMs)) return false;
    const key = readings.key(0);
    const isToCorrect = key !== NO_RESULT && key % 2 === 1;
    if (isToCorrect) this.#corrected = this.#corrected.filter((c) => c.series !== series || c.tsMs !== oldestMs);
    if (isToCorrect || key === PENDING) this.#frozen.push(this.#result(readings, series, 0));
    if (isLast) this.#gone[series] = Math.max(this.#gone[series], oldestMs);
    readings.drop(1);
    this.#sums[series].dropped(1);
    this.#open--;
    return true;
  }

  /** Of the results that hold a late reading, before it is there: what is gone by now is made up, what is emitted is to be corrected. */
  #noteLate(readings: ReadingBuffer, series: number, tsMs: number, goneMs: number): void {
    for (let i = readings.after(tsMs - 1); i < readings.count; i++) {
      const ts = readings.ts(i);
      if (ts >= tsMs + this.#spec.sizeMs) break;
      const key = readings.key(i);
      if (key === NO_RESULT) continue;
      const isGone = ts <= goneMs;
      if (key % 2 === 1) {
        // Emitted and already changed in this frame.
        if (!isGone) continue;
        this.#corrected = this.#corrected.filter((c) => c.series !== series || c.tsMs !== ts);
        this.#frozen.push(this.#result(readings, series, i));
        readings.setKey(i, NO_RESULT);
      } else if (isGone) {
        if (key === PENDING) this.#frozen.push(this.#result(readings, series, i));
        readings.setKey(i, NO_RESULT);
      } else if (key > PENDING) {
        readings.setKey(i, key + 1);
        this.#corrected.push({ series, tsMs: ts });
      }
    }
  }

  emitCorrections(emit: (rollup: Rollup) => void): void {
    if (this.#frozen.length > 0) {
      for (const rollup of this.#frozen) emit(rollup);
      this.#frozen = [];
    }
    if (this.#corrected.length === 0) return;
    for (const { series, tsMs } of this.#corrected) {
      const readings = this.#readings[series] as ReadingBuffer;
      emit(this.#result(readings, series, readings.after(tsMs) - 1));
    }
    this.#corrected = [];
  }

  advance(device: number, eventMs: number, emit: (rollup: Rollup) => void): number {
    const { sizeMs, outOfOrderMs, allowedLatenessMs } = this.#spec;
    const watermarkMs = eventMs - outOfOrderMs;
    let next = Number.POSITIVE_INFINITY;
    for (let series = this.#series.first(device); series !== -1; series = this.#series.next(series)) {
      const readings = this.#readings[series];
      if (readings === undefined || readings === null) continue;
      next = Math.min(next, this.#emitPending(readings, series, watermarkMs, emit));
      // Results up to gone have gone before; of the others the first that stays tells when there is something to do again.
      for (let i = readings.after(this.#gone[series]); i < readings.count; i++) {
        if (readings.key(i) === NO_RESULT) continue;
        const ts = readings.ts(i);
        if (ts + allowedLatenessMs >= watermarkMs) {
          next = Math.min(next, ts + 1 + outOfOrderMs + (readings.key(i) === PENDING ? 0 : allowedLatenessMs));
          break;
        }
        this.#gone[series] = ts;
        readings.setKey(i, NO_RESULT);
      }
      const done = readings.after(this.#gone[series] + 1 - sizeMs);
      readings.drop(done);
      this.#sums[series].dropped(done);
      this.#open -= done;
    }
    return next;
  }

  /** Emits the results below the watermark that have not been; returns when the next one is due, Infinity for never. */
  #emitPending(readings: ReadingBuffer, series: number, watermarkMs: number, emit: (rollup: Rollup) => void): number {
    for (let i = readings.after(this.#pendingMs[series] - 1); i < readings.count; i++) {
      if (readings.key(i) !== PENDING) continue;
      const ts = readings.ts(i);
      if (ts >= watermarkMs) {
        this.#pendingMs[series] = ts;
        return ts + 1 + this.#spec.outOfOrderMs;
      }
      emit(this.#result(readings, series, i));
    }
    this.#pendingMs[series] = Number.POSITIVE_INFINITY;
    return Number.POSITIVE_INFINITY;
  }

  /** The next revision of the result of the ts of an entry, which is the last one of that ts. */
  #result(readings: ReadingBuffer, series: number, index: number): Rollup {
    const { name, sizeMs } = this.#spec;
    const endMs = readings.ts(index);
    const before = readings.key(index);
    const revision = (before - (before % 2)) / 2;
    readings.setKey(index, (revision + 1) * 2);
    const begin = readings.after(endMs - sizeMs);
    const sums = this.#sums[series];
    sums.over(readings, begin, index, sizeMs);
    const count = index - begin + 1;
    const { sum, min, max } = sums;
    // Of equal ts the first that came, of which the buffer keeps the order.
    const last = readings.value(readings.after(endMs - 1));
    const result = { count, sum, min, max, avg: sum / count, first: readings.value(begin), last };
    const { device, metric } = { device: this.#series.device(series), metric: this.#series.metric(series) };
    const phase = revision === 0 ? 'final' : 'corrected';
    return {
      window: name,
      device,
      metric,
      startMs: endMs - sizeMs,
      endMs,
      ...result,
      extra: this.#plain ? null : this.#further(readings, begin, index),
      label: '',
      revision: revision + 1,
      phase,
    };
  }

  /** Of the readings `begin` … `last`. */
  #further(readings: ReadingBuffer, begin: number, last: number): ReadonlyMap<string, number> | null {
    this.#set.begin(this.#scratch, 0);
    for (let i = begin; i <= last; i++) this.#set.push(this.#scratch, 0, readings.value(i), readings.ts(i));
    const { extra } = this.#set.result(this.#scratch, 0);
    this.#set.release(this.#scratch, 0);
    return extra;
  }

  /** What is held for late readings is not waited for. */
  unfinished(keep: (series: number) => void): void {
    for (let series = 0; series < this.#series.count; series++) {
      const readings = this.#readings[series];
      // Results go in order of ts, and a reading without one may stand anywhere.
      for (let i = (readings?.count ?? 0) - 1; i >= 0; i--) {
        if (readings?.key(i) === NO_RESULT) continue;
        keep(series);
        break;
      }
    }
  }

  save(out: StateWriter): void {
    out.series.each(this.#series.count, (series) => {
      const readings = this.#readings[series];
      out.varint(readings === undefined || readings === null ? 0 : 1);
      if (readings === undefined || readings === null) return;
      out.varint(this.#gone[series]);
      readings.save(out, (key) => key);
    });
  }

  /** After `seriesAdded` was called for every series. */
  restore(from: StateReader): void {
    for (let series = 0; series < this.#series.count; series++) {
      if (from.below(2, 'a mark') === 0) continue;
      this.#gone[series] = from.varint();
      const readings = new ReadingBuffer();
      readings.restore(from, Number.MAX_SAFE_INTEGER);
      this.#readings[series] = readings;
      this.#sums[series] = new SlidingSums();
      this.#open += readings.count;
    }
  }
}

/**
 * What an entry knows of the result of its ts: it has none, or it is gone (it also stands with all but the last entry of a ts); it has
 * yet to be emitted; else twice its revision, and one more while a correction of this frame is due.
 */
const NO_RESULT = 1;
const PENDING = 0;

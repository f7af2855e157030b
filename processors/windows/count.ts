import type { Rollup } from '../../model/rollup.ts';
import type { CountWindow as CountSpec } from '../../model/window.ts';
import { withRoom } from '../columns.ts';
import type { SeriesDictionary } from '../series.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import { type AggregateSet, aggregateSet } from './aggregates/aggregate-set.ts';
import type { EventTime } from './event-time.ts';
import { earlyDueMs, WindowLimits } from './limits.ts';
import { ReadingBuffer } from './reading-buffer.ts';
import { NONE, UNTAKEN, WindowRows } from './rows.ts';
import type { WindowOperator } from './window.ts';

/**
 * Count windows: each `count` readings of a series, in order of ts. [ts of the first, ts of the last + 1).
 *
 * Readings wait until the watermark has passed them, and are then counted in order of ts (of equal ts in the order in which they came). One
 * that is older than the watermark, or than a reading that was counted, is too late: a count that is given out cannot be
 * shifted by one. A window that is not full stays open, however long the device is silent.
 *
 * Two windows may begin at one ts, where readings without a time of their own came in the same millisecond. The later then has the
 * first start that is free, so that no two have one key.
 */
export class CountWindow implements WindowOperator {
  readonly horizonMs: number;
  readonly limits: WindowLimits;
  readonly #spec: CountSpec;
  readonly #series: SeriesDictionary;
  readonly #time: EventTime;
  readonly #set: AggregateSet;
  readonly #rows: WindowRows;
  /** By series: the open window, NONE or UNTAKEN. */
  #heads = new Int32Array(1024);
  /** By series: the start of the newest window, −1 when there was none; and the ts of the newest reading that was counted. */
  #starts = new Float64Array(1024);
  #counted = new Float64Array(1024);
  /** By series, made when first needed. */
  readonly #waiting: (ReadingBuffer | undefined)[] = [];

  constructor(spec: CountSpec, series: SeriesDictionary, time: EventTime) {
    this.#spec = spec;
    this.#series = series;
    this.#time = time;
    this.limits = new WindowLimits(spec, series);
    this.#set = aggregateSet(spec.aggregates);
    this.#rows = new WindowRows(STATE + this.#set.width);
    this.horizonMs = spec.outOfOrderMs + 1;
  }

  get open(): number {
    return this.#rows.open;
  }

  seriesAdded(series: number): void {
    this.#heads = withRoom(this.#heads, series, NONE);
    this.#starts = withRoom(this.#starts, series, -1);
    this.#counted = withRoom(this.#counted, series, -1);
    this.#heads[series] = this.limits.takes(series) ? NONE : UNTAKEN;
    this.#starts[series] = -1;
    this.#counted[series] = -1;
  }

  push(series: number, device: number, tsMs: number, value: number): boolean {
    if (this.#heads[series] === UNTAKEN) return this.limits.pass(series);
    const { outOfOrderMs } = this.#spec;
    if (tsMs < this.#counted[series] || tsMs + outOfOrderMs < this.#time.newest(device)) return false;
    let waiting = this.#waiting[series];
    if (waiting === undefined) {
      waiting = new ReadingBuffer();
      this.#waiting[series] = waiting;
    }
    waiting.add(tsMs, value, 0);
    this.#time.wake(device, waiting.count > this.limits.readingsMax ? 0 : tsMs + 1 + outOfOrderMs);
    return true;
  }

  emitCorrections(): void {}

  advance(device: number, eventMs: number, emit: (rollup: Rollup) => void): number {
    const { outOfOrderMs, everyMs } = this.#spec;
    const watermarkMs = eventMs - outOfOrderMs;
    let next = Number.POSITIVE_INFINITY;
    for (let series = this.#series.first(device); series !== -1; series = this.#series.next(series)) {
      const waiting = this.#waiting[series];
      if (waiting === undefined) continue;
      let counted = 0;
      // Above the bound the oldest are counted before their time; what then comes from before them is too late.
      const hurried = waiting.count - this.limits.readingsMax;
      while (counted < waiting.count && (counted < hurried || waiting.ts(counted) < watermarkMs)) {
        if (waiting.ts(counted) >= watermarkMs) this.limits.displaced(1);
        this.#count(series, waiting.ts(counted), waiting.value(counted), emit);
        counted++;
      }
      if (counted > 0) waiting.drop(counted);
      if (waiting.count > 0) next = Math.min(next, waiting.ts(0) + 1 + outOfOrderMs);
      const row = this.#heads[series];
      if (everyMs === null || row === NONE) continue;
      const at = row * this.#rows.width;
      const column = this.#rows.column;
      if (column[at + EARLY] !== 0 && column[at + EARLY] <= eventMs) {
        column[at + EARLY] = 0;
        this.#emit(row, series, 'early', emit);
      } else if (counted > 0 && column[at + EARLY] === 0) column[at + EARLY] = earlyDueMs(everyMs, eventMs);
      if (column[at + EARLY] !== 0) next = Math.min(next, column[at + EARLY]);
    }
    return next;
  }

  #count(series: number, tsMs: number, value: number, emit: (rollup: Rollup) => void): void {
    let row = this.#heads[series];
    if (row === NONE) {
      row = this.#rows.take();
      const at = row * this.#rows.width;
      this.#starts[series] = Math.max(tsMs, this.#starts[series] + 1);
      this.#rows.column.fill(0, at, at + STATE);
      this.#set.begin(this.#rows.column, at + STATE);
      this.#heads[series] = row;
    }
    const column = this.#rows.column;
    const at = row * this.#rows.width;
    this.#counted[series] = tsMs;
    this.#set.push(column, at + STATE, value, tsMs);
    column[at + COUNT]++;
    column[at + LAST] = tsMs;
    if (column[at + COUNT] < this.#spec.count) return;
    this.#emit(row, series, 'final', emit);
    this.#close(row, series);
  }

  #emit(row: number, series: number, phase: Rollup['phase'], emit: (rollup: Rollup) => void): void {
    const column = this.#rows.column;
    const at = row * this.#rows.width;
    const startMs = this.#starts[series];
    emit({
      window: this.#spec.name,
      device: this.#series.device(series),
      metric: this.#series.metric(series),
      startMs,
      endMs: Math.max(column[at + LAST], startMs) + 1,
      ...this.#set.result(column, at + STATE),
      label: '',
      revision: ++column[at + REVISION],
      phase,
    });
  }

  unfinished(keep: (series: number) => void): void {
    for (let series = 0; series < this.#series.count; series++)
      if ((this.#waiting[series]?.count ?? 0) > 0) keep(series);
  }

  /** What it has counted is given as it is. */
  end(series: number, emit: (rollup: Rollup) => void): void {
    const row = this.#heads[series];
    if (row < 0) return;
    this.#emit(row, series, 'final', emit);
    this.#close(row, series);
  }

  #close(row: number, series: number): void {
    this.#heads[series] = NONE;
    this.#set.release(this.#rows.column, row * this.#rows.width + STATE);
    this.#rows.give(row);
  }

  save(out: StateWriter): void {
    const { width, column } = this.#rows;
    out.series.each(this.#series.count, (series) => {
      out.varint(this.#starts[series] + 1);
      out.varint(this.#counted[series] + 1);
      const waiting = this.#waiting[series];
      out.varint(waiting === undefined ? 0 : 1);
      waiting?.save(out, null);
      const row = this.#heads[series];
      out.varint(row < 0 ? 0 : 1);
      if (row < 0) return;
      for (let i = 0; i < STATE; i++) out.varint(column[row * width + i]);
      this.#set.save(column, row * width + STATE, out);
    });
  }

  /** After `seriesAdded` was called for every series. */
  restore(from: StateReader): void {
    for (let series = 0; series < this.#series.count; series++) {
      this.#starts[series] = from.varint() - 1;
      this.#counted[series] = from.varint() - 1;
      if (from.below(2, 'a mark') === 1) {
        const waiting = new ReadingBuffer();
        waiting.restore(from, null);
        this.#waiting[series] = waiting;
      }
      if (from.below(2, 'a mark') === 0) continue;
      const row = this.#rows.take();
      const at = row * this.#rows.width;
      for (let i = 0; i < STATE; i++) this.#rows.column[at + i] = from.varint();
      this.#set.restore(this.#rows.column, at + STATE, from);
      this.#heads[series] = row;
    }
  }
}

/** Doubles of a window, and where they are: EARLY is the event time of its next early result, 0 when it has none to give. */
const COUNT = 0;
const LAST = 1;
const REVISION = 2;
const EARLY = 3;
const STATE = 4;

import type { Rollup } from '../../model/rollup.ts';
import type { SessionWindow as SessionSpec } from '../../model/window.ts';
import { withRoom } from '../columns.ts';
import type { SeriesDictionary } from '../series.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import { type AggregateSet, aggregateSet } from './aggregates/aggregate-set.ts';
import type { EventTime } from './event-time.ts';
import { earlyDueMs, WindowLimits } from './limits.ts';
import { NONE, UNTAKEN, WindowRows } from './rows.ts';
import type { WindowOperator } from './window.ts';

/**
 * Session windows, for each series: readings that follow one another by less than `gapMs` are of one session, which is
 * [first ts, min(last ts + gap, first ts + sizeMax)).
 *
 * - A reading joins the session that it is within the gap of, when the session is then still shorter than sizeMax; else it begins its own. One
 *   that is within the gap of two makes them one, unless that were too long.
 * - A session emits when the watermark passes its end, and is there for late readings until the watermark has gone on by the
 *   allowed lateness. A late reading inside corrects it at the end of the frame. One that makes it longer than event time has
 *   come opens it again: it is written as `early`, and as `corrected` when its new end has passed.
 * - Rollups are keyed by their start. A session that gets an earlier start, or becomes part of an earlier one, has its old row
 *   *retracted*: one more revision with count 0 and end = start, which readers leave out.
 *
 * The sessions of a series are a list, newest first, as in tumbling.ts.
 */
export class SessionWindow implements WindowOperator {
  readonly horizonMs: number;
  readonly limits: WindowLimits;
  readonly #spec: SessionSpec;
  readonly #series: SeriesDictionary;
  readonly #time: EventTime;
  readonly #set: AggregateSet;
  readonly #rows: WindowRows;
  #heads = new Int32Array(1024);
  /** For each series the time up to which gone sessions reach; readings whose gap ends there are too late. */
  #gone = new Float64Array(1024);
  #dirty: number[] = [];
  /** Of each retracted row: series, start, revision. */
  #retracted: number[] = [];

  constructor(spec: SessionSpec, series: SeriesDictionary, time: EventTime) {
    this.#spec = spec;
    this.#series = series;
    this.#time = time;
    this.limits = new WindowLimits(spec, series);
    this.#set = aggregateSet(spec.aggregates);
    this.#rows = new WindowRows(STATE + this.#set.width);
    this.horizonMs = spec.sizeMaxMs + spec.gapMs + spec.outOfOrderMs + spec.allowedLatenessMs;
  }

  get open(): number {
    return this.#rows.open;
  }

  seriesAdded(series: number): void {
    this.#heads = withRoom(this.#heads, series, NONE);
    this.#gone = withRoom(this.#gone, series, 0);
    this.#heads[series] = this.limits.takes(series) ? NONE : UNTAKEN;
  }

  push(series: number, device: number, tsMs: number, value: number): boolean {
    let earlier = this.#heads[series];
    if (earlier === UNTAKEN) return this.limits.pass(series);
    const { gapMs, sizeMaxMs } = this.#spec;
    const { width, next } = this.#rows;
    const column = this.#rows.column;
    let later = NONE;
    let beforeLater = NONE;
    while (earlier !== NONE && column[earlier * width + START] > tsMs) {
      beforeLater = later;
      later = earlier;
      earlier = next[earlier];
    }
    const newestMs = this.#time.newest(device);
    if (earlier !== NONE) {
      const at = earlier * width;
      const isInside = tsMs <= column[at + LAST];
      if (isInside && this.#isGone(at, newestMs)) return false;
      if (isInside || (tsMs - column[at + LAST] < gapMs && tsMs < column[at + START] + sizeMaxMs)) {
        if (!this.#isGone(at, newestMs)) {
          this.#extend(earlier, later, beforeLater, device, tsMs, value);
          return true;
        }
      }
    }
    if (later !== NONE) {
      const at = later * width;
      const fits = column[at + START] - tsMs < gapMs && column[at + LAST] - tsMs < sizeMaxMs;
      if (fits && !this.#isGone(at, newestMs)) {
        this.#retract(later);
        column[at + START] = tsMs;
        this.#set.push(column, at + STATE, value, tsMs);
        this.#changed(later, device);
        return true;
      }
    }
    if (tsMs + gapMs <= this.#gone[series] || this.#isPast(tsMs + gapMs, newestMs)) return false;
    this.#begin(series, device, tsMs, value, earlier, later);
    return true;
  }

  /** Whether a window with this end takes no more by the device's newest ts. */
  #isPast(endMs: number, newestMs: number): boolean {
    return endMs + this.#spec.allowedLatenessMs + this.#spec.outOfOrderMs <= newestMs;
  }

  #isGone(at: number, newestMs: number): boolean {
    return this.#isPast(this.#end(at), newestMs);
  }

  #end(at: number): number {
    const { gapMs, sizeMaxMs } = this.#spec;
    const column = this.#rows.column;
    return Math.min(column[at + LAST] + gapMs, column[at + START] + sizeMaxMs);
  }

  #begin(series: number, device: number, tsMs: number, value: number, earlier: number, later: number): void {
    const row = this.#rows.take();
    const column = this.#rows.column;
    const at = row * this.#rows.width;
    column.fill(0, at, at + STATE);
    column[at + SERIES] = series;
    column[at + START] = tsMs;
    column[at + LAST] = tsMs;
    this.#set.begin(column, at + STATE);
    this.#set.push(column, at + STATE, value, tsMs);
    this.#rows.next[row] = earlier;
    if (later === NONE) this.#heads[series] = row;
    else this.#rows.next[later] = row;
    this.#changed(row, device);
  }

  /** A reading joins the session that begins before it; which may then reach the next one. */
  #extend(row: number, later: number, beforeLater: number, device: number, tsMs: number, value: number): void {
    const { width, column } = this.#rows;
    const at = row * width;
    this.#set.push(column, at + STATE, value, tsMs);
    if (tsMs > column[at + LAST]) {
      column[at + LAST] = tsMs;
      if (later !== NONE) this.#join(row, later, beforeLater, device);
    }
    // In the usual case nobody need be told: what is due at its old end finds the new one.
    if (column[at + FINAL] === FINAL_NOW || (this.#spec.everyMs !== null && column[at + EARLY] === 0))
      this.#changed(row, device);
  }

  /** Makes a session and the one after it one, when they are within the gap of each other and it is not too long. */
  #join(row: number, later: number, beforeLater: number, device: number): void {
    const { gapMs, sizeMaxMs } = this.#spec;
    const { width, column } = this.#rows;
    const at = row * width;
    const from = later * width;
    if (column[from + START] - column[at + LAST] >= gapMs) return;
    if (column[from + LAST] - column[at + START] >= sizeMaxMs) return;
    if (this.#isGone(from, this.#time.newest(device))) return;
    const wasEmitted = column[from + REVISION] > 0;
    this.#retract(later);
    this.#set.merge(column, at + STATE, column, from + STATE);
    column[at + LAST] = column[from + LAST];
    if (column[at + FINAL] === NOT_FINAL && column[from + FINAL] !== NOT_FINAL) {
      const isOver = this.#end(at) + this.#spec.outOfOrderMs <= this.#time.newest(device);
      column[at + FINAL] = isOver ? column[from + FINAL] : AGAIN;
    }
    this.#set.release(column, from + STATE);
    if (beforeLater === NONE) this.#heads[column[from + SERIES]] = row;
    else this.#rows.next[beforeLater] = row;
    column[from + DIRTY] = 0;
    this.#rows.give(later);
    // What was visible of the later one stays visible.
    if (wasEmitted) this.#mark(row, TO_EMIT);
    this.#changed(row, device);
  }

  /** The row's start is no key any more; what was emitted under it is taken back. */
  #retract(row: number): void {
    const column = this.#rows.column;
    const at = row * this.#rows.width;
    if (column[at + REVISION] === 0) return;
    this.#retracted.push(column[at + SERIES], column[at + START], column[at + REVISION] + 1);
    column[at + REVISION] = 0;
    this.#mark(row, TO_EMIT);
  }

  #mark(row: number, mark: number): void {
    const at = row * this.#rows.width;
    if (this.#rows.column[at + DIRTY] === 0) this.#dirty.push(row);
    if (this.#rows.column[at + DIRTY] < mark) this.#rows.column[at + DIRTY] = mark;
  }

  /** The session is not as it was: when it must be looked at again, and what is to be told at the end of the frame. */
  #changed(row: number, device: number): void {
    const column = this.#rows.column;
    const at = row * this.#rows.width;
    const { outOfOrderMs, everyMs } = this.#spec;
    const dueMs = this.#end(at) + outOfOrderMs;
    if (column[at + FINAL] === FINAL_NOW) {
      if (this.#end(at) > column[at + EMITTED_END] && dueMs > this.#time.newest(device)) column[at + FINAL] = AGAIN;
      this.#mark(row, TO_EMIT);
    } else if (everyMs !== null && column[at + EARLY] === 0) this.#mark(row, EARLY_LATER);
    this.#time.wake(device, dueMs);
  }

  emitCorrections(emit: (rollup: Rollup) => void): void {
    const { width, column } = this.#rows;
    for (let i = 0; i < this.#retracted.length; i += 3) {
      const [series, startMs, revision] = this.#retracted.slice(i, i + 3);
      emit({ ...this.#names(series), ...NOTHING, startMs, endMs: startMs, revision });
    }
    if (this.#retracted.length > 0) this.#retracted = [];
    if (this.#dirty.length === 0) return;
    for (const row of this.#dirty) {
      const at = row * width;
      const mark = column[at + DIRTY];
      column[at + DIRTY] = 0;
      if (mark === TO_EMIT) this.#emit(row, column[at + FINAL] === FINAL_NOW ? 'corrected' : 'early', emit);
      if (mark === EARLY_LATER) {
        const device = this.#series.deviceOf(column[at + SERIES]);
        column[at + EARLY] = earlyDueMs(this.#spec.everyMs as number, this.#time.newest(device));
        this.#time.wake(device, column[at + EARLY]);
      }
    }
    this.#dirty = [];
  }

  advance(device: number, eventMs: number, emit: (rollup: Rollup) => void): number {
    const { outOfOrderMs, allowedLatenessMs, gapMs } = this.#spec;
    const watermarkMs = eventMs - outOfOrderMs;
    const { width, column } = this.#rows;
    let next = Number.POSITIVE_INFINITY;
    for (let series = this.#series.first(device); series !== -1; series = this.#series.next(series)) {
      let before = NONE;
      let row = this.#heads[series];
      while (row >= 0) {
        const following = this.#rows.next[row];
        const at = row * width;
        const endMs = this.#end(at);
        if (column[at + FINAL] !== FINAL_NOW) {
          if (endMs <= watermarkMs) {
            const phase = column[at + FINAL] === AGAIN ? 'corrected' : 'final';
            column[at + FINAL] = FINAL_NOW;
            column[at + EARLY] = 0;
            this.#emit(row, phase, emit);
          } else if (column[at + EARLY] !== 0) {
            if (column[at + EARLY] <= eventMs) {
              column[at + EARLY] = 0;
              this.#emit(row, 'early', emit);
            } else next = Math.min(next, column[at + EARLY]);
          }
        }
        if (endMs + allowedLatenessMs <= watermarkMs) {
          this.#gone[series] = Math.max(this.#gone[series], column[at + LAST] + gapMs);
          if (before === NONE) this.#heads[series] = following;
          else this.#rows.next[before] = following;
          this.#set.release(column, at + STATE);
          this.#rows.give(row);
        } else {
          const dueMs = column[at + FINAL] === FINAL_NOW ? endMs + allowedLatenessMs : endMs;
          next = Math.min(next, dueMs + outOfOrderMs);
          before = row;
        }
        row = following;
      }
    }
    return next;
  }

  #names(series: number): { window: string; device: string; metric: string } {
    const { device, metric } = { device: this.#series.device(series), metric: this.#series.metric(series) };
    return { window: this.#spec.name, device, metric };
  }

  #emit(row: number, phase: Rollup['phase'], emit: (rollup: Rollup) => void): void {
    const column = this.#rows.column;
    const at = row * this.#rows.width;
    const endMs = this.#end(at);
    column[at + EMITTED_END] = endMs;
    emit({
      ...this.#names(column[at + SERIES]),
      startMs: column[at + START],
      endMs,
      ...this.#set.result(column, at + STATE),
      label: '',
      revision: ++column[at + REVISION],
      phase,
    });
  }

  unfinished(keep: (series: number) => void): void {
    for (let series = 0; series < this.#series.count; series++) if (this.#heads[series] >= 0) keep(series);
  }

  save(out: StateWriter): void {
    const count = this.#series.count;
    const { width, column } = this.#rows;
    out.series.each(count, (series) => out.varint(this.#gone[series]));
    out.varint(this.#rows.open);
    out.series.each(count, (series) => {
      for (let row = this.#heads[series]; row >= 0; row = this.#rows.next[row]) {
        const at = row * width;
        out.varint(out.series.number(series));
        for (let i = SERIES + 1; i < DIRTY; i++) out.varint(column[at + i]);
        this.#set.save(column, at + STATE, out);
      }
    });
  }

  /** After `seriesAdded` was called for every series. */
  restore(from: StateReader): void {
    const count = this.#series.count;
    for (let series = 0; series < count; series++) this.#gone[series] = from.varint();
    const tails = new Map<number, number>();
    for (let left = from.count(); left > 0; left--) {
      const row = this.#rows.take();
      const at = row * this.#rows.width;
      const series = from.below(count, 'a series');
      this.#rows.column[at + SERIES] = series;
      for (let i = SERIES + 1; i < DIRTY; i++) this.#rows.column[at + i] = from.varint();
      this.#rows.column[at + DIRTY] = 0;
      this.#set.restore(this.#rows.column, at + STATE, from);
      this.#rows.append(this.#heads, tails, series, row);
    }
  }
}

/** The row that takes back what was emitted under its key. */
const NOTHING = {
  count: 0,
  sum: 0,
  min: 0,
  max: 0,
  avg: 0,
  first: 0,
  last: 0,
  label: '',
  extra: null,
  phase: 'corrected',
} as const;

/** Doubles of a session, and where they are. EARLY is the event time of the next early result, 0 when it has none to give. */
const SERIES = 0;
const START = 1;
const LAST = 2;
const REVISION = 3;
const FINAL = 4;
const EMITTED_END = 5;
const EARLY = 6;
const DIRTY = 7;
const STATE = 8;

/** Marks of a session that this frame has changed: its next early result is to be set up; it is to be emitted. */
const EARLY_LATER = 1;
const TO_EMIT = 2;

/** Its time has not come; it has come; it had come, and the session has become longer since. */
const NOT_FINAL = 0;
const FINAL_NOW = 1;
const AGAIN = 2;

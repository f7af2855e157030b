import type { Rollup } from '../../model/rollup.ts';
import type { HoppingWindow as HoppingSpec } from '../../model/window.ts';
import { withRoom } from '../columns.ts';
import type { SeriesDictionary } from '../series.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import { type AggregateSet, aggregateSet } from './aggregates/aggregate-set.ts';
import type { EventTime } from './event-time.ts';
import { earlyDueMs, WindowLimits } from './limits.ts';
import { NONE, UNTAKEN, WindowRows } from './rows.ts';
import type { WindowOperator } from './window.ts';

/**
 * Hopping windows: [k·hop, k·hop + size) of event time, for each series.
 *
 * A reading is in size/hop windows, and is pushed once: into its *pane*, of the greatest length that divides both size and hop. What a
 * window emits is its panes merged in the order of time:
 *
 *     panes     │ a │ b │ c │ d │ e │
 *     windows   └───a+b+c───┘   │   │        size = 3 panes, hop = 1
 *                   └───b+c+d───┘   │
 *                       └───c+d+e───┘
 *
 * A sum is therefore rounded by pane. A window opens with its first reading, emits when the watermark passes its end, and is
 * corrected by late readings until the watermark has gone on by the allowed lateness, as tumbling windows are (tumbling.ts). A late
 * reading corrects every window that holds it and is still there; it counts as too late when one that should have held it is gone.
 *
 * With hop = size these are tumbling windows, which is how those with early results are made.
 */
export class HoppingWindow implements WindowOperator {
  readonly horizonMs: number;
  readonly limits: WindowLimits;
  readonly #spec: Omit<HoppingSpec, 'kind'>;
  readonly #paneMs: number;
  readonly #series: SeriesDictionary;
  readonly #time: EventTime;
  readonly #set: AggregateSet;
  readonly #scratch: Float64Array;
  readonly #panes: WindowRows;
  readonly #windows = new WindowRows(WINDOW_WIDTH);
  /** For each series its newest pane, and its newest window. Both lists go back in time. */
  #paneHeads = new Int32Array(1024);
  #windowHeads = new Int32Array(1024);
  /** For each series the end of the newest window that is gone; windows up to there take no more. */
  #gone = new Float64Array(1024);
  /** Panes that this frame has changed and that somebody has to be told of, each with its series. */
  #touched: number[] = [];
  /** Results of windows that were made up within this frame. */
  #frozen: Rollup[] = [];

  constructor(spec: Omit<HoppingSpec, 'kind'>, series: SeriesDictionary, time: EventTime) {
    this.#spec = spec;
    this.#series = series;
    this.#time = time;
    this.limits = new WindowLimits(spec, series);
    this.#set = aggregateSet(spec.aggregates);
    this.#scratch = new Float64Array(this.#set.width);
    this.#panes = new WindowRows(STATE + this.#set.width);
    this.#paneMs = greatestCommonDivisor(spec.sizeMs, spec.hopMs);
    this.horizonMs = spec.sizeMs + spec.outOfOrderMs + spec.allowedLatenessMs;
  }

  get open(): number {
    return this.#windows.open;
  }

  seriesAdded(series: number): void {
    this.#paneHeads = withRoom(this.#paneHeads, series, NONE);
    this.#windowHeads = withRoom(this.#windowHeads, series, NONE);
    this.#gone = withRoom(this.#gone, series, 0);
    this.#paneHeads[series] = this.limits.takes(series) ? NONE : UNTAKEN;
    this.#windowHeads[series] = NONE;
  }

  push(series: number, device: number, tsMs: number, value: number): boolean {
    let pane = this.#paneHeads[series];
    if (pane === UNTAKEN) return this.limits.pass(series);
    const { width } = this.#panes;
    const { sizeMs, hopMs } = this.#spec;
    const startMs = pane === NONE ? 0 : this.#panes.column[pane * width + START];
    if (pane === NONE || tsMs < startMs || tsMs >= startMs + this.#paneMs) {
      pane = this.#paneFor(series, device, tsMs);
      if (pane === NONE) return false;
    }
    let complete = true;
    if (tsMs < this.#time.newest(device)) {
      if (this.#isTooLate(series, device, Math.floor(tsMs / hopMs) * hopMs + sizeMs)) return false;
      complete = !this.#isTooLate(series, device, firstEnd(tsMs, sizeMs, hopMs));
      if (!complete) this.#freeze(series, device, tsMs);
    }
    const column = this.#panes.column;
    const at = pane * width;
    this.#set.push(column, at + STATE, value, tsMs);
    if (column[at + MARK] === TO_TELL) {
      column[at + MARK] = TOLD;
      this.#touched.push(pane, series);
    }
    return complete;
  }

  #isTooLate(series: number, device: number, endMs: number): boolean {
    const { allowedLatenessMs, outOfOrderMs } = this.#spec;
    return endMs <= this.#gone[series] || endMs + allowedLatenessMs + outOfOrderMs <= this.#time.newest(device);
  }

  /** The pane that a reading falls into, made when there is none yet, and the windows that hold it with it; NONE when all are gone. */
  #paneFor(series: number, device: number, tsMs: number): number {
    const { sizeMs, hopMs, everyMs } = this.#spec;
    const { width } = this.#panes;
    const startMs = Math.floor(tsMs / this.#paneMs) * this.#paneMs;
    let before = NONE;
    let pane = this.#paneHeads[series];
    while (pane !== NONE && this.#panes.column[pane * width + START] > startMs) {
      before = pane;
      pane = this.#panes.next[pane];
    }
    if (pane !== NONE && this.#panes.column[pane * width + START] === startMs) return pane;
    const lastEndMs = Math.floor(startMs / hopMs) * hopMs + sizeMs;
    if (this.#isTooLate(series, device, lastEndMs)) return NONE;
    let mark = everyMs === null ? QUIET : TO_TELL;
    for (let endMs = lastEndMs; endMs > startMs; endMs -= hopMs) {
      if (this.#isTooLate(series, device, endMs)) break;
      if (this.#window(series, device, endMs)) mark = TO_TELL;
    }
    const made = this.#panes.take();
    const at = made * width;
    this.#panes.column[at + START] = startMs;
    this.#panes.column[at + MARK] = mark;
    this.#set.begin(this.#panes.column, at + STATE);
    this.#panes.next[made] = pane;
    if (before === NONE) this.#paneHeads[series] = made;
    else this.#panes.next[before] = made;
    return made;
  }

  /** Sees to it that there is a window with this end; true when it has emitted its final result already. */
  #window(series: number, device: number, endMs: number): boolean {
    let before = NONE;
    let row = this.#windowHeads[series];
    while (row !== NONE && this.#windows.column[row * WINDOW_WIDTH + END] > endMs) {
      before = row;
      row = this.#windows.next[row];
    }
    if (row !== NONE && this.#windows.column[row * WINDOW_WIDTH + END] === endMs)
      return this.#windows.column[row * WINDOW_WIDTH + FINAL] === 1;
    const made = this.#windows.take();
    const at = made * WINDOW_WIDTH;
    this.#windows.column.fill(0, at, at + WINDOW_WIDTH);
    this.#windows.column[at + END] = endMs;
    this.#windows.next[made] = row;
    if (before === NONE) this.#windowHeads[series] = made;
    else this.#windows.next[before] = made;
    this.#time.wake(device, endMs + this.#spec.outOfOrderMs);
    return false;
  }

  /**
   * A reading goes into a pane that a window holds whose time has passed within this frame, lateness and all. That window is made up
   * now, without the reading, so that what it holds depends on the order of the log and not on where frames end.
   */
  #freeze(series: number, device: number, tsMs: number): void {
    const { sizeMs } = this.#spec;
    const windows = this.#windows.column;
    for (let row = this.#windowHeads[series]; row !== NONE; row = this.#windows.next[row]) {
      const at = row * WINDOW_WIDTH;
      const startMs = windows[at + END] - sizeMs;
      if (windows[at + END] <= tsMs) break;
      if (startMs > tsMs || windows[at + DIRTY] === FROZEN) continue;
      if (!this.#isTooLate(series, device, windows[at + END])) continue;
      windows[at + DIRTY] = FROZEN;
      if (windows[at + FINAL] === 0) {
        windows[at + FINAL] = 1;
        this.#emit(row, series, 'final', (rollup) => this.#frozen.push(rollup));
      } else if (this.#isTouched(series, startMs, windows[at + END]))
        this.#emit(row, series, 'corrected', (rollup) => this.#frozen.push(rollup));
    }
  }

  #isTouched(series: number, startMs: number, endMs: number): boolean {
    for (let i = 0; i < this.#touched.length; i += 2) {
      const paneMs = this.#panes.column[this.#touched[i] * this.#panes.width + START];
      if (this.#touched[i + 1] === series && paneMs >= startMs && paneMs < endMs) return true;
    }
    return false;
  }

  emitCorrections(emit: (rollup: Rollup) => void): void {
    if (this.#frozen.length > 0) {
      for (const rollup of this.#frozen) emit(rollup);
      this.#frozen = [];
    }
    if (this.#touched.length === 0) return;
    const { sizeMs, everyMs } = this.#spec;
    const dirty: number[] = [];
    for (let i = 0; i < this.#touched.length; i += 2) {
      const at = this.#touched[i] * this.#panes.width;
      const series = this.#touched[i + 1];
      const device = this.#series.deviceOf(series);
      const startMs = this.#panes.column[at + START];
      this.#panes.column[at + MARK] = TO_TELL;
      const windows = this.#windows.column;
      for (let row = this.#windowHeads[series]; row !== NONE; row = this.#windows.next[row]) {
        const w = row * WINDOW_WIDTH;
        if (windows[w + END] <= startMs) break;
        if (windows[w + END] - sizeMs > startMs) continue;
        if (windows[w + FINAL] === 1) {
          if (windows[w + DIRTY] !== CLEAN) continue;
          windows[w + DIRTY] = TO_CORRECT;
          dirty.push(row, series);
        } else if (everyMs !== null && windows[w + EARLY] === 0) {
          windows[w + EARLY] = earlyDueMs(everyMs, this.#time.newest(device));
          this.#time.wake(device, windows[w + EARLY]);
        }
      }
    }
    this.#touched = [];
    for (let i = 0; i < dirty.length; i += 2) {
      this.#windows.column[dirty[i] * WINDOW_WIDTH + DIRTY] = CLEAN;
      this.#emit(dirty[i], dirty[i + 1], 'corrected', emit);
    }
  }

  advance(device: number, eventMs: number, emit: (rollup: Rollup) => void): number {
    const { outOfOrderMs, allowedLatenessMs } = this.#spec;
    const watermarkMs = eventMs - outOfOrderMs;
    const windows = this.#windows.column;
    let next = Number.POSITIVE_INFINITY;
    for (let series = this.#series.first(device); series !== -1; series = this.#series.next(series)) {
      let before = NONE;
      let row = this.#windowHeads[series];
      const hadWindows = row !== NONE;
      while (row !== NONE) {
        const following = this.#windows.next[row];
        const at = row * WINDOW_WIDTH;
        const endMs = windows[at + END];
        if (windows[at + FINAL] === 0) {
          if (endMs <= watermarkMs) {
            windows[at + FINAL] = 1;
            windows[at + EARLY] = 0;
            this.#emit(row, series, 'final', emit);
          } else if (windows[at + EARLY] !== 0) {
            if (windows[at + EARLY] <= eventMs) {
              windows[at + EARLY] = 0;
              this.#emit(row, series, 'early', emit);
            } else next = Math.min(next, windows[at + EARLY]);
          }
        }
        if (endMs + allowedLatenessMs <= watermarkMs) {
          if (endMs > this.#gone[series]) this.#gone[series] = endMs;
          if (before === NONE) this.#windowHeads[series] = following;
          else this.#windows.next[before] = following;
          this.#windows.give(row);
        } else {
          next = Math.min(next, (windows[at + FINAL] === 1 ? endMs + allowedLatenessMs : endMs) + outOfOrderMs);
          before = row;
        }
        row = following;
      }
      if (hadWindows) this.#releasePanes(series, watermarkMs);
    }
    return next;
  }

  /** Lets go of the panes whose last window is gone. */
  #releasePanes(series: number, watermarkMs: number): void {
    const { sizeMs, hopMs, allowedLatenessMs } = this.#spec;
    const { width } = this.#panes;
    let before = NONE;
    let pane = this.#paneHeads[series];
    while (pane !== NONE) {
      const startMs = this.#panes.column[pane * width + START];
      if (Math.floor(startMs / hopMs) * hopMs + sizeMs + allowedLatenessMs <= watermarkMs) break;
      before = pane;
      pane = this.#panes.next[pane];
    }
    // The list goes back in time: all that follow are gone as well.
    if (before === NONE) this.#paneHeads[series] = NONE;
    else this.#panes.next[before] = NONE;
    while (pane !== NONE) {
      const following = this.#panes.next[pane];
      this.#set.release(this.#panes.column, pane * width + STATE);
      this.#panes.give(pane);
      pane = following;
    }
  }

  #emit(row: number, series: number, phase: Rollup['phase'], emit: (rollup: Rollup) => void): void {
    const at = row * WINDOW_WIDTH;
    const endMs = this.#windows.column[at + END];
    const startMs = endMs - this.#spec.sizeMs;
    const { width, column } = this.#panes;
    const held: number[] = [];
    const from = endMs - this.#paneMs;
    for (let pane = this.#paneHeads[series]; pane !== NONE; pane = this.#panes.next[pane]) {
      const paneMs = column[pane * width + START];
      if (paneMs < startMs) break;
      if (paneMs > from) continue;
      held.push(pane);
      if (phase === 'final' && column[pane * width + MARK] === QUIET) column[pane * width + MARK] = TO_TELL;
    }
    this.#set.begin(this.#scratch, 0);
    for (let i = held.length - 1; i >= 0; i--) this.#set.merge(this.#scratch, 0, column, held[i] * width + STATE);
    const result = this.#set.result(this.#scratch, 0);
    this.#set.release(this.#scratch, 0);
    emit({
      window: this.#spec.name,
      device: this.#series.device(series),
      metric: this.#series.metric(series),
      startMs,
      endMs,
      ...result,
      label: '',
      revision: ++this.#windows.column[at + REVISION],
      phase,
    });
  }

  unfinished(keep: (series: number) => void): void {
    for (let s = 0; s < this.#series.count; s++) if (this.#windowHeads[s] >= 0 || this.#paneHeads[s] >= 0) keep(s);
  }

  save(out: StateWriter): void {
    const count = this.#series.count;
    const { width, column } = this.#panes;
    out.series.each(count, (series) => out.varint(this.#gone[series]));
    out.varint(this.#windows.open);
    out.series.each(count, (series) => {
      for (let row = this.#windowHeads[series]; row >= 0; row = this.#windows.next[row]) {
        out.varint(out.series.number(series));
        for (let i = 0; i < DIRTY; i++) out.varint(this.#windows.column[row * WINDOW_WIDTH + i]);
      }
    });
    out.varint(this.#panes.open);
    out.series.each(count, (series) => {
      for (let pane = this.#paneHeads[series]; pane >= 0; pane = this.#panes.next[pane]) {
        out.varint(out.series.number(series));
        out.varint(column[pane * width + START]);
        out.varint(column[pane * width + MARK]);
        this.#set.save(column, pane * width + STATE, out);
      }
    });
  }

  /** After `seriesAdded` was called for every series. */
  restore(from: StateReader): void {
    const count = this.#series.count;
    for (let series = 0; series < count; series++) this.#gone[series] = from.varint();
    const windowTails = new Map<number, number>();
    for (let left = from.count(); left > 0; left--) {
      const series = from.below(count, 'a series');
      const row = this.#windows.take();
      for (let i = 0; i < DIRTY; i++) this.#windows.column[row * WINDOW_WIDTH + i] = from.varint();
      this.#windows.column[row * WINDOW_WIDTH + DIRTY] = 0;
      this.#windows.append(this.#windowHeads, windowTails, series, row);
    }
    const paneTails = new Map<number, number>();
    for (let left = from.count(); left > 0; left--) {
      const series = from.below(count, 'a series');
      const pane = this.#panes.take();
      const at = pane * this.#panes.width;
      this.#panes.column[at + START] = from.varint();
      this.#panes.column[at + MARK] = from.below(TOLD, 'a mark');
      this.#set.restore(this.#panes.column, at + STATE, from);
      this.#panes.append(this.#paneHeads, paneTails, series, pane);
    }
  }
}

/** The end of the first window that holds a time. */
function firstEnd(tsMs: number, sizeMs: number, hopMs: number): number {
  return (Math.floor((tsMs - sizeMs) / hopMs) + 1) * hopMs + sizeMs;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Doubles of a pane, and where they are. */
const START = 0;
const MARK = 1;
const STATE = 2;

/** Marks of a pane: a change of it changes nothing that was emitted; it does; and that is noted for this frame. */
const QUIET = 0;
const TO_TELL = 1;
const TOLD = 2;

/** Doubles of a window, and where they are: EARLY is the event time of its next early result, 0 when it has none to give. */
const END = 0;
const REVISION = 1;
const FINAL = 2;
const EARLY = 3;
const DIRTY = 4;
const WINDOW_WIDTH = 5;

/** What the open frame knows of a window: nothing; that it is to be corrected; that it takes no more. */
const CLEAN = 0;
const TO_CORRECT = 1;
const FROZEN = 2;

import type { Rollup } from '../../model/rollup.ts';
import type { TumblingWindow as TumblingSpec } from '../../model/window.ts';
import { withRoom } from '../columns.ts';
import type { SeriesDictionary } from '../series.ts';
import { ChangedBlocks, type WriteItem } from '../state-blocks.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import { type AggregateSet, aggregateSet } from './aggregates/aggregate-set.ts';
import { push } from './aggregates/window-state.ts';
import type { EventTime } from './event-time.ts';
import { WindowLimits } from './limits.ts';
import type { WindowOperator } from './window.ts';

/**
 * Tumbling windows: [k·size, (k+1)·size) of event time, for each series.
 *
 *     first reading ──▶ open ──watermark ≥ end──▶ emitted (revision 1) ──watermark ≥ end + lateness──▶ gone
 *                                                  │      ▲
 *                                                  └late reading: revision + 1, once a frame
 *
 * The watermark is the device's event time − outOfOrderMs. A reading is too late when its window is gone, or would be by
 * the device's newest ts; what an idle device's windows were closed by (event-time.ts) counts only for windows that were there,
 * so that a device that buffered while it was away fills the windows of that time.
 *
 * State is rows of a shared column; the rows of a series are a list, newest window first:
 *
 *     #heads[series] ─▶ row ─▶ row ─▶ −1        row: [ start, revision, aggregates … ]
 */
export class TumblingWindow implements WindowOperator {
  readonly horizonMs: number;
  readonly limits: WindowLimits;
  open = 0;
  readonly #spec: TumblingSpec;
  readonly #series: SeriesDictionary;
  readonly #time: EventTime;
  readonly #set: AggregateSet;
  /** The window has no further aggregates: their push is then called by name, so that the engine inlines it. */
  readonly #plain: boolean;
  /** Doubles of one row. */
  readonly #width: number;
  /** For each series its newest row; NONE, or UNMATCHED when this window does not take it. */
  #heads = new Int32Array(1024);
  #rows: Float64Array;
  #next = new Int32Array(256);
  #dirty = new Uint8Array(256);
  #rowsUsed = 0;
  #free = NONE;
  /** Rows with a correction to emit, each with its series. */
  #corrected: number[] = [];
  /** For each device the end of the newest window that is gone; windows up to there take no more. */
  #goneEnd = new Float64Array(256);
  /** What the next checkpoint has to write of #goneEnd, and of the rows of which series. */
  readonly #goneChanged = new ChangedBlocks();
  readonly #rowsChanged = new ChangedBlocks();

  constructor(spec: TumblingSpec, series: SeriesDictionary, time: EventTime) {
    this.#spec = spec;
    this.#series = series;
    this.#time = time;
    this.limits = new WindowLimits(spec, series);
    this.#set = aggregateSet(spec.aggregates);
    this.#plain = spec.aggregates.length === 0;
    this.#width = STATE + this.#set.width;
    this.#rows = new Float64Array(256 * this.#width);
    this.horizonMs = spec.sizeMs + spec.outOfOrderMs + spec.allowedLatenessMs;
  }

  seriesAdded(series: number): void {
    this.#heads = withRoom(this.#heads, series, NONE);
    this.#heads[series] = this.limits.takes(series) ? NONE : UNMATCHED;
    const device = this.#series.deviceOf(series);
    this.#goneEnd = withRoom(this.#goneEnd, device, 0);
  }

  push(series: number, device: number, tsMs: number, value: number): boolean {
    let row = this.#heads[series];
    if (row === UNMATCHED) return this.limits.pass(series);
    this.#rowsChanged.mark(series);
    const size = this.#spec.sizeMs;
    let rows = this.#rows;
    let at = Math.imul(row, this.#width);
    if (row === NONE || tsMs < rows[at + START] || tsMs >= rows[at + START] + size) {
      row = this.#rowFor(series, device, tsMs);
      if (row === NONE) return false;
      rows = this.#rows;
      at = Math.imul(row, this.#width);
    }
    // A window whose time has passed within this frame is still there; it takes no more all the same.
    if (tsMs < this.#time.newest(device) && this.#isTooLate(device, rows[at + START] + size)) return false;
    if (rows[at + REVISION] > 0 && this.#dirty[row] === 0) {
      this.#dirty[row] = 1;
      this.#corrected.push(row, series);
    }
    if (this.#plain) push(rows, at + STATE, value, tsMs);
    else this.#set.push(rows, at + STATE, value, tsMs);
    return true;
  }

  #isTooLate(device: number, endMs: number): boolean {
    const spec = this.#spec;
    return (
      endMs <= this.#goneEnd[device] || endMs + spec.allowedLatenessMs + spec.outOfOrderMs <= this.#time.newest(device)
    );
  }

  /** The row of the window that a reading falls into, when it is not the newest; NONE when it is too late. */
  #rowFor(series: number, device: number, tsMs: number): number {
    const size = this.#spec.sizeMs;
    const startMs = Math.floor(tsMs / size) * size;
    let before = NONE;
    let row = this.#heads[series];
    while (row !== NONE && this.#rows[row * this.#width + START] > startMs) {
      before = row;
      row = this.#next[row];
    }
    if (row !== NONE && this.#rows[row * this.#width + START] === startMs) return row;
    if (this.#isTooLate(device, startMs + size)) return NONE;
    const made = this.#take();
    const at = made * this.#width;
    this.#rows[at + START] = startMs;
    this.#rows[at + REVISION] = 0;
    this.#set.begin(this.#rows, at + STATE);
    this.#dirty[made] = 0;
    this.#next[made] = row;
    if (before === NONE) this.#heads[series] = made;
    else this.#next[before] = made;
    this.#time.wake(device, startMs + size + this.#spec.outOfOrderMs);
    return made;
  }

  #take(): number {
    this.open++;
    if (this.#free !== NONE) {
      const row = this.#free;
      this.#free = this.#next[row];
      return row;
    }
    const row = this.#rowsUsed++;
    this.#rows = withRoom(this.#rows, (row + 1) * this.#width - 1, 0);
    this.#next = withRoom(this.#next, row, 0);
    this.#dirty = withRoom(this.#dirty, row, 0);
    return row;
  }

  emitCorrections(emit: (rollup: Rollup) => void): void {
    if (this.#corrected.length === 0) return;
    for (let i = 0; i < this.#corrected.length; i += 2) {
      const row = this.#corrected[i];
      this.#dirty[row] = 0;
      this.#emit(row, this.#corrected[i + 1], emit);
    }
    this.#corrected = [];
  }

  advance(device: number, eventMs: number, emit: (rollup: Rollup) => void): number {
    const { sizeMs, outOfOrderMs, allowedLatenessMs } = this.#spec;
    const watermarkMs = eventMs - outOfOrderMs;
    let next = Number.POSITIVE_INFINITY;
    let goneEnd = this.#goneEnd[device];
    for (let series = this.#series.first(device); series !== -1; series = this.#series.next(series)) {
      let before = NONE;
      let row = this.#heads[series];
      if (row >= 0) this.#rowsChanged.mark(series);
      while (row >= 0) {
        const following = this.#next[row];
        const endMs = this.#rows[row * this.#width + START] + sizeMs;
        if (this.#rows[row * this.#width + REVISION] === 0 && endMs <= watermarkMs) this.#emit(row, series, emit);
        if (endMs + allowedLatenessMs <= watermarkMs) {
          if (endMs > goneEnd) goneEnd = endMs;
          if (before === NONE) this.#heads[series] = following;
          else this.#next[before] = following;
          this.#set.release(this.#rows, row * this.#width + STATE);
          this.#next[row] = this.#free;
          this.#free = row;
          this.open--;
        } else {
          const emitted = this.#rows[row * this.#width + REVISION] > 0;
          const due = (emitted ? endMs + allowedLatenessMs : endMs) + outOfOrderMs;
          if (due < next) next = due;
          before = row;
        }
        row = following;
      }
    }
    if (goneEnd !== this.#goneEnd[device]) this.#goneChanged.mark(device);
    this.#goneEnd[device] = goneEnd;
    return next;
  }

  #emit(row: number, series: number, emit: (rollup: Rollup) => void): void {
    this.#rowsChanged.mark(series);
    const at = row * this.#width;
    const startMs = this.#rows[at + START];
    emit({
      window: this.#spec.name,
      device: this.#series.device(series),
      metric: this.#series.metric(series),
      startMs,
      endMs: startMs + this.#spec.sizeMs,
      ...this.#set.result(this.#rows, at + STATE),
      label: '',
      revision: ++this.#rows[at + REVISION],
      phase: this.#rows[at + REVISION] === 1 ? 'final' : 'corrected',
    });
  }

  unfinished(keep: (series: number) => void): void {
    for (let series = 0; series < this.#series.count; series++) if (this.#heads[series] >= 0) keep(series);
  }

  save(out: StateWriter): void {
    const devices = this.#series.devices.count;
    out.varint(out.devices.count(devices));
    const writeGone: WriteItem = (d, to) => to.varint(d < this.#goneEnd.length ? this.#goneEnd[d] : 0);
    this.#goneChanged.save(out, 'gone', devices, writeGone, out.devices);
    out.varint(this.open);
    const writeRows: WriteItem = (series, to) => {
      for (let row = this.#heads[series]; row >= 0; row = this.#next[row]) {
        to.varint(to.series.number(series));
        to.varint(this.#rows[row * this.#width + START]);
        to.varint(this.#rows[row * this.#width + REVISION]);
        this.#set.save(this.#rows, row * this.#width + STATE, to);
      }
    };
    this.#rowsChanged.save(out, 'rows', this.#series.count, writeRows, out.series);
  }

  /** After `seriesAdded` was called for every series. Rows of series that are not taken any more are passed over. */
  restore(from: StateReader): void {
    const devices = from.count();
    if (devices > 0) this.#goneEnd = withRoom(this.#goneEnd, devices - 1, 0);
    for (let d = 0; d < devices; d++) this.#goneEnd[d] = from.varint();
    // The rows of a series stand together.
    let tail = NONE;
    let before = NONE;
    for (let left = from.count(); left > 0; left--) {
      const series = from.below(this.#series.count, 'a series');
      const row = this.#take();
      const at = row * this.#width;
      this.#rows[at + START] = from.varint();
      this.#rows[at + REVISION] = from.varint();
      this.#set.restore(this.#rows, at + STATE, from);
      this.#dirty[row] = 0;
      this.#next[row] = NONE;
      if (series !== before) this.#heads[series] = row;
      else this.#next[tail] = row;
      before = series;
      tail = row;
    }
  }
}

const NONE = -1;
const UNMATCHED = -2;

/** Where the parts of a row are. */
const START = 0;
const REVISION = 1;
const STATE = 2;

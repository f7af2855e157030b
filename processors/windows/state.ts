import type { Rollup } from '../../model/rollup.ts';
import type { StateWindow as StateSpec } from '../../model/window.ts';
import { withRoom } from '../columns.ts';
import type { SeriesDictionary } from '../series.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import { type AggregateSet, aggregateSet } from './aggregates/aggregate-set.ts';
import type { EventTime } from './event-time.ts';
import { earlyDueMs, selection, WindowLimits } from './limits.ts';
import { ReadingBuffer } from './reading-buffer.ts';
import { NONE, UNTAKEN, WindowRows } from './rows.ts';
import type { WindowOperator } from './window.ts';

/**
 * State windows: as long as the value of one metric of a device, its *state*, stays the same. From the first reading of a value
 * to the first of another; it gives a rollup of the state's own metric, and one of each other metric that had readings in that
 * time. All carry the state in `label`; that of the state's metric has its duration as `duration_ms`, and of a text its
 * values are 0.
 *
 * Readings of the device wait until the watermark has passed them, and are then taken in order of ts: at equal ts the state first,
 * and of several states at one ts the last that came. One that is older than the watermark, or than one that was taken, is too late:
 * it could split a window that is given out. What comes before the first state is in no window. A silent device stays in its
 * state: many report it only when it changes.
 */
export class StateWindow implements WindowOperator {
  readonly horizonMs: number;
  readonly limits: WindowLimits;
  readonly #spec: StateSpec;
  readonly #series: SeriesDictionary;
  readonly #time: EventTime;
  readonly #takesState: (series: number) => boolean;
  readonly #set: AggregateSet;
  readonly #rows: WindowRows;
  /** By series: its row of the open window of its device, NONE or UNTAKEN. */
  #heads = new Int32Array(1024);
  /** By series: 1 for those that hold the state of their device. */
  #isState = new Uint8Array(1024);
  readonly #devices: (DeviceState | undefined)[] = [];

  constructor(spec: StateSpec, series: SeriesDictionary, time: EventTime) {
    this.#spec = spec;
    this.#series = series;
    this.#time = time;
    const ofDevice = selection({ ...spec, metrics: [] }, series);
    this.#takesState = (s) => series.metric(s) === spec.state && ofDevice(s);
    const takes = selection(spec, series);
    this.limits = new WindowLimits(spec, series, (s) => this.#takesState(s) || takes(s));
    this.#set = aggregateSet(spec.aggregates);
    this.#rows = new WindowRows(STATE + this.#set.width);
    this.horizonMs = spec.outOfOrderMs + 1;
  }

  get open(): number {
    return this.#rows.open;
  }

  seriesAdded(series: number): void {
    this.#heads = withRoom(this.#heads, series, NONE);
    this.#isState = withRoom(this.#isState, series, 0);
    this.#isState[series] = this.#takesState(series) ? 1 : 0;
    this.#heads[series] = this.limits.takes(series) ? NONE : UNTAKEN;
  }

  push(series: number, device: number, tsMs: number, value: number): boolean {
    if (this.#heads[series] === UNTAKEN) return this.limits.pass(series);
    if (this.#isState[series] === 1) return this.#wait(series, device, tsMs, value, String(value));
    return this.#wait(series, device, tsMs, value, null);
  }

  /** Takes a reading that is a text. */
  pushText(series: number, device: number, tsMs: number, text: string): boolean {
    if (this.#isState[series] === 0) return true;
    if (this.#heads[series] === UNTAKEN) return this.limits.pass(series);
    return this.#wait(series, device, tsMs, 0, text.slice(0, LABEL_CHARS_MAX));
  }

  #wait(series: number, device: number, tsMs: number, value: number, label: string | null): boolean {
    const { outOfOrderMs } = this.#spec;
    let state = this.#devices[device];
    if (state === undefined) {
      state = new DeviceState();
      this.#devices[device] = state;
    }
    if (tsMs < state.takenMs || tsMs + outOfOrderMs < this.#time.newest(device)) return false;
    state.waiting.add(tsMs, value, series);
    if (label !== null) state.addLabel(tsMs, label);
    this.#time.wake(device, state.waiting.count > this.limits.readingsMax ? 0 : tsMs + 1 + outOfOrderMs);
    return true;
  }

  emitCorrections(): void {}

  advance(device: number, eventMs: number, emit: (rollup: Rollup) => void): number {
    const state = this.#devices[device];
    if (state === undefined) return Number.POSITIVE_INFINITY;
    const { outOfOrderMs, everyMs } = this.#spec;
    const watermarkMs = eventMs - outOfOrderMs;
    const { waiting } = state;
    const inTime = waiting.after(watermarkMs - 1);
    // Above the bound the oldest are taken before their time; what then comes from before them is too late.
    const wanted = Math.max(inTime, waiting.count - this.limits.readingsMax);
    let ready = 0;
    while (ready < wanted) ready = this.#take(device, state, ready, emit);
    this.limits.displaced(ready - inTime);
    waiting.drop(ready);
    let next = waiting.count > 0 ? waiting.ts(0) + 1 + outOfOrderMs : Number.POSITIVE_INFINITY;
    if (everyMs === null || state.label === null) return next;
    if (state.earlyMs !== 0 && state.earlyMs <= eventMs) {
      state.earlyMs = 0;
      this.#emit(device, state, Math.max(watermarkMs, state.takenMs), 'early', emit);
    } else if (ready > 0 && state.earlyMs === 0) state.earlyMs = earlyDueMs(everyMs, eventMs);
    if (state.earlyMs !== 0) next = Math.min(next, state.earlyMs);
    return next;
  }

  /** Takes all readings of the ts of one; returns the index behind them. */
  #take(device: number, state: DeviceState, from: number, emit: (rollup: Rollup) => void): number {
    const { waiting } = state;
    const tsMs = waiting.ts(from);
    const end = waiting.after(tsMs);
    state.takenMs = tsMs;
    const label = state.takeLabel(tsMs);
    if (label !== null && label !== state.label) {
      if (state.label !== null) this.#close(device, state, tsMs, emit);
      state.label = label;
      state.startMs = tsMs;
      state.earlyMs = 0;
    }
    let last = NONE;
    for (let i = from; i < end; i++) if (this.#isState[waiting.key(i)] === 1) last = i;
    if (state.label === null) return end;
    for (let i = from; i < end; i++) {
      const series = waiting.key(i);
      if (this.#isState[series] === 0 || i === last) this.#push(series, waiting.value(i), tsMs);
    }
    return end;
  }

  #push(series: number, value: number, tsMs: number): void {
    let row = this.#heads[series];
    if (row === NONE) {
      row = this.#rows.take();
      this.#rows.column[row * this.#rows.width + REVISION] = 0;
      this.#set.begin(this.#rows.column, row * this.#rows.width + STATE);
      this.#heads[series] = row;
    }
    this.#set.push(this.#rows.column, row * this.#rows.width + STATE, value, tsMs);
  }

  #close(device: number, state: DeviceState, endMs: number, emit: (rollup: Rollup) => void): void {
    this.#emit(device, state, endMs, 'final', emit);
    for (let series = this.#series.first(device); series !== -1; series = this.#series.next(series)) {
      const row = this.#heads[series];
      if (row >= 0) this.#release(series, row);
    }
  }

  #emit(
    device: number,
    state: DeviceState,
    endMs: number,
    phase: Rollup['phase'],
    emit: (rollup: Rollup) => void,
  ): void {
    for (let series = this.#series.first(device); series !== -1; series = this.#series.next(series)) {
      const row = this.#heads[series];
      if (row >= 0) this.#emitOne(series, row, state, endMs, phase, emit);
    }
  }

  #emitOne(
    series: number,
    row: number,
    state: DeviceState,
    endMs: number,
    phase: Rollup['phase'],
    emit: (rollup: Rollup) => void,
  ): void {
    const column = this.#rows.column;
    const at = row * this.#rows.width;
    const result = this.#set.result(column, at + STATE);
    const extra =
      this.#isState[series] === 1
        ? new Map([...(result.extra ?? []), ['duration_ms', endMs - state.startMs] as const])
        : result.extra;
    emit({
      window: this.#spec.name,
      device: this.#series.device(series),
      metric: this.#series.metric(series),
      startMs: state.startMs,
      endMs,
      ...result,
      extra,
      label: state.label as string,
      revision: ++column[at + REVISION],
      phase,
    });
  }

  /** Of a device that lives the whole state: a window has a rollup of each series that it had. */
  unfinished(keep: (series: number) => void, isSilent: (device: number) => boolean): void {
    for (let device = 0; device < this.#devices.length; device++) {
      const { waiting } = this.#devices[device] ?? { waiting: null };
      for (let i = 0; i < (waiting?.count ?? 0); i++) keep(waiting?.key(i) as number);
      if (waiting === null || isSilent(device)) continue;
      for (let s = this.#series.first(device); s !== -1; s = this.#series.next(s)) if (this.#heads[s] >= 0) keep(s);
    }
  }

  /** The state that its device is in is given up to the newest reading. */
  end(series: number, emit: (rollup: Rollup) => void): void {
    const row = this.#heads[series];
    const state = this.#devices[this.#series.deviceOf(series)];
    if (row < 0 || state === undefined) return;
    this.#emitOne(series, row, state, Math.max(state.takenMs, state.startMs) + 1, 'final', emit);
    this.#release(series, row);
  }

  #release(series: number, row: number): void {
    this.#heads[series] = NONE;
    this.#set.release(this.#rows.column, row * this.#rows.width + STATE);
    this.#rows.give(row);
  }

  save(out: StateWriter): void {
    const { width, column } = this.#rows;
    const devices = this.#series.devices.count;
    out.varint(out.devices.count(devices));
    out.devices.each(devices, (d) => {
      const state = this.#devices[d];
      out.varint(state === undefined ? 0 : 1);
      state?.save(out);
    });
    out.varint(this.#rows.open);
    out.series.each(this.#series.count, (series) => {
      const row = this.#heads[series];
      if (row < 0) return;
      out.varint(out.series.number(series));
      out.varint(column[row * width + REVISION]);
      this.#set.save(column, row * width + STATE, out);
    });
  }

  /** After `seriesAdded` was called for every series. */
  restore(from: StateReader): void {
    const devices = from.below(this.#series.devices.count + 1, 'the count of devices');
    for (let d = 0; d < devices; d++) {
      if (from.below(2, 'a mark') === 0) continue;
      const state = new DeviceState();
      state.restore(from, this.#series.count);
      this.#devices[d] = state;
    }
    for (let left = from.count(); left > 0; left--) {
      const series = from.below(this.#series.count, 'a series');
      const row = this.#rows.take();
      this.#rows.column[row * this.#rows.width + REVISION] = from.varint();
      this.#set.restore(this.#rows.column, row * this.#rows.width + STATE, from);
      this.#heads[series] = row;
    }
  }
}

/** What is known of a device: the readings that wait, the states among them, and the state that it is in. */
class DeviceState {
  /** The key is the series. */
  readonly waiting = new ReadingBuffer();
  /** One for each waiting reading of a state, in order of ts. */
  #labels: { tsMs: number; label: string }[] = [];
  /** Null before the first. */
  label: string | null = null;
  startMs = 0;
  /** The newest ts that was taken. */
  takenMs = 0;
  /** The event time of the next early result, 0 when there is none to give. */
  earlyMs = 0;

  addLabel(tsMs: number, label: string): void {
    let at = this.#labels.length;
    while (at > 0 && this.#labels[at - 1].tsMs > tsMs) at--;
    this.#labels.splice(at, 0, { tsMs, label });
  }

  /** Takes those of a ts, which is the earliest; returns the last of them. */
  takeLabel(tsMs: number): string | null {
    let count = 0;
    while (count < this.#labels.length && this.#labels[count].tsMs === tsMs) count++;
    if (count === 0) return null;
    return this.#labels.splice(0, count)[count - 1].label;
  }

  save(out: StateWriter): void {
    this.waiting.save(out, (series) => out.series.number(series));
    out.varint(this.#labels.length);
    for (const { tsMs, label } of this.#labels) {
      out.varint(tsMs);
      out.text(label);
    }
    out.varint(this.label === null ? 0 : 1);
    out.text(this.label ?? '');
    for (const time of [this.startMs, this.takenMs, this.earlyMs]) out.varint(time);
  }

  restore(from: StateReader, seriesEnd: number): void {
    this.waiting.restore(from, seriesEnd);
    for (let left = from.count(); left > 0; left--) this.#labels.push({ tsMs: from.varint(), label: from.text() });
    const isKnown = from.below(2, 'a mark') === 1;
    const label = from.text();
    this.label = isKnown ? label : null;
    this.startMs = from.varint();
    this.takenMs = from.varint();
    this.earlyMs = from.varint();
  }
}

/** A text that is a state is known by so many of its characters. */
const LABEL_CHARS_MAX = 256;

/** Doubles of a series' row, and where they are. */
const REVISION = 0;
const STATE = 1;

import type { HoppingWindow, TumblingWindow, WindowKey, WindowSpec } from '../../model/window.ts';
import { withRoom } from '../columns.ts';
import type { Registry } from '../registry/registry.ts';
import type { SeriesDictionary } from '../series.ts';
import { type StateReader, StateWriter } from '../state-bytes.ts';
import { type AggregateSet, aggregateSet } from '../windows/aggregates/aggregate-set.ts';
import type { EventTime } from '../windows/event-time.ts';
import { WindowLimits } from '../windows/limits.ts';
import type { WindowOperator } from '../windows/window.ts';
import type { MessageTopics } from './message-topics.ts';
import { definitionHash, encodePartial, type OutgoingPartial } from './partial.ts';

export type GroupSpec = TumblingWindow | HoppingWindow;

interface Row {
  group: string;
  metric: string;
  /** Into the column of states. */
  at: number;
  revision: number;
  dirty: boolean;
  /** Where the state of each series is, when the aggregates go along series; `at` then holds what is joined of them. */
  series: Map<number, number>;
}

interface Open {
  startMs: number;
  /** Devices that have sent something of the window and are not past its end. */
  pending: number;
  /** By group and metric (`#keyOf`). */
  rows: Map<number, Row>;
}

/**
 * One partition's part of the windows of groups: readings of all devices of a group in the partition go into one state. When a
 * window is closed here it is told to those who merge the partitions (merge.ts), with a mark that says how far this partition is:
 *
 *     reading ──▶ open ──closed──▶ partial (revision 1) ──late reading──▶ partial (revision 2, once a frame) ──lateness──▶ gone
 *
 * A window is closed when the clock of the partition is past its end + outOfOrderMs, and so is every device that has sent something of it or
 * of one before: by its watermark, or because it is idle (event-time.ts). A device that has sent nothing of it is not waited for;
 * what it sends later corrects. A device counts for the group that it is in when its reading comes along the log, or that its
 * message's topic names; what it has sent before stays where it was. Devices without a value for the group are in none.
 */
export class GroupWindow implements WindowOperator {
  readonly horizonMs: number;
  readonly limits: WindowLimits;
  readonly #spec: GroupSpec;
  readonly #hopMs: number;
  readonly #partition: number;
  readonly #series: SeriesDictionary;
  readonly #time: EventTime;
  readonly #groupOf: (device: number) => string;
  readonly #set: AggregateSet;
  readonly #definition: number;
  /** By series: the number of its metric, −1 when the window does not take it. */
  #metric = new Int32Array(1024);
  readonly #metricNumbers = new Map<string, number>();
  /** By device: the number of its group + 1, 0 when it has to be looked up, −1 for none. */
  #group = new Int32Array(256);
  readonly #groups: string[] = [];
  readonly #groupNumbers = new Map<string, number>();

  readonly #windows = new Map<number, Open>();
  #column = new Float64Array(0);
  #columnUsed = 0;
  readonly #free: number[] = [];
  /** By device: the windows that wait for it. */
  readonly #pendingOf = new Map<number, number[]>();
  /** Windows that begin up to here are closed. */
  #closedMs = NEVER;
  #corrected: { startMs: number; row: Row }[] = [];

  constructor(
    spec: GroupSpec,
    partition: number,
    series: SeriesDictionary,
    time: EventTime,
    registry: Registry,
    topics: MessageTopics,
  ) {
    this.#spec = spec;
    this.#hopMs = spec.kind === 'hopping' ? spec.hopMs : spec.sizeMs;
    this.#partition = partition;
    this.#series = series;
    this.#time = time;
    const { by } = spec;
    this.#groupOf =
      by.kind === 'topic' ? (device) => topics.level(device, by.level) : (device) => groupValue(by, registry, device);
    (by.kind === 'topic' ? topics : registry).onChange((device) => {
      if (device < this.#group.length) this.#group[device] = 0;
    });
    this.limits = new WindowLimits(spec, series);
    this.#set = aggregateSet(spec.aggregates);
    this.#definition = definitionHash(spec);
    this.horizonMs = spec.sizeMs + spec.outOfOrderMs + spec.allowedLatenessMs;
  }

  get open(): number {
    return this.#windows.size;
  }

  seriesAdded(series: number): void {
    this.#metric = withRoom(this.#metric, series, -1);
    this.#metric[series] = this.limits.takes(series) ? numberOf(this.#metricNumbers, this.#series.metric(series)) : -1;
    this.#group = withRoom(this.#group, this.#series.deviceOf(series), 0);
  }

  push(series: number, device: number, tsMs: number, value: number): boolean {
    const metric = this.#metric[series];
    if (metric === -1) return this.limits.pass(series);
    let group = this.#group[device];
    if (group === 0) group = this.#lookUp(device);
    if (group === -1) return true;
    const { sizeMs, allowedLatenessMs } = this.#spec;
    let complete = true;
    for (let startMs = Math.floor(tsMs / this.#hopMs) * this.#hopMs; startMs > tsMs - sizeMs; startMs -= this.#hopMs) {
      if (startMs + allowedLatenessMs <= this.#closedMs || startMs < 0) {
        complete = false;
        break;
      }
      this.#take(startMs, group - 1, metric, series, device, tsMs, value);
    }
    return complete;
  }

  #lookUp(device: number): number {
    const name = this.#groupOf(device);
    if (name === '') this.#group[device] = -1;
    else {
      const number = numberOf(this.#groupNumbers, name);
      this.#groups[number] = name;
      this.#group[device] = number + 1;
    }
    return this.#group[device];
  }

  #take(
    startMs: number,
    group: number,
    metric: number,
    series: number,
    device: number,
    tsMs: number,
    value: number,
  ): void {
    const open = this.#openAt(startMs);
    const key = group * METRICS_MAX + metric;
    let row = open.rows.get(key);
    if (row === undefined) {
      row = {
        group: this.#groups[group],
        metric: this.#series.metric(series),
        at: this.#room(),
        revision: 0,
        dirty: false,
        series: new Map(),
      };
      this.#set.begin(this.#column, row.at);
      open.rows.set(key, row);
    }
    const at = this.#set.bySeries ? this.#stateOf(row, series) : row.at;
    this.#set.push(this.#column, at, value, tsMs);
    if (startMs <= this.#closedMs) {
      if (!row.dirty) {
        row.dirty = true;
        this.#corrected.push({ startMs, row });
      }
      return;
    }
    const waiting = this.#pendingOf.get(device);
    if (waiting?.includes(startMs)) return;
    if (waiting === undefined) this.#pendingOf.set(device, [startMs]);
    else waiting.push(startMs);
    open.pending++;
    this.#time.wake(device, startMs + this.#spec.sizeMs + this.#spec.outOfOrderMs);
  }

  #stateOf(row: Row, series: number): number {
    let at = row.series.get(series);
    if (at === undefined) {
      at = this.#room();
      this.#set.begin(this.#column, at);
      row.series.set(series, at);
    }
    return at;
  }

  #openAt(startMs: number): Open {
    let open = this.#windows.get(startMs);
    if (open === undefined) {
      open = { startMs, pending: 0, rows: new Map() };
      this.#windows.set(startMs, open);
    }
    return open;
  }

  #room(): number {
    const free = this.#free.pop();
    // Nothing of who had it before comes into a checkpoint.
    if (free !== undefined) this.#column.fill(0, free, free + this.#set.width);
    if (free !== undefined) return free;
    const at = this.#columnUsed;
    this.#columnUsed += this.#set.width;
    this.#column = withRoom(this.#column, this.#columnUsed, 0);
    return at;
  }

  /** What this partition has to say is said by `tell`. */
  emitCorrections(): void {}

  advance(device: number, eventMs: number): number {
    const waiting = this.#pendingOf.get(device);
    if (waiting === undefined) return Number.POSITIVE_INFINITY;
    const { sizeMs, outOfOrderMs } = this.#spec;
    const left: number[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const startMs of waiting) {
      const dueMs = startMs + sizeMs + outOfOrderMs;
      if (dueMs <= eventMs) (this.#windows.get(startMs) as Open).pending--;
      else {
        left.push(startMs);
        next = Math.min(next, dueMs);
      }
    }
    if (left.length === 0) this.#pendingOf.delete(device);
    else this.#pendingOf.set(device, left);
    return next;
  }

  /** The frame at `offset` has ended, and all devices have advanced: tells corrections, the windows that are closed now, and how far it is. */
  tell(offset: number, ordinal: number, send: (partial: OutgoingPartial) => void): number {
    let next = ordinal;
    for (const { startMs, row } of this.#corrected) this.#send(offset, next++, startMs, row, send);
    this.#corrected = [];
    const { sizeMs, outOfOrderMs, allowedLatenessMs } = this.#spec;
    const hopMs = this.#hopMs;
    let closedMs = Math.floor((this.#time.clockMs - outOfOrderMs - sizeMs) / hopMs) * hopMs;
    if (closedMs <= this.#closedMs || closedMs < 0) return next;
    for (const { startMs, pending } of this.#windows.values()) {
      if (pending > 0) closedMs = Math.min(closedMs, startMs - hopMs);
    }
    if (closedMs <= this.#closedMs || closedMs < 0) return next;
    const inOrder = [...this.#windows.values()].sort((a, b) => a.startMs - b.startMs);
    for (const { startMs, rows } of inOrder) {
      if (startMs <= this.#closedMs || startMs > closedMs) continue;
      for (const row of sorted(rows.values())) this.#send(offset, next++, startMs, row, send);
    }
    this.#closedMs = closedMs;
    for (const { startMs, rows } of inOrder) {
      if (startMs + allowedLatenessMs > closedMs) continue;
      for (const row of rows.values()) {
        for (const at of [row.at, ...row.series.values()]) {
          this.#set.release(this.#column, at);
          this.#free.push(at);
        }
      }
      this.#windows.delete(startMs);
    }
    send({ group: null, bytes: encodePartial(this.#head(offset, next++, closedMs), null) });
    return next;
  }

  #head(offset: number, ordinal: number, startMs: number) {
    const { name: window } = this.#spec;
    return { window, definition: this.#definition, partition: this.#partition, offset, ordinal, startMs };
  }

  #send(offset: number, ordinal: number, startMs: number, row: Row, send: (partial: OutgoingPartial) => void): void {
    row.dirty = false;
    row.revision++;
    const state = new StateWriter(256);
    if (this.#set.bySeries) {
      this.#set.release(this.#column, row.at);
      this.#set.begin(this.#column, row.at);
      for (const [, at] of inSeriesOrder(row.series)) this.#set.join(this.#column, row.at, this.#column, at);
    }
    this.#set.save(this.#column, row.at, state);
    const { group, metric, revision } = row;
    send({ group, bytes: encodePartial(this.#head(offset, ordinal, startMs), { group, metric, revision, state }) });
  }

  /** Devices that a window waits for, and series that have a state of their own in one. */
  unfinished(keep: (series: number) => void): void {
    for (const device of this.#pendingOf.keys()) keep(this.#series.first(device));
    for (const { rows } of this.#windows.values())
      for (const row of rows.values()) for (const series of row.series.keys()) keep(series);
  }

  /** At the end of a frame. */
  save(out: StateWriter): void {
    out.varint(this.#closedMs + 1);
    const inOrder = [...this.#windows.values()].sort((a, b) => a.startMs - b.startMs);
    out.varint(inOrder.length);
    for (const { startMs, rows } of inOrder) {
      out.varint(startMs);
      out.varint(rows.size);
      for (const row of sorted(rows.values())) {
        out.text(row.group);
        out.text(row.metric);
        out.varint(row.revision);
        this.#set.save(this.#column, row.at, out);
        out.varint(row.series.size);
        for (const [series, at] of inSeriesOrder(row.series)) {
          out.varint(out.series.number(series));
          this.#set.save(this.#column, at, out);
        }
      }
    }
    const devices = [...this.#pendingOf].sort(([a], [b]) => a - b);
    out.varint(devices.length);
    for (const [device, starts] of devices) {
      out.varint(out.devices.number(device));
      out.varint(starts.length);
      for (const startMs of starts) out.varint(startMs);
    }
  }

  restore(from: StateReader): void {
    this.#closedMs = from.varint() - 1;
    for (let windows = from.count(); windows > 0; windows--) {
      const open = this.#openAt(from.varint());
      for (let rows = from.count(); rows > 0; rows--) {
        const [group, metric, revision, at] = [from.text(), from.text(), from.varint(), this.#room()];
        this.#set.restore(this.#column, at, from);
        const number = numberOf(this.#groupNumbers, group);
        this.#groups[number] = group;
        const key = number * METRICS_MAX + numberOf(this.#metricNumbers, metric);
        const series = new Map<number, number>();
        for (let left = from.count(); left > 0; left--) {
          const one = from.below(this.#series.count, 'a series');
          series.set(one, this.#room());
          this.#set.restore(this.#column, series.get(one) as number, from);
        }
        open.rows.set(key, { group, metric, at, revision, dirty: false, series });
      }
    }
    for (let devices = from.count(); devices > 0; devices--) {
      const device = from.below(this.#series.devices.count, 'a device');
      const starts: number[] = [];
      for (let left = from.count(); left > 0; left--) {
        const startMs = from.varint();
        const open = this.#windows.get(startMs);
        if (open === undefined) from.unreadable('a device waits for a window that is not there');
        else open.pending++;
        starts.push(startMs);
      }
      this.#pendingOf.set(device, starts);
    }
  }
}

/** Windows of groups that are made in parts and merged. */
export function isGroupSpec(spec: WindowSpec): spec is GroupSpec {
  return spec.by.kind !== 'device' && (spec.kind === 'tumbling' || spec.kind === 'hopping');
}

/** Nothing is closed yet; starts are 0 and above. */
const NEVER = -1;
const METRICS_MAX = 2 ** 24;

/** In an order that does not depend on how the state came about. */
function sorted(rows: Iterable<Row>): Row[] {
  return [...rows].sort((a, b) => compare(a.group, b.group) || compare(a.metric, b.metric));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function numberOf(numbers: Map<string, number>, name: string): number {
  let number = numbers.get(name);
  if (number === undefined) {
    number = numbers.size;
    numbers.set(name, number);
  }
  return number;
}

/** The value that a device has for a key; empty for none. */
function groupValue(by: WindowKey, registry: Registry, device: number): string {
  const entry = registry.entry(device);
  if (entry === null) return '';
  switch (by.kind) {
    case 'site':
      return entry.site;
    case 'model':
      return entry.model;
    case 'tag':
      return entry.tags.get(by.tag) ?? '';
    default:
      return '';
  }
}

/** The same order after a restore, so that sums round alike. */
function inSeriesOrder(states: ReadonlyMap<number, number>): [series: number, at: number][] {
  return [...states].sort(([a], [b]) => a - b);
}

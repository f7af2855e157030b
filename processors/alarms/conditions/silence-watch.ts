import type { SilenceRule } from '../../../model/alarm.ts';
import { matcher } from '../../../model/pattern.ts';
import { withRoom } from '../../columns.ts';
import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { ConditionContext, Explanation } from '../condition.ts';
import { GAPS_MIN, LEARNING_MS_MIN, usualGap } from './cadence.ts';
import { type IndexedRule, LevelStates } from './levels.ts';
import { LivedClock } from './lived-clock.ts';
import { Timers } from './timers.ts';

/** One rule of silence (silence.ts). Units are numbered as they come; `unitOf` finds them by device, or by series for a metric. */
export class SilenceWatch {
  readonly key: string;
  readonly #rule: SilenceRule;
  readonly #context: ConditionContext;
  readonly #matches: (device: string) => boolean;
  readonly #levels: LevelStates;
  readonly #lived: LivedClock;
  readonly #timers = new Timers();
  #unitOf = new Int32Array(64).fill(-1);
  /** By device the device number of its group, −1 for none, UNKNOWN before it was asked for. */
  #groupOf = new Int32Array(64).fill(UNKNOWN);
  /** By unit: ROW doubles, and whom it is. */
  #rows = new Float64Array(64 * ROW);
  #subject = new Int32Array(64);
  #units = 0;

  constructor(indexed: IndexedRule, context: ConditionContext) {
    this.#rule = indexed.rule as SilenceRule;
    this.#context = context;
    this.#matches = matcher(this.#rule.devices);
    this.#lived = new LivedClock(this.#rule.outageMs, this.#rule.graceMs);
    this.#levels = new LevelStates([indexed], context.place, context.onTurn, (unit) => this.#describe(unit));
    this.key = this.#levels.rules[0].key;
  }

  seriesAdded(series: number): void {
    const { metric } = this.#rule;
    if (metric === '' || this.#context.series.metric(series) !== metric) return;
    if (this.#matches(this.#context.series.device(series))) this.#unit(series);
  }

  clock(): void {
    this.#lived.advance(this.#context.place.clockMs);
  }

  message(device: number): void {
    this.#lived.advance(this.#context.place.clockMs);
    if (this.#rule.metric !== '') return;
    if (this.#rule.by === null) {
      if (!this.#isKnown(device) && !this.#matches(this.#context.series.devices.name(device))) return;
      this.#hear(this.#unit(device));
      return;
    }
    const group = this.#group(device);
    if (group >= 0) this.#hear(this.#unit(group));
  }

  /** A reading of a series, number or text. */
  reading(series: number): void {
    if (this.#rule.metric !== '' && this.#isKnown(series)) this.#hear(this.#unitOf[series]);
  }

  messageEnd(device: number): void {
    if (this.#rule.metric === '') return;
    const series = this.#context.series.find(device, this.#rule.metric);
    if (series >= 0 && this.#isKnown(series)) this.#check(this.#unitOf[series]);
  }

  endFrame(): void {
    this.#lived.advance(this.#context.place.clockMs);
    for (const unit of this.#timers.take(this.#lived.livedMs)) this.#check(unit);
  }

  deviceChanged(device: number): void {
    if (this.#rule.by === null || device >= this.#groupOf.length || this.#groupOf[device] === UNKNOWN) return;
    this.#leave(device);
    this.#groupOf[device] = UNKNOWN;
  }

  #isKnown(subject: number): boolean {
    return subject < this.#unitOf.length && this.#unitOf[subject] >= 0;
  }

  #unit(subject: number): number {
    if (this.#isKnown(subject)) return this.#unitOf[subject];
    this.#unitOf = withRoom(this.#unitOf, subject, -1);
    const unit = this.#units++;
    this.#levels.add(0, () => null);
    this.#unitOf[subject] = unit;
    this.#subject = withRoom(this.#subject, unit, 0);
    this.#subject[unit] = subject;
    this.#rows = withRoom(this.#rows, (unit + 1) * ROW - 1, 0);
    this.#rows[unit * ROW + FIRST] = NEVER;
    return unit;
  }

  /** The group of a device as a device of the dictionary, under a name that no device has of itself; −1 for none. */
  #group(device: number): number {
    this.#groupOf = withRoom(this.#groupOf, device, UNKNOWN);
    if (this.#groupOf[device] !== UNKNOWN) return this.#groupOf[device];
    const { series, facts } = this.#context;
    const { by } = this.#rule;
    const value = by !== null && this.#matches(series.devices.name(device)) ? facts.groupOf(device, by) : null;
    this.#groupOf[device] = -1;
    if (by === null || value === null) return -1;
    const group = series.devices.add(`${by.kind === 'tag' ? by.tag : by.kind}=${value}`.replace(/[/+#\0]/g, '_'));
    this.#groupOf[device] = group;
    this.#rows[this.#unit(group) * ROW + MEMBERS]++;
    return group;
  }

  #leave(device: number): void {
    const group = this.#groupOf[device];
    if (group >= 0) this.#rows[this.#unitOf[group] * ROW + MEMBERS]--;
  }

  #hear(unit: number): void {
    const at = unit * ROW;
    const { livedMs } = this.#lived;
    const { place } = this.#context;
    if (this.#rows[at + FIRST] === NEVER) this.#rows[at + FIRST] = livedMs;
    else {
      const gapMs = livedMs - this.#rows[at + LAST];
      this.#rows[at + USUAL] = usualGap(this.#rows[at + USUAL], gapMs, !this.#isLearned(unit));
      this.#rows[at + GAPS]++;
    }
    this.#levels.judge(unit, unit, place.clockMs, 0);
    this.#rows[at + LAST] = livedMs;
    this.#rows[at + HEARD_MS] = place.clockMs;
    this.#rows[at + OFFSET] = place.offset;
    this.#rows[at + INDEX] = place.index;
    if (this.#rule.metric !== '' || this.#timers.isSet(unit)) return;
    const afterMs = this.#afterMs(unit);
    if (afterMs !== Number.POSITIVE_INFINITY) this.#timers.set(unit, livedMs + afterMs);
  }

  #isLearned(unit: number): boolean {
    const at = unit * ROW;
    return this.#rows[at + GAPS] >= GAPS_MIN && this.#rows[at + LAST] - this.#rows[at + FIRST] >= LEARNING_MS_MIN;
  }

  /** How long the unit may be silent; Infinity while that is not known. */
  #afterMs(unit: number): number {
    const { afterMs, factor, afterMinMs } = this.#rule;
    if (afterMs !== null) return afterMs;
    if (!this.#isLearned(unit)) return Number.POSITIVE_INFINITY;
    return Math.max(afterMinMs, this.#rows[unit * ROW + USUAL] * factor);
  }

  #check(unit: number): void {
    const dueMs = this.#rows[unit * ROW + LAST] + this.#afterMs(unit);
    if (dueMs === Number.POSITIVE_INFINITY) return;
    if (this.#lived.livedMs < dueMs) {
      if (this.#rule.metric === '') this.#timers.set(unit, dueMs);
      return;
    }
    // One device is no group: what it says is its own silence, not that of a gateway.
    if (this.#rule.by !== null && this.#rows[unit * ROW + MEMBERS] < 2) return;
    this.#levels.judge(unit, unit, this.#context.place.clockMs, 1);
  }

  #describe(unit: number) {
    const { series, place, time } = this.#context;
    const at = unit * ROW;
    const isMetric = this.#rule.metric !== '';
    const subject = this.#subject[unit];
    const heard = {
      partition: place.partition,
      offset: this.#rows[at + OFFSET],
      index: this.#rows[at + INDEX],
      metric: this.#rule.metric,
      value: Number.NaN,
      tsMs: this.#rows[at + HEARD_MS],
    };
    return {
      device: isMetric ? series.deviceOf(subject) : subject,
      metric: this.#rule.metric,
      watermarkMs: this.#rule.by === null ? time.newest(isMetric ? series.deviceOf(subject) : subject) : -1,
      evidence: [heard],
      shown: (this.#lived.livedMs - this.#rows[at + LAST]) / 1000,
      limit: this.#afterMs(unit) / 1000,
    };
  }

  /** The group's number under which its turns are reported, for a device; −1 for none. Its rule is one over groups. */
  groupOf(device: number): number {
    return device < this.#groupOf.length ? this.#groupOf[device] : -1;
  }

  /** The devices of a group. */
  *members(group: number): Iterable<number> {
    for (let d = 0; d < this.#groupOf.length; d++) if (this.#groupOf[d] === group) yield d;
  }

  siteOfGroup(group: number): string | null {
    if (this.#rule.by?.kind !== 'site') return null;
    for (const member of this.members(group)) return this.#context.facts.groupOf(member, this.#rule.by);
    return null;
  }

  explain(device: number): Explanation[] {
    const { metric, by, name } = this.#rule;
    const { series } = this.#context;
    const subject = metric !== '' ? series.find(device, metric) : by === null ? device : this.groupOf(device);
    if (subject < 0 || !this.#isKnown(subject)) return [];
    const unit = this.#unitOf[subject];
    const afterMs = this.#afterMs(unit);
    const lastMs = this.#rows[unit * ROW + LAST];
    const learned = this.#rule.afterMs === null ? ', learned from its own cadence' : '';
    const known = afterMs !== Number.POSITIVE_INFINITY;
    return [
      {
        rule: name,
        kind: 'silence',
        metric,
        lastMs: this.#rows[unit * ROW + HEARD_MS],
        value: (this.#lived.livedMs - lastMs) / 1000,
        levels: this.#levels.explain(unit),
        ...(known ? { deadlineMs: this.#lived.clockAt(lastMs + afterMs) } : {}),
        note: known
          ? `silent after ${Math.round(afterMs)} ms${learned}`
          : `its cadence is not known yet: ${this.#rows[unit * ROW + GAPS]} gaps`,
      },
    ];
  }

  /**
   *     clock    lived, last + 1, frozen until
   *     timers   seconds that have passed
   *     units    count, then of each: subject, its row, second of its timer, levels
   *     groups   count of devices that were asked for, then of each: device, group + 1
   */
  save(out: StateWriter): void {
    this.#lived.save(out);
    out.varint(this.#timers.from);
    out.varint(this.#units);
    for (let unit = 0; unit < this.#units; unit++) {
      out.varint(this.#subject[unit]);
      for (let i = 0; i < ROW; i++) out.f64(this.#rows[unit * ROW + i]);
      out.varint(this.#timers.secondOf(unit));
      this.#levels.saveUnit(unit, out);
    }
    const asked = [...this.#groupOf.keys()].filter((device) => this.#groupOf[device] !== UNKNOWN);
    out.varint(asked.length);
    for (const device of asked) {
      out.varint(device);
      out.varint(this.#groupOf[device] + 1);
    }
  }

  restore(from: StateReader): void {
    const { series } = this.#context;
    this.#lived.restore(from);
    this.#timers.restoreFrom(from.varint());
    const subjects = this.#rule.metric === '' ? series.devices.count : series.count;
    // Units of series are there already, made by seriesAdded in the same order.
    for (let left = from.count(); left > 0; left--) {
      const unit = this.#unit(from.below(subjects, 'a subject'));
      for (let i = 0; i < ROW; i++) this.#rows[unit * ROW + i] = from.f64();
      this.#timers.restoreUnit(unit, from.varint());
      this.#levels.restoreUnit(unit, 1, from);
    }
    for (let left = from.count(); left > 0; left--) {
      const device = from.below(series.devices.count, 'a device');
      this.#groupOf = withRoom(this.#groupOf, device, UNKNOWN);
      this.#groupOf[device] = from.below(series.devices.count + 1, 'a group') - 1;
    }
  }
}

const NEVER = -1;
const UNKNOWN = -2;

/** Lived time when first and last heard, the clock then, the usual gap, how many gaps, place of the last message, members of a group. */
const FIRST = 0;
const LAST = 1;
const HEARD_MS = 2;
const USUAL = 3;
const GAPS = 4;
const OFFSET = 5;
const INDEX = 6;
const MEMBERS = 7;
const ROW = 8;

import type { SilenceRule } from '../../../model/alarm.ts';
import { matcher } from '../../../model/pattern.ts';
import { withRoom } from '../../columns.ts';
import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { ConditionContext, Explanation } from '../condition.ts';
import type { FactSubject } from '../shared-facts.ts';
import { GAPS_MIN, LEARNING_MS_MIN, usualGap } from './cadence.ts';
import { GroupParts, type OwnPart } from './group-parts.ts';
import { type IndexedRule, LevelStates } from './levels.ts';
import { LivedClock } from './lived-clock.ts';
import {
  explainSilence,
  FIRST,
  GAPS,
  HEARD_MS,
  INDEX,
  LAST,
  MEMBERS,
  NEVER,
  OFFSET,
  ROW,
  USUAL,
} from './silence-row.ts';
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
  /** For a rule over groups: what other partitions have of them, which units' own members are all silent, and what is to be judged anew. */
  readonly #parts: GroupParts | null;
  readonly #silent = new Set<number>();
  readonly #touched = new Set<number>();

  constructor(indexed: IndexedRule, context: ConditionContext) {
    this.#rule = indexed.rule as SilenceRule;
    this.#context = context;
    this.#matches = matcher(this.#rule.devices);
    this.#lived = new LivedClock(this.#rule.outageMs, this.#rule.graceMs);
    this.#levels = new LevelStates([indexed], context.place, context.onTurn, (unit) => this.#describe(unit));
    this.key = this.#levels.rules[0].key;
    const { by } = this.#rule;
    this.#parts = by === null ? null : new GroupParts(this.#rule, by, context.series, context.shared);
  }

  /** Without a state of its own to go on from: what is known of devices and of other partitions already. */
  beginAfresh(): void {
    this.#lived.advance(this.#context.place.clockMs);
    for (let device = 0; device < this.#context.series.devices.count; device++) this.deviceRegistered(device);
    for (const group of this.#parts?.heard() ?? []) this.#touched.add(this.#unit(group));
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
    this.judgeGroups();
  }

  judgeGroups(): void {
    if (this.#touched.size === 0) return;
    for (const unit of [...this.#touched].sort((a, b) => a - b)) this.#judgeGroup(unit);
    this.#touched.clear();
  }

  deviceChanged(device: number): void {
    if (this.#rule.by === null || device >= this.#groupOf.length || this.#groupOf[device] === UNKNOWN) return;
    this.#leave(device);
    this.#groupOf[device] = UNKNOWN;
  }

  /**
   * Somebody has said of a device that it is there: from now on it may be silent, though it never spoke. Where silence is learned
   * there is nothing to learn from yet.
   */
  deviceRegistered(device: number): void {
    const { afterMs, metric, by } = this.#rule;
    const { series, facts } = this.#context;
    if (afterMs === null || metric !== '') return;
    if (!facts.isRegistered(device)) {
      if (by === null && this.#isKnown(device)) this.#withdraw(this.#unitOf[device]);
      return;
    }
    if (by === null && !this.#isKnown(device) && !this.#matches(series.devices.name(device))) return;
    const subject = by === null ? device : this.#group(device);
    if (subject >= 0) this.#expect(this.#unit(subject));
  }

  #expect(unit: number): void {
    const at = unit * ROW;
    const { livedMs } = this.#lived;
    if (this.#rows[at + FIRST] !== NEVER || this.#rows[at + HEARD_MS] > 0) return;
    this.#rows[at + LAST] = livedMs;
    this.#rows[at + HEARD_MS] = this.#context.place.clockMs;
    this.#rows[at + OFFSET] = this.#context.place.offset;
    this.#rows[at + INDEX] = this.#context.place.index;
    this.#timers.set(unit, livedMs + this.#afterMs(unit));
  }

  /** A device that never spoke is expected no longer. */
  #withdraw(unit: number): void {
    if (this.#rows[unit * ROW + FIRST] !== NEVER) return;
    this.#rows[unit * ROW + LAST] = Number.POSITIVE_INFINITY;
    this.#rows[unit * ROW + HEARD_MS] = 0;
    this.#levels.judge(unit, unit, this.#context.place.clockMs, 0);
  }

  /** Another partition has told something. */
  factHeard(fact: FactSubject): void {
    const group = this.#parts?.groupOfFact(fact) ?? -1;
    if (group >= 0) this.#judgeGroup(this.#unit(group));
  }

  #ownPart(unit: number): OwnPart {
    const at = unit * ROW;
    return {
      members: this.#rows[at + MEMBERS],
      silent: this.#silent.has(unit),
      heardMs: this.#rows[at + HEARD_MS],
      offset: this.#rows[at + OFFSET],
      index: this.#rows[at + INDEX],
    };
  }

  #partTurned(unit: number): void {
    this.#parts?.say(this.#subject[unit], this.#ownPart(unit));
    this.#judgeGroup(unit);
  }

  #judgeGroup(unit: number): void {
    if (this.#parts === null) return;
    const silent = this.#parts.isSilent(this.#subject[unit], this.#ownPart(unit));
    this.#levels.judge(unit, unit, this.#context.place.clockMs, silent ? 1 : 0);
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

  /** The group of a device as a device of the dictionary; −1 for none. */
  #group(device: number): number {
    this.#groupOf = withRoom(this.#groupOf, device, UNKNOWN);
    if (this.#groupOf[device] !== UNKNOWN) return this.#groupOf[device];
    const { series, facts } = this.#context;
    const { by } = this.#rule;
    const value = by !== null && this.#matches(series.devices.name(device)) ? facts.groupOf(device, by) : null;
    this.#groupOf[device] = -1;
    if (this.#parts === null || value === null) return -1;
    const group = this.#parts.groupOf(value);
    const unit = this.#unit(group);
    this.#groupOf[device] = group;
    this.#rows[unit * ROW + MEMBERS]++;
    this.#memberCounted(unit);
    return group;
  }

  #leave(device: number): void {
    const group = this.#groupOf[device];
    if (group < 0) return;
    const unit = this.#unitOf[group];
    this.#rows[unit * ROW + MEMBERS]--;
    this.#memberCounted(unit);
  }

  /** Judged at the end of the frame: who comes in now says in a moment whether it is silent. */
  #memberCounted(unit: number): void {
    this.#parts?.say(this.#subject[unit], this.#ownPart(unit));
    this.#touched.add(unit);
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
    if (this.#parts === null) this.#levels.judge(unit, unit, place.clockMs, 0);
    this.#rows[at + LAST] = livedMs;
    this.#rows[at + HEARD_MS] = place.clockMs;
    this.#rows[at + OFFSET] = place.offset;
    this.#rows[at + INDEX] = place.index;
    if (this.#parts !== null && this.#silent.delete(unit)) this.#partTurned(unit);
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
    if (this.#parts === null) {
      this.#levels.judge(unit, unit, this.#context.place.clockMs, 1);
      return;
    }
    this.#silent.add(unit);
    this.#partTurned(unit);
  }

  #describe(unit: number) {
    const { series, place, time } = this.#context;
    const at = unit * ROW;
    const isMetric = this.#rule.metric !== '';
    const subject = this.#subject[unit];
    const own = { ...this.#ownPart(unit), partition: place.partition };
    const { partition, offset, index, heardMs } = this.#parts?.newest(subject, own) ?? own;
    const heard = { partition, offset, index, metric: this.#rule.metric, value: Number.NaN, tsMs: heardMs };
    const afterMs = this.#afterMs(unit);
    return {
      device: isMetric ? series.deviceOf(subject) : subject,
      metric: this.#rule.metric,
      watermarkMs: this.#rule.by === null ? time.newest(isMetric ? series.deviceOf(subject) : subject) : -1,
      evidence: [heard],
      // Of a group this partition may have no member, and no time that it has listened to them.
      shown:
        (this.#parts === null ? this.#lived.livedMs - this.#rows[at + LAST] : Math.max(0, place.clockMs - heardMs)) /
        1000,
      limit: afterMs === Number.POSITIVE_INFINITY ? Number.NaN : afterMs / 1000,
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

  /** Who may yet be found to be silent (condition.ts). Where a member of a group still speaks, nobody misses those who do not. */
  *needed(sinceMs: number): Generator<number> {
    const { series, time } = this.#context;
    const isHeard = (unit: number): boolean => this.#rows[unit * ROW + HEARD_MS] > sinceMs;
    if (this.#parts !== null) {
      yield* this.#parts.devices();
      for (const device of this.#groupOf.keys()) {
        const group = this.#groupOf[device];
        if (group >= 0 && !isHeard(this.#unitOf[group])) yield device;
      }
      return;
    }
    for (let unit = 0; unit < this.#units; unit++) {
      if (isHeard(unit)) continue;
      const device = this.#rule.metric === '' ? this.#subject[unit] : series.deviceOf(this.#subject[unit]);
      const isWatched = this.#rule.metric === '' ? this.#timers.isSet(unit) : time.active(device) > sinceMs;
      if (isWatched && this.#afterMs(unit) !== Number.POSITIVE_INFINITY) yield device;
    }
  }

  siteOfGroup(group: number): string | null {
    return this.#rule.by?.kind === 'site' ? (this.#parts?.valueOf(group) ?? null) : null;
  }

  explain(device: number): Explanation[] {
    const { metric, by } = this.#rule;
    const subject =
      metric !== '' ? this.#context.series.find(device, metric) : by === null ? device : this.groupOf(device);
    if (subject < 0 || !this.#isKnown(subject)) return [];
    const unit = this.#unitOf[subject];
    const row = this.#rows.subarray(unit * ROW, (unit + 1) * ROW);
    return explainSilence(this.#rule, row, this.#afterMs(unit), this.#lived, this.#levels.explain(unit));
  }

  /**
   *     clock    lived, last + 1, frozen until
   *     timers   seconds that have passed
   *     units    count, then of each: subject, its row, second of its timer, levels
   *     groups   count of devices that were asked for, then of each: device, group + 1
   *     parts    for a rule over groups: units whose own members are silent, a count and then each; and the values of groups
   */
  save(out: StateWriter): void {
    this.#lived.save(out);
    out.varint(this.#timers.from);
    const subjects = this.#rule.metric === '' ? out.devices : out.series;
    const units = Array.from(this.#subject.subarray(0, this.#units).keys()).filter((u) =>
      subjects.has(this.#subject[u]),
    );
    out.varint(units.length);
    for (const unit of units) {
      out.varint(subjects.number(this.#subject[unit]));
      for (let i = 0; i < ROW; i++) out.f64(this.#rows[unit * ROW + i]);
      out.varint(this.#timers.secondOf(unit));
      this.#levels.saveUnit(unit, out);
    }
    const asked = [...this.#groupOf.keys()].filter((d) => this.#groupOf[d] !== UNKNOWN && out.devices.has(d));
    out.varint(asked.length);
    for (const device of asked) {
      out.varint(out.devices.number(device));
      out.varint(this.#groupOf[device] < 0 ? 0 : out.devices.number(this.#groupOf[device]) + 1);
    }
    if (this.#parts === null) return;
    out.varint(this.#silent.size);
    for (const unit of this.#silent) out.varint(unit);
    this.#parts.save(out);
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
    if (this.#parts === null) return;
    for (let left = from.count(); left > 0; left--) this.#silent.add(from.below(this.#units, 'a unit'));
    this.#parts.restore(from);
  }
}

const UNKNOWN = -2;

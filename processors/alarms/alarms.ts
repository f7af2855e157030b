import type { AlarmRule, Position, RuleKind } from '../../model/alarm.ts';
import type { Fact } from '../../model/fact.ts';
import { deviceOfGrouping, type GroupResult } from '../../model/group-result.ts';
import type { AlarmOperation, MaintenanceOperation } from '../../model/operation.ts';
import type { Rollup } from '../../model/rollup.ts';
import { dependenciesOf, ruleOrder } from '../../model/rule-order.ts';
import type { Told } from '../../model/told.ts';
import type { LostState } from '../lost-state.ts';
import type { SeriesDictionary } from '../series.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import type { EventTime } from '../windows/event-time.ts';
import type { Orphan } from './alarm-case.ts';
import {
  type Condition,
  type ConditionContext,
  type DeviceFacts,
  type Explanation,
  type GroupWindows,
  NO_FACTS,
} from './condition.ts';
import { restoreConditions, saveConditions } from './condition-parts.ts';
import { isOverGroups } from './conditions/group-parts.ts';
import { KINDS } from './conditions/kinds.ts';
import type { IndexedRule } from './conditions/levels.ts';
import { ThresholdConditions } from './conditions/threshold.ts';
import { AlarmLife } from './life.ts';
import type { LifeSurroundings } from './life-surroundings.ts';
import { RecoveredAlarms } from './recovered-alarms.ts';
import { RuleStates } from './rule-states.ts';
import { SharedFacts } from './shared-facts.ts';
import { Touched } from './touched.ts';
import { type EmitAlarm, Place, type Turn } from './turn.ts';

export type { Orphan } from './alarm-case.ts';

/**
 * The alarm rules of one partition. Conditions look at what comes and say when they begin and cease to hold (turn.ts), schedules let
 * that pass or not (rule-states.ts), lives make alarms of it (life.ts).
 *
 *     message ─▶ readings in order ─▶ rules over several readings and other rules     end of frame: rollups, timers, schedules
 *                                       └ once for all readings of a message with the same ts
 *
 * Rules that look at others are judged after them, so that a rule sees what the others say of the same readings.
 */
export class Alarms {
  readonly #rules: readonly AlarmRule[];
  readonly #series: SeriesDictionary;
  readonly #shared: SharedFacts;
  readonly #groupWindows: GroupWindows;
  readonly #time: EventTime;
  readonly #place = new Place();
  readonly #life: AlarmLife;
  readonly #states: RuleStates;
  readonly recovered: RecoveredAlarms;
  readonly #thresholds: ThresholdConditions;
  readonly #conditions = new Map<RuleKind, Condition>();
  /** Those of them that take part in each step. */
  readonly #all: readonly Condition[];
  readonly #onMessage: readonly Condition[];
  readonly #onReading: readonly Condition[];
  readonly #onText: readonly Condition[];
  readonly #onMessageEnd: readonly Condition[];
  readonly #onRollup: readonly Condition[];
  readonly #onClock: readonly Condition[];
  readonly #onFrameEnd: readonly Condition[];
  /** By rule: its condition, its number there, its rank among those that look at others, and who looks at it. */
  readonly #owners: { condition: Condition; number: number }[] = [];
  readonly #ranks: readonly number[];
  readonly #ranked: readonly number[];
  readonly #dependents: readonly number[][];
  readonly #byName: ReadonlyMap<string, number>;
  readonly #touched = new Touched();
  /** The ts of the readings at hand, −1 before the first of a message. */
  #runMs = -1;

  constructor(
    rules: readonly AlarmRule[],
    series: SeriesDictionary,
    time: EventTime,
    around: Omit<LifeSurroundings, 'shared'>,
    facts: DeviceFacts = NO_FACTS,
    shared = new SharedFacts(),
    groupWindows: GroupWindows = new Map(),
  ) {
    this.#rules = rules;
    this.#series = series;
    this.#shared = shared;
    this.#time = time;
    this.#life = new AlarmLife(rules, series, {
      ...around,
      siteOf: (device) => this.#siteOfGroup(device) ?? around.siteOf(device),
      shared,
    });
    this.#states = new RuleStates(rules, this.#place);
    const own = { states: this.#states, life: this.#life, explain: (device: number) => this.explain(device) };
    this.recovered = new RecoveredAlarms({ rules, time, ...own });
    this.#byName = new Map(rules.map((rule, index) => [rule.name, index]));
    const ordered = ruleOrder(rules);
    // The settings refuse circles (config/relations-alarms.ts).
    if ('circle' in ordered) throw new Error(`rules look at each other: ${ordered.circle.join(', ')}`);
    this.#ranked = ordered.order;
    this.#ranks = rules.map((_, index) => ordered.order.indexOf(index));
    this.#dependents = rules.map(({ name }) =>
      [...rules.keys()].filter((index) => dependenciesOf(rules[index]).includes(name)),
    );
    const context = this.#context(facts, groupWindows);
    this.#groupWindows = groupWindows;
    const indexed = rules.map((rule, index) => ({ rule, index }));
    const ofKind = (kind: RuleKind): IndexedRule[] => indexed.filter(({ rule }) => rule.kind === kind);
    this.#thresholds = new ThresholdConditions(ofKind('threshold'), context);
    this.#add('threshold', this.#thresholds, ofKind('threshold'));
    for (const [kind, open] of KINDS) {
      if (ofKind(kind).length > 0) this.#add(kind, open(ofKind(kind), context), ofKind(kind));
    }
    this.#all = [...this.#conditions.values()];
    const others = this.#all.filter((condition) => condition !== this.#thresholds);
    this.#onMessage = others.filter((condition) => condition.message !== undefined);
    this.#onReading = others.filter((condition) => condition.push !== undefined);
    this.#onText = others.filter((condition) => condition.text !== undefined);
    this.#onMessageEnd = others.filter((condition) => condition.messageEnd !== undefined);
    this.#onRollup = others.filter((condition) => condition.rollup !== undefined && condition.wantsRollups !== false);
    this.#onClock = others.filter((condition) => condition.clock !== undefined);
    this.#onFrameEnd = others.filter((condition) => condition.endFrame !== undefined);
  }

  #add(kind: RuleKind, condition: Condition, rules: readonly IndexedRule[]): void {
    this.#conditions.set(kind, condition);
    rules.forEach(({ index }, number) => {
      this.#owners[index] = { condition, number };
    });
  }

  #context(facts: DeviceFacts, groupWindows: GroupWindows): ConditionContext {
    const states = this.#states;
    /** For a rule over groups a device is as its group is. */
    const subjectOf = (rule: number, device: number): number =>
      this.#owners[rule].condition.groupOf?.(rule, device) ?? device;
    const of = <T>(name: string, device: number, none: T, read: (rule: number, subject: number) => T): T => {
      const rule = this.#byName.get(name);
      if (rule === undefined) return none;
      return read(rule, isOverGroups(this.#rules[rule]) ? subjectOf(rule, device) : device);
    };
    return {
      series: this.#series,
      time: this.#time,
      place: this.#place,
      onTurn: (turn) => this.#turned(turn),
      facts,
      shared: this.#shared,
      groupWindows,
      holds: (name, device) => of(name, device, false, (rule, subject) => states.holds(rule, subject)),
      evidenceOf: (name, device) => of(name, device, [], (rule, subject) => states.evidenceOf(rule, subject)),
      touch: (index, device) => this.#touched.add(this.#ranks[index], device),
    };
  }

  /** Where alarm events go. Before anything else. */
  attach(partition: number, emit: EmitAlarm): void {
    this.#place.partition = partition;
    this.#place.emit = emit;
  }

  get wantsTexts(): boolean {
    return this.#onText.length > 0;
  }

  get wantsRollups(): boolean {
    return this.#onRollup.length > 0;
  }

  /** A new series; called once for each, in order. */
  seriesAdded(series: number): void {
    for (const condition of this.#all) condition.seriesAdded(series);
  }

  /** A message of a device, before its readings and after the partition's clock has gone on. */
  beginMessage(device: number, offset: number, index: number): void {
    const place = this.#place;
    place.offset = offset;
    place.index = index;
    place.ordinal = 0;
    place.clockMs = this.#time.clockMs;
    this.#runMs = -1;
    for (let i = 0; i < this.#onMessage.length; i++) this.#onMessage[i].message?.(device);
  }

  /** Looks at a numeric reading. `ordinal` is its number within the message. */
  push(series: number, device: number, tsMs: number, value: number, ordinal: number): void {
    if (tsMs !== this.#runMs) this.#beginRun(tsMs);
    this.#place.ordinal = ordinal;
    this.#thresholds.push(series, device, tsMs, value);
    for (let i = 0; i < this.#onReading.length; i++) this.#onReading[i].push?.(series, device, tsMs, value);
  }

  text(series: number, device: number, tsMs: number, text: string, ordinal: number): void {
    if (tsMs !== this.#runMs) this.#beginRun(tsMs);
    this.#place.ordinal = ordinal;
    for (const condition of this.#onText) condition.text?.(series, device, tsMs, text);
  }

  #beginRun(tsMs: number): void {
    if (this.#runMs >= 0 && this.#touched.size > 0) this.#settle();
    this.#runMs = tsMs;
  }

  /** The readings of a message are through. `aheadMs`: by how much its newest ts is ahead of the time received; NaN where it had none. */
  endMessage(device: number, aheadMs: number): void {
    for (let i = 0; i < this.#onMessageEnd.length; i++) this.#onMessageEnd[i].messageEnd?.(device, aheadMs);
    if (this.#touched.size > 0) this.#settle();
  }

  /** The partition's clock has gone on without a message. */
  clock(): void {
    this.#place.clockMs = this.#time.clockMs;
    for (const condition of this.#onClock) condition.clock?.();
  }

  /** A window has emitted; only at the end of a frame, after `beginFrameEnd`. */
  rollup(rollup: Rollup): void {
    const device = this.#series.devices.numberOf(rollup.device);
    if (device >= 0) for (const condition of this.#onRollup) condition.rollup?.(device, rollup);
  }

  /** The messages of a frame are through: what is decided from now on is decided by its rollups and by timers. */
  beginFrameEnd(offset: number): void {
    const place = this.#place;
    if (offset !== place.offset) place.index = 0;
    place.offset = offset;
    place.ordinal = TIMER_ORDINAL;
    place.clockMs = this.#time.clockMs;
  }

  judgeTimers(): void {
    if (this.#touched.size > 0) this.#settle();
    for (const condition of this.#onFrameEnd) {
      condition.endFrame?.();
      if (this.#touched.size > 0) this.#settle();
    }
    this.#states.endFrame((turn) => this.#pass(turn));
    if (this.#touched.size > 0) this.#settle();
  }

  /** What operators do with alarms, at its place on the log. */
  operate(operation: AlarmOperation | MaintenanceOperation, position: Position, emit: EmitAlarm): void {
    this.#life.operate(operation, position, emit);
  }

  /** The frame has ended: what the clock has brought about in the lives of alarms. After `judgeTimers`. */
  endFrame(position: Position, emit: EmitAlarm): void {
    this.recovered.look(position, emit);
    this.#life.endFrame(position, emit);
  }

  /** What another partition, or who merges groups, has told, at its place on the log. What was had before changes nothing. */
  hear(told: Told, position: Position, emit: EmitAlarm): void {
    const { offset, index } = position;
    Object.assign(this.#place, { offset, index, ordinal: 0, clockMs: this.#time.clockMs });
    if (told.kind === 'rollup') this.#groupResult(told);
    else this.#fact(told, position, emit);
  }

  #fact(fact: Fact, at: Position, emit: EmitAlarm): void {
    const news = this.#shared.hear(fact);
    if (news === null) return;
    for (const condition of this.#all) condition.factHeard?.(fact);
    if (this.#touched.size > 0) this.#settle();
    this.#life.hear(fact, news.before, at, emit);
  }

  /** A window of a group has a result. The group is a device of the dictionary, under a name that no device has of itself. */
  #groupResult({ definition, rollup }: GroupResult): void {
    if (this.#groupWindows.get(rollup.window)?.definition !== definition) return;
    const device = this.#series.devices.add(deviceOfGrouping(rollup.grouping, rollup.device));
    for (const condition of this.#onRollup) condition.rollup?.(device, rollup);
    if (this.#touched.size > 0) this.#settle();
  }

  /** The frame has ended: what the other partitions are to be told of it. After `endFrame`. */
  tell(offset: number, emit: (fact: Fact) => void, again = false): void {
    this.#shared.endFrame(offset, emit, again);
  }

  #siteOfGroup(device: number): string | null {
    return this.#all.map((condition) => condition.siteOfGroup?.(device) ?? null).find((site) => site !== null) ?? null;
  }

  /** The device's registry entry has changed. */
  deviceChanged(device: number): void {
    for (const condition of this.#all) condition.deviceChanged?.(device);
  }

  /** The same, at its place on the log. */
  deviceTold(device: number, position: Position): void {
    Object.assign(this.#place, { offset: position.offset, index: position.index, ordinal: 0 });
    this.deviceChanged(device);
    for (const condition of this.#all) condition.deviceRegistered?.(device);
    if (this.#touched.size > 0) this.#settle();
  }

  /** Devices that cannot be forgotten now, for what holds of them or may come; `sinceMs` as in `Condition.needed`. */
  *needed(sinceMs: number): Generator<number> {
    yield* this.#life.needed();
    yield* this.#states.needed();
    for (const condition of this.#all) yield* condition.needed?.(sinceMs) ?? [];
  }

  /** After `endFrame`: the device will be forgotten, and is no member of a group any more. */
  deviceForgotten(device: number): void {
    for (const condition of this.#all) condition.deviceForgotten?.(device);
  }

  /** What groups are without those who were forgotten. */
  settleForgotten(): void {
    for (const condition of this.#all) condition.groupsChanged?.();
    if (this.#touched.size > 0) this.#settle();
  }

  #settle(): void {
    this.#touched.settle((rank, device) => {
      const { condition, number } = this.#owners[this.#ranked[rank]];
      condition.settle?.(number, device);
    });
  }

  #turned(turn: Turn): void {
    if (this.#states.take(turn)) this.#pass(turn);
  }

  #pass(turn: Turn): void {
    for (const dependent of this.#dependents[turn.rule]) {
      const over = isOverGroups(this.#rules[turn.rule]) ? this.#owners[turn.rule].condition.membersOf : undefined;
      const devices = over?.call(this.#owners[turn.rule].condition, turn.rule, turn.device) ?? [turn.device];
      for (const device of devices) this.#touched.add(this.#ranks[dependent], device);
    }
    if (this.#rules[turn.rule].raises !== false && this.#isOwn(turn)) this.#life.turn(turn, this.#place.emit);
    // Two timers of one frame may turn the same rule and device.
    if (this.#place.ordinal >= TIMER_ORDINAL) this.#place.ordinal++;
  }

  /** Every partition judges a group, for the rules that look at it; one of them makes its alarm. */
  #isOwn({ rule, device }: Turn): boolean {
    return !isOverGroups(this.#rules[rule]) || this.#shared.owns(this.#series.devices.name(device));
  }

  /** How near each rule is for a device; rules that have nothing to look at there are left out. */
  explain(device: number): Explanation[] {
    return this.#all
      .flatMap((condition) => condition.explain(device))
      .map((found) => this.#states.withSchedule(found, this.#byName.get(found.rule) ?? 0));
  }

  /** What partitions have told each other. */
  saveFacts(out: StateWriter): void {
    this.#shared.save(out);
  }

  /** Before all else of the alarms. */
  restoreFacts(from: StateReader): void {
    this.#shared.restore(from, this.#rules);
  }

  /** What could be had of a state that was lost (lost-state.ts), when the registry has it. Gives back alarms that have no rule. */
  recover(lost: LostState): Orphan[] {
    this.#shared.recover(lost.facts, this.#rules);
    this.#beginDevices();
    for (const condition of this.#conditions.values()) condition.beginAfresh?.();
    return this.recovered.begin(lost);
  }

  /** Series were added before the registry was there. */
  #beginDevices(): void {
    for (let device = 0; device < this.#series.devices.count; device++) this.deviceChanged(device);
    this.#place.clockMs = this.#time.clockMs;
  }

  /** The lives of alarms; conditions are a part of their own. */
  save(out: StateWriter): void {
    this.#life.save(out);
  }

  restore(from: StateReader): Orphan[] {
    return this.#life.restore(from);
  }

  saveConditions(out: StateWriter): void {
    saveConditions(out, this.#states, this.#conditions);
  }

  /** After `seriesAdded` was called for every series. */
  restoreConditions(from: StateReader): void {
    this.#beginDevices();
    const same = restoreConditions(from, this.#states, this.#conditions, this.#series.devices.count);
    // What the series touched has been judged before the checkpoint; rules that are new have yet to be.
    if (same) this.#touched.clear();
  }
}

/** Above every number of a reading within a message. */
const TIMER_ORDINAL = 2 ** 30;

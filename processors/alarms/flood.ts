import { type Alarm, type AlarmEvent, type AlarmRule, type Position, SEVERITIES } from '../../model/alarm.ts';
import { type AlarmLifeSettings, lifeSettingsOf } from '../../model/alarm-life.ts';
import type { Fact, FactKind } from '../../model/fact.ts';
import { partitionOf } from '../../model/partition.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import { alarmId, isGraver, newRecord } from './alarm-case.ts';
import type { PastAlarm } from './alarm-history.ts';
import type { FactSubject, SharedFacts } from './shared-facts.ts';
import { ruleVersionOf } from './turn.ts';

/** What raised one more alarm. */
export interface FloodRaise {
  rule: number;
  site: string;
  severity: Alarm['severity'];
  atMs: number;
  clockMs: number;
  position: Position;
  ordinal: number;
}

interface Group {
  rule: number;
  key: string;
  /** The clock at the last raises, oldest first, at most `times` of them. */
  times: number[];
  lastMs: number;
  /** The group's own alarm while there is a flood. */
  alarm: Alarm | null;
  /** The size at which the group is told of again. */
  tellAt: number;
}

/**
 * Floods: when more than `times` alarms of a rule (at one site, where the rule says so) are raised within `withinMs`, one alarm
 * stands for those that follow. It is told of when it begins, each time it has doubled, and when nothing was raised for
 * `withinMs`; it then has the number of its members.
 *
 * The devices of a site are spread over partitions. Each tells the others how many it has raised, and how many of them were left to the
 * group; all add up what they know, so each falls silent by itself when there are enough, at the latest after `times` of its own.
 * One partition owns the group and makes its alarm, at the latest when it hears of a raise that was left to it: none is lost.
 * Which alarm that is, the others know beforehand, since the floods of a group are numbered.
 */
export class Floods {
  readonly #rules: readonly AlarmRule[];
  readonly #shared: SharedFacts;
  readonly #groups = new Map<number, Map<string, Group>>();
  #nextMs = Number.POSITIVE_INFINITY;

  constructor(rules: readonly AlarmRule[], shared: SharedFacts) {
    this.#rules = rules;
    this.#shared = shared;
  }

  /** Counts a raise that people would be notified of. Returns the id of the group that is notified instead, or ''. */
  raised(raise: FloodRaise, emit: (event: AlarmEvent) => void): string {
    const { rule, clockMs } = raise;
    const settings = lifeSettingsOf(this.#rules[rule]).group;
    if (settings === null) return '';
    const group = this.#group(rule, settings.by === 'site' ? `site:${raise.site}` : '*');
    const isOn = group.alarm !== null || this.#isToldOn(group);
    if (!isOn) forget(group, clockMs - settings.withinMs);
    const many = isOn || group.times.length >= settings.times;
    this.#count(group, settings, clockMs);
    this.#say(group, raise, many, settings.withinMs);
    if (!many) return '';
    if (group.alarm === null && !this.#shared.owns(group.key)) return this.#idOf(group, isOn ? 0 : 1);
    this.#join(group, raise, 1, emit);
    return (group.alarm as unknown as Alarm).id;
  }

  /** Another partition has told something. */
  hear(
    fact: Fact,
    before: readonly number[] | null,
    { atMs, position }: Pick<FloodRaise, 'atMs' | 'position'>,
    emit: (event: AlarmEvent) => void,
  ): void {
    if (fact.kind !== 'raises') return;
    const rule = this.#rules.findIndex(({ name }) => name === fact.rule);
    const settings = rule < 0 ? null : lifeSettingsOf(this.#rules[rule]).group;
    if (settings === null) return;
    const [raises, left, rank, clockMs] = fact.values;
    // Who has lost his state counts anew.
    const from = before === null || before[0] > raises || before[1] > left ? [0, 0] : before;
    const group = this.#group(rule, fact.group);
    for (let n = Math.min(raises - from[0], settings.times); n > 0; n--) this.#count(group, settings, clockMs);
    const more = left - from[1];
    if (more === 0 || !this.#shared.owns(group.key)) return;
    const severity = SEVERITIES[Math.min(rank, SEVERITIES.length - 1)];
    this.#join(group, { rule, site: '', severity, atMs, clockMs, position, ordinal: 0 }, more, emit);
  }

  /** A raise at `clockMs`, which for one of another partition may be before those that are known. */
  #count(group: Group, { times, withinMs }: NonNullable<AlarmLifeSettings['group']>, clockMs: number): void {
    group.times.push(clockMs);
    group.times.sort((a, b) => a - b);
    if (group.times.length > times) group.times.shift();
    group.lastMs = Math.max(group.lastMs, clockMs);
    this.#nextMs = Math.min(this.#nextMs, group.lastMs + withinMs);
  }

  /** So many raises are left to the group, which begins where it has not. */
  #join(group: Group, raise: FloodRaise, raises: number, emit: (event: AlarmEvent) => void): void {
    if (group.alarm === null) this.#begin(group, raise);
    const alarm = group.alarm as unknown as Alarm;
    alarm.raises += raises;
    alarm.value = alarm.raises;
    if (isGraver(raise.severity, alarm.severity)) alarm.severity = raise.severity;
    if (isGraver(raise.severity, alarm.severityMax)) alarm.severityMax = raise.severity;
    if (alarm.raises < group.tellAt) return;
    group.tellAt = alarm.raises * 2;
    this.#tell(group, 'flood', raise.atMs, raise.position, emit);
  }

  #subject(group: Group, kind: FactKind): FactSubject {
    return { kind, rule: this.#rules[group.rule].name, definition: '', group: group.key };
  }

  #say(group: Group, { severity, clockMs }: FloodRaise, isLeft: boolean, withinMs: number): void {
    if (this.#shared.partitions === 1) return;
    const subject = this.#subject(group, 'raises');
    const [raises, left, rank, lastMs] = this.#shared.own(subject) ?? [0, 0, 0, 0];
    // What an earlier flood was like says nothing of this one.
    const graver = Math.max(clockMs < lastMs + withinMs ? rank : 0, isLeft ? SEVERITIES.indexOf(severity) : 0);
    this.#shared.say(subject, [raises + 1, left + (isLeft ? 1 : 0), graver, clockMs]);
  }

  /** How many floods of the group have begun, and whether one is on, as its owner has told. */
  #floods(group: Group): readonly number[] {
    const subject = this.#subject(group, 'flood');
    if (this.#shared.owns(group.key)) return this.#shared.own(subject) ?? [0, 0];
    for (const { values } of this.#shared.heard(subject)) return values;
    return [0, 0];
  }

  #isToldOn(group: Group): boolean {
    return this.#shared.partitions > 1 && this.#floods(group)[1] === 1;
  }

  /** The alarm of the flood that is on, or of one of those to come. */
  #idOf(group: Group, ahead: number): string {
    const position = {
      partition: partitionOf(group.key, this.#shared.partitions),
      offset: this.#floods(group)[0] + ahead,
      index: 0,
    };
    return alarmId(`${this.#rules[group.rule].name} (group)`, group.key, position, 0);
  }

  #group(rule: number, key: string): Group {
    let of = this.#groups.get(rule);
    if (of === undefined) {
      of = new Map();
      this.#groups.set(rule, of);
    }
    let group = of.get(key);
    if (group === undefined) {
      group = { rule, key, times: [], lastMs: 0, alarm: null, tellAt: 0 };
      of.set(key, group);
    }
    return group;
  }

  #begin(group: Group, raise: FloodRaise): void {
    const rule = this.#rules[group.rule];
    const isAlone = this.#shared.partitions === 1;
    const { alarm } = newRecord({
      id: isAlone ? alarmId(`${rule.name} (group)`, group.key, raise.position, raise.ordinal) : this.#idOf(group, 1),
      rule,
      ruleVersion: ruleVersionOf(rule),
      device: group.key,
      metric: '',
      severity: raise.severity,
      atMs: raise.atMs,
    });
    alarm.state = 'raised';
    alarm.life = 'unacknowledged';
    alarm.groupId = alarm.id;
    group.alarm = alarm;
    group.tellAt = 1;
    this.#shared.say(this.#subject(group, 'flood'), [this.#floods(group)[0] + 1, 1]);
  }

  #tell(
    group: Group,
    transition: 'flood' | 'cleared',
    atMs: number,
    position: Position,
    emit: (event: AlarmEvent) => void,
  ): void {
    const alarm = group.alarm as Alarm;
    alarm.version++;
    const where = group.key === '*' ? 'all devices' : group.key.slice('site:'.length) || 'devices without a site';
    alarm.message = `${alarm.raises} more alarms of ${alarm.rule}, ${where}`;
    const copy = { ...alarm, comments: [] };
    const nobody = { by: '', comment: '', evidence: [], watermarkMs: null };
    emit({ alarm: copy, transition, atMs, position, notify: true, ...nobody });
  }

  /** Ends the groups that have been quiet for long enough. */
  endFrame(clockMs: number, position: Position, emit: (event: AlarmEvent) => void): void {
    if (clockMs < this.#nextMs) return;
    this.#nextMs = Number.POSITIVE_INFINITY;
    for (const [rule, of] of this.#groups) {
      const withinMs = lifeSettingsOf(this.#rules[rule]).group?.withinMs ?? 0;
      for (const [key, group] of of) {
        if (clockMs < group.lastMs + withinMs) {
          this.#nextMs = Math.min(this.#nextMs, group.lastMs + withinMs);
          continue;
        }
        of.delete(key);
        if (group.alarm === null) continue;
        if (this.#shared.owns(key)) this.#shared.say(this.#subject(group, 'flood'), [this.#floods(group)[0], 0]);
        Object.assign(group.alarm, { state: 'cleared', clearedMs: clockMs, life: 'normal' });
        this.#tell(group, 'cleared', clockMs, position, emit);
      }
    }
  }

  /** The alarm of a flood that was on when the state was lost. */
  recover(rule: number, { alarm, lastMs }: PastAlarm): void {
    const settings = lifeSettingsOf(this.#rules[rule]).group;
    if (settings === null) return;
    Object.assign(this.#group(rule, alarm.device), { alarm, lastMs, tellAt: Math.max(1, alarm.raises) * 2 });
    this.#nextMs = Math.min(this.#nextMs, lastMs + settings.withinMs);
  }

  /** count, then for each group: rule, key, times, lastMs, tellAt, the alarm as JSON or nothing */
  save(out: StateWriter): void {
    const groups = [...this.#groups.values()].flatMap((of) => [...of.values()]);
    out.varint(groups.length);
    for (const { rule, key, times, lastMs, tellAt, alarm } of groups) {
      out.varint(rule);
      out.text(key);
      out.varint(times.length);
      for (const time of times) out.varint(time);
      out.varint(lastMs);
      out.varint(tellAt);
      out.text(alarm === null ? '' : JSON.stringify(alarm));
    }
  }

  /** `now` gives the present number of a rule, −1 for none. Alarms of groups whose rule has gone are given back. */
  restore(from: StateReader, now: (rule: number) => number): Alarm[] {
    const gone: Alarm[] = [];
    for (let left = from.count(); left > 0; left--) {
      const rule = now(from.varint());
      const key = from.text();
      const times: number[] = [];
      for (let n = from.count(); n > 0; n--) times.push(from.varint());
      const lastMs = from.varint();
      const tellAt = from.varint();
      const text = from.text();
      let alarm: Alarm | null = null;
      try {
        alarm = text === '' ? null : (JSON.parse(text) as Alarm);
      } catch {
        from.unreadable('the alarm of a group is not JSON');
      }
      const settings = rule < 0 ? null : lifeSettingsOf(this.#rules[rule]).group;
      if (settings === null) {
        if (alarm !== null) gone.push(alarm);
        continue;
      }
      Object.assign(this.#group(rule, key), { times, lastMs, tellAt, alarm });
      this.#nextMs = Math.min(this.#nextMs, lastMs + settings.withinMs);
    }
    return gone;
  }
}

function forget(group: Group, untilMs: number): void {
  while (group.times.length > 0 && group.times[0] <= untilMs) group.times.shift();
}

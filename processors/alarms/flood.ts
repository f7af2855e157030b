import type { Alarm, AlarmEvent, AlarmRule, Position } from '../../model/alarm.ts';
import { lifeSettingsOf } from '../../model/alarm-life.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import { alarmId, isGraver, newRecord } from './alarm-case.ts';
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
 * `withinMs`; it then has the number of its members. A partition counts for itself: a site whose devices are in several
 * partitions may have as many groups, which the page shows as one.
 */
export class Floods {
  readonly #rules: readonly AlarmRule[];
  readonly #groups = new Map<number, Map<string, Group>>();
  #nextMs = Number.POSITIVE_INFINITY;

  constructor(rules: readonly AlarmRule[]) {
    this.#rules = rules;
  }

  /** Counts a raise that people would be notified of. Returns the id of the group that is notified instead, or ''. */
  raised(raise: FloodRaise, emit: (event: AlarmEvent) => void): string {
    const { rule, clockMs } = raise;
    const settings = lifeSettingsOf(this.#rules[rule]).group;
    if (settings === null) return '';
    const group = this.#group(rule, settings.by === 'site' ? `site:${raise.site}` : '*');
    if (group.alarm === null) {
      while (group.times.length > 0 && group.times[0] <= clockMs - settings.withinMs) group.times.shift();
    }
    const many = group.alarm !== null || group.times.length >= settings.times;
    group.times.push(clockMs);
    if (group.times.length > settings.times) group.times.shift();
    group.lastMs = clockMs;
    this.#nextMs = Math.min(this.#nextMs, clockMs + settings.withinMs);
    if (!many) return '';
    if (group.alarm === null) this.#begin(group, raise);
    const alarm = group.alarm as unknown as Alarm;
    alarm.raises++;
    alarm.value = alarm.raises;
    if (isGraver(raise.severity, alarm.severity)) alarm.severity = raise.severity;
    if (isGraver(raise.severity, alarm.severityMax)) alarm.severityMax = raise.severity;
    if (alarm.raises >= group.tellAt) {
      group.tellAt = alarm.raises * 2;
      this.#tell(group, 'flood', raise.atMs, raise.position, emit);
    }
    return alarm.id;
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
    const { alarm } = newRecord({
      id: alarmId(`${rule.name} (group)`, group.key, raise.position, raise.ordinal),
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
        Object.assign(group.alarm, { state: 'cleared', clearedMs: clockMs, life: 'normal' });
        this.#tell(group, 'cleared', clockMs, position, emit);
      }
    }
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

import type { Alarm, AlarmRule, Position } from '../../model/alarm.ts';
import type { LostState } from '../lost-state.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import type { EventTime } from '../windows/event-time.ts';
import type { Orphan } from './alarm-case.ts';
import type { Explanation } from './condition.ts';
import type { AlarmLife } from './life.ts';
import type { Emit } from './life-surroundings.ts';
import type { RuleStates } from './rule-states.ts';

/** What a recovered alarm is judged by. */
export interface RecoveredSurroundings {
  rules: readonly AlarmRule[];
  states: RuleStates;
  life: AlarmLife;
  time: EventTime;
  /** How near the conditions are for a device. */
  explain(device: number): Explanation[];
}

/** Recovered alarms are looked at this often, by the partition's clock. */
const LOOK_MS = 1000;
/** After the time in which the members of a group would have been found silent. */
const GROUP_MS = 60_000;

/**
 * Open alarms that were recovered without the state of their conditions (lost-state.ts), until each condition has been judged again by
 * what has come since:
 *
 *     holds again       the alarm goes on, without another event
 *     does not hold     it ceases, as with any reading
 *     between the two   a value between the level and its clear level says nothing: the alarm stays
 *     nothing came      it stays: what nobody has heard of nobody can clear
 *
 * A combination ceases with the first message of its device after which it does not hold, a group's silence when its members would
 * have been found silent and were not.
 */
export class RecoveredAlarms {
  readonly #around: RecoveredSurroundings;
  readonly #open = new Map<string, { rule: number; device: number }>();
  /** The clock at the recovery, and at the last look. */
  #sinceMs = 0;
  #lookedMs = 0;
  #isFirst = false;

  constructor(around: RecoveredSurroundings) {
    this.#around = around;
  }

  /** Gives back the alarms whose rule has gone or says something else. */
  begin({ alarms, operations }: LostState): Orphan[] {
    const { life, time } = this.#around;
    const orphans: Orphan[] = [];
    for (const past of alarms) {
      const found = life.recover(past);
      if (typeof found === 'function') orphans.push(found);
      else if (found !== null) this.#open.set(`${found.rule} ${found.device}`, found);
    }
    life.recovered(operations.filter((operation) => operation.kind === 'maintenance'));
    this.#sinceMs = time.clockMs;
    this.#lookedMs = time.clockMs;
    this.#isFirst = true;
    return orphans;
  }

  /** At the end of a frame: ends what does not hold any more. */
  look(position: Position, emit: Emit): void {
    if (this.#open.size === 0 && !this.#isFirst) return;
    const { states, life, time } = this.#around;
    const { clockMs } = time;
    if (clockMs < this.#lookedMs + LOOK_MS) return;
    this.#lookedMs = clockMs;
    // What suppressed them may have gone unheard.
    if (this.#isFirst) life.reconsiderAll({ atMs: clockMs, position }, emit);
    this.#isFirst = false;
    for (const [key, { rule, device }] of this.#open) {
      const alarm = life.heldBy(device, rule);
      if (alarm === null || states.holds(rule, device)) {
        this.#open.delete(key);
        continue;
      }
      const value = this.#found(rule, device, alarm);
      if (value === null) continue;
      this.#open.delete(key);
      const { severity, metric } = alarm;
      const rest = { threshold: Number.NaN, ordinal: 0, evidence: [], watermarkMs: -1 };
      life.turn({ rule, device, active: false, severity, metric, value, atMs: clockMs, position, ...rest }, emit);
    }
  }

  /** The value that shows that the condition does not hold; null as long as nothing does. */
  #found(rule: number, device: number, { metric }: Alarm): number | null {
    const { rules, states, time, explain } = this.#around;
    const spec = rules[rule];
    if (states.isClosed(rule)) return Number.NaN;
    if (spec.kind === 'silence' && spec.by !== null) {
      const dueMs = this.#sinceMs + (spec.afterMs ?? spec.afterMinMs) + spec.graceMs + GROUP_MS;
      return time.clockMs >= dueMs ? 0 : null;
    }
    for (const one of explain(device)) {
      if (one.rule !== spec.name || (one.metric !== '' && metric !== '' && one.metric !== metric)) continue;
      if (one.levels.some(({ phase }) => phase !== 'normal')) return null;
      if (spec.kind === 'combination') return time.newest(device) < 0 ? null : (one.value ?? 0);
      const { value } = one;
      if (one.lastMs === null || value === null) return null;
      // A device that is registered is expected from the recovery on; that it was heard says more.
      if (spec.kind === 'silence') return one.lastMs > this.#sinceMs ? value : null;
      const isAt = one.levels.some(({ direction, clear }) => (direction === 'above' ? value > clear : value < clear));
      return isAt ? null : value;
    }
    return null;
  }

  /** count, then of each: rule by its name, device; the clock at the recovery and at the last look, and whether there was one */
  save(out: StateWriter): void {
    // Of a device that is forgotten the alarm is over, which the next look would find.
    const open = [...this.#open.values()].filter(({ device }) => out.devices.has(device));
    out.varint(open.length);
    for (const { rule, device } of open) {
      out.text(this.#around.rules[rule].name);
      out.varint(out.devices.number(device));
    }
    out.varint(this.#sinceMs);
    out.varint(this.#lookedMs);
    out.varint(this.#isFirst ? 1 : 0);
  }

  restore(from: StateReader, devices: number): void {
    for (let left = from.count(); left > 0; left--) {
      const name = from.text();
      const device = from.below(devices, 'a device');
      const rule = this.#around.rules.findIndex((one) => one.name === name);
      if (rule >= 0) this.#open.set(`${rule} ${device}`, { rule, device });
    }
    this.#sinceMs = from.varint();
    this.#lookedMs = from.varint();
    this.#isFirst = from.below(2, 'a flag') === 1;
  }
}

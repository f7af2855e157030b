import type { Alarm, AlarmRule, Position } from '../../model/alarm.ts';
import { type AlarmLifeSettings, lifeSettingsOf, type Transition } from '../../model/alarm-life.ts';
import type { Fact } from '../../model/fact.ts';
import type { AlarmOperation, MaintenanceOperation } from '../../model/operation.ts';
import type { SeriesDictionary } from '../series.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import {
  type AlarmCase,
  type AlarmRecord,
  alarmId,
  isGraver,
  isOver,
  messageOf,
  newCase,
  newRecord,
  type Orphan,
  orphanOf,
  recoveredCase,
  setLife,
  takesSeverity,
} from './alarm-case.ts';
import type { PastAlarm } from './alarm-history.ts';
import { AppliedCommands } from './applied-commands.ts';
import { CaseTable } from './case-table.ts';
import { Floods } from './flood.ts';
import { Inhibition } from './inhibition.ts';
import type { Cause, Emit, LifeSurroundings } from './life-surroundings.ts';
import { MaintenanceTimes } from './maintenance.ts';
import { carryOut } from './operator.ts';
import { comeDue, dueMsOf } from './timers.ts';
import { evidenceOf, ruleVersionOf, type Turn } from './turn.ts';

/**
 * The lives of alarms, after ISA-18.2: what becomes of a condition's turns, of what operators do, and of time. At most one alarm of a
 * rule and device that is not over.
 *
 *                  condition holds                 acknowledge
 *     normal ─────────────────────▶ unacknowledged ───────────▶ acknowledged
 *       ▲ ▲                              │    ▲                     │
 *       │ │        ceases (ackRequired)  │    │ holds again         │ ceases
 *       │ │                              ▼    │                     │
 *       │ └───────── acknowledge ─────  returned                    │
 *       └───────────────────────────────────────────────────────────┘
 *
 *     latch: what has ceased stays up as `latched`, until it is acknowledged or reset
 *     shelved, out of service, suppressed: laid over these by operators and by design; the state beneath goes on unheard
 *
 * Distances, timers and floods go by the partition's clock; raised and cleared by the time that the condition gives.
 */
export class AlarmLife {
  readonly rules: readonly AlarmRule[];
  readonly settings: readonly AlarmLifeSettings[];
  readonly #versions: readonly string[];
  readonly #series: SeriesDictionary;
  readonly #around: LifeSurroundings;
  readonly #cases: CaseTable;
  readonly #floods: Floods;
  readonly #inhibition: Inhibition;
  readonly #maintenance: MaintenanceTimes;
  readonly #applied = new AppliedCommands();

  constructor(rules: readonly AlarmRule[], series: SeriesDictionary, around: LifeSurroundings) {
    this.rules = rules;
    this.settings = rules.map(lifeSettingsOf);
    this.#versions = rules.map(ruleVersionOf);
    this.#series = series;
    this.#around = around;
    this.#cases = new CaseTable(rules);
    this.#floods = new Floods(rules, around.shared);
    this.#inhibition = new Inhibition(rules, around.shared);
    this.#maintenance = new MaintenanceTimes(around.maintenance);
  }

  /** A condition has begun or ceased to hold, or holds with another severity. */
  turn(turn: Turn, emit: Emit): void {
    const c = this.#cases.find(turn.device, turn.rule);
    if (turn.active) {
      if (c?.holds !== true) this.#begins(c ?? this.#cases.add(newCase(turn.rule, turn.device)), turn, emit);
      else this.#continues(c, turn, emit);
    } else if (c?.holds === true) this.#ceases(c, turn, emit);
  }

  #begins(c: AlarmCase, turn: Turn, emit: Emit): void {
    const { chattering, minIntervalMs } = this.settings[c.rule];
    const nowMs = this.#around.clockMs();
    c.holds = true;
    c.turnedMs = turn.atMs;
    if (c.ceasedClockMs !== null) {
      // It has come back before it was cleared: it is the same raise.
      c.ceasedClockMs = null;
      this.#continues(c, turn, emit);
      return;
    }
    if (chattering !== null) {
      c.raiseTimes = c.raiseTimes.filter((ms) => ms > nowMs - chattering.withinMs);
      c.raiseTimes.push(nowMs);
      if (c.raiseTimes.length > chattering.times) c.raiseTimes.shift();
      if (c.record?.alarm.chattering === true) {
        c.record.alarm.raises++;
        c.record.alarm.value = turn.value;
      } else if (c.raiseTimes.length >= chattering.times) this.raise(c, turn, 'chattering', emit);
      else if (this.#isTooSoon(c, nowMs, minIntervalMs)) c.held = turn;
      else this.raise(c, turn, 'raised', emit);
    } else if (this.#isTooSoon(c, nowMs, minIntervalMs)) c.held = turn;
    else this.raise(c, turn, 'raised', emit);
    this.settle(c);
  }

  #isTooSoon(c: AlarmCase, nowMs: number, minIntervalMs: number): boolean {
    return c.lastRaiseMs > 0 && nowMs < c.lastRaiseMs + minIntervalMs;
  }

  raise(c: AlarmCase, turn: Turn, transition: 'raised' | 'chattering', emit: Emit): void {
    const nowMs = this.#around.clockMs();
    const rule = this.rules[c.rule];
    const device = this.#series.devices.name(c.device);
    c.held = null;
    c.lastRaiseMs = nowMs;
    c.record ??= this.recordOf(c, turn.position, turn.ordinal, turn.atMs);
    const { record } = c;
    const { alarm } = record;
    const wasUp = alarm.state === 'raised';
    record.raisedClockMs = nowMs;
    record.escalated = false;
    if (!wasUp) record.site = this.#around.siteOf(c.device);
    if (alarm.raises === 0) alarm.raisedMs = turn.atMs;
    Object.assign(alarm, { state: 'raised', clearedMs: null, ackedMs: null, ackedBy: '', latched: false });
    Object.assign(alarm, { metric: turn.metric, value: turn.value, message: messageOf(rule.message, device, turn) });
    alarm.ruleVersion = this.#versions[c.rule];
    alarm.chattering ||= transition === 'chattering';
    alarm.severity = turn.severity;
    if (alarm.raises === 0 || isGraver(turn.severity, alarm.severityMax)) alarm.severityMax = turn.severity;
    alarm.raises++;
    alarm.suppressed = this.#reason(c, record);
    const { position, ordinal, severity, atMs } = turn;
    alarm.groupId =
      alarm.suppressed !== ''
        ? ''
        : this.#floods.raised(
            { rule: c.rule, site: record.site, severity, atMs, clockMs: nowMs, position, ordinal },
            emit,
          );
    this.tell(c, transition, { atMs, position, turn }, emit);
    if (!wasUp) this.#inhibits(c, record, 1, { atMs, position }, emit);
  }

  /** A record for an alarm that there was none of, not yet raised. */
  recordOf(c: AlarmCase, position: Position, ordinal: number, atMs: number): AlarmRecord {
    const rule = this.rules[c.rule];
    const device = this.#series.devices.name(c.device);
    const record = newRecord({
      id: alarmId(rule.name, device, position, ordinal),
      rule,
      ruleVersion: this.#versions[c.rule],
      device,
      metric: '',
      severity: rule.severity,
      atMs,
    });
    record.site = this.#around.siteOf(c.device);
    record.alarm.suppressed = this.#reason(c, record);
    return record;
  }

  #continues(c: AlarmCase, turn: Turn, emit: Emit): void {
    if (c.held !== null) {
      c.held = { ...turn, position: c.held.position, ordinal: c.held.ordinal };
      return;
    }
    const record = c.record;
    if (record === null || record.alarm.state !== 'raised') return;
    const { alarm } = record;
    if (!takesSeverity(record, turn, this.settings[c.rule])) return;
    alarm.message = messageOf(this.rules[c.rule].message, alarm.device, turn);
    if (!alarm.chattering) this.tell(c, 'severity', { atMs: turn.atMs, position: turn.position, turn }, emit);
    this.settle(c);
  }

  #ceases(c: AlarmCase, turn: Turn, emit: Emit): void {
    c.holds = false;
    c.turnedMs = turn.atMs;
    const { record } = c;
    if (c.held !== null) c.held = null;
    else if (record !== null) {
      record.alarm.value = turn.value;
      const { clearForMs } = this.settings[c.rule];
      if (clearForMs > 0 && record.alarm.state === 'raised') c.ceasedClockMs = this.#around.clockMs();
      else if (!record.alarm.chattering) this.down(c, record, { atMs: turn.atMs, position: turn.position, turn }, emit);
    }
    this.settle(c);
  }

  /** The condition has ceased: the alarm clears, or is latched. */
  down(c: AlarmCase, record: AlarmRecord, cause: Cause, emit: Emit): void {
    const { alarm } = record;
    const { latch } = this.settings[c.rule];
    if (alarm.state !== 'raised') return;
    if (latch === 'reset' || (latch === 'acknowledge' && alarm.ackedMs === null)) {
      alarm.latched = true;
      this.tell(c, 'latched', cause, emit);
    } else this.clear(c, record, cause, emit);
  }

  clear(c: AlarmCase, record: AlarmRecord, cause: Cause, emit: Emit): void {
    const { alarm } = record;
    Object.assign(alarm, { state: 'cleared', latched: false, chattering: false, clearedMs: c.turnedMs });
    this.tell(c, 'cleared', cause, emit);
    this.#inhibits(c, record, -1, cause, emit);
  }

  /** Says that a transition has happened. `before`: what the alarm was suppressed by. */
  tell(c: AlarmCase, transition: Transition, cause: Cause, emit: Emit, before?: string): void {
    const { alarm } = c.record as AlarmRecord;
    const { atMs, position, by = '', comment = '', turn } = cause;
    alarm.version++;
    setLife(alarm, this.settings[c.rule]);
    const muted = (before ?? alarm.suppressed) !== '' && alarm.suppressed !== '';
    const evidence = turn === undefined ? [] : (turn.evidence ?? evidenceOf(turn));
    emit({
      alarm: { ...alarm, comments: [...alarm.comments] },
      transition,
      atMs,
      position,
      by,
      comment,
      notify: !muted && alarm.groupId === '',
      evidence,
      watermarkMs: turn?.watermarkMs ?? null,
    });
  }

  /** Why nobody is to be notified of the alarm. What people have set comes before what was designed. */
  #reason(c: AlarmCase, { alarm, site }: AlarmRecord): string {
    if (alarm.suppressed === 'out-of-service') return 'out-of-service';
    if (alarm.shelvedUntilMs !== null) return 'shelved';
    const name = this.#maintenance.current(this.#around.clockMs(), alarm.device, site, alarm.rule);
    if (name !== '') return `maintenance ${name}`;
    const inhibitor = this.#inhibition.inhibitor(c.rule, c.device, site);
    return inhibitor === '' ? '' : `inhibited by ${inhibitor}`;
  }

  /** Looks again why the alarm is suppressed, and says so where it has changed by design. */
  reconsider(c: AlarmCase, cause: Cause, emit: Emit, transition?: Transition): void {
    const record = c.record as AlarmRecord;
    const before = record.alarm.suppressed;
    const after = this.#reason(c, record);
    if (after === before && transition === undefined) return;
    record.alarm.suppressed = after;
    if (after === '' && before !== '') record.raisedClockMs = this.#around.clockMs();
    this.tell(c, transition ?? (after === '' ? 'unsuppressed' : 'suppressed'), cause, emit, before);
  }

  /** The alarm of a rule that may inhibit others has come up or gone. */
  #inhibits(c: AlarmCase, record: AlarmRecord, by: 1 | -1, { atMs, position }: Cause, emit: Emit): void {
    const others = this.#inhibition.inhibits(c.rule);
    if (others.length === 0) return;
    this.#inhibition.count(c.rule, c.device, record.site, by);
    for (const other of this.#cases.all()) {
      if (!others.includes(other.rule) || other.record === null || other === c) continue;
      this.reconsider(other, { atMs, position }, emit);
      this.settle(other);
    }
  }

  /** Another partition has told something. */
  hear(fact: Fact, before: readonly number[] | null, position: Position, emit: Emit): void {
    const cause = { atMs: this.#around.clockMs(), position };
    const others = this.#inhibition.heard(fact);
    for (const c of others.length === 0 ? [] : this.#cases.all()) {
      if (!others.includes(c.rule) || c.record === null || c.record.site !== fact.group) continue;
      this.reconsider(c, cause, emit);
      this.settle(c);
    }
    this.#floods.hear(fact, before, cause, emit);
  }

  /** After every change: sets the case's timer, and drops what is over. */
  settle(c: AlarmCase): void {
    if (c.record !== null && !c.holds && isOver(c.record.alarm, this.settings[c.rule])) c.record = null;
    const dueMs = dueMsOf(c, this.settings[c.rule]);
    if (dueMs === null) this.#cases.remove(c);
    else this.#cases.schedule(c, dueMs);
  }

  /** What an operator asked for, at its place on the log. The same twice, or for an alarm that is over, changes nothing. */
  operate(operation: AlarmOperation | MaintenanceOperation, position: Position, emit: Emit): void {
    if (!this.#applied.isNew(operation.id)) return;
    const cause = { atMs: this.#around.clockMs(), position };
    if (operation.kind === 'maintenance') {
      this.#maintenance.apply(operation);
      this.reconsiderAll(cause, emit);
      return;
    }
    const rule = operation.rule === null ? null : this.rules.findIndex(({ name }) => name === operation.rule);
    if (rule === -1) return;
    const device = operation.device === null ? null : this.#series.devices.add(operation.device);
    carryOut(this, this.#cases, { rule, device }, operation, cause, emit);
  }

  /** Looks again at what suppresses each alarm. */
  reconsiderAll(cause: Cause, emit: Emit): void {
    for (const c of this.#cases.all()) {
      if (c.record === null) continue;
      this.reconsider(c, cause, emit);
      this.settle(c);
    }
  }

  /** The frame has ended: what the clock has brought about. */
  endFrame(position: Position, emit: Emit): void {
    const atMs = this.#around.clockMs();
    if (this.#maintenance.hasTurned(atMs)) this.reconsiderAll({ atMs, position }, emit);
    for (let c = this.#cases.takeDue(atMs); c !== null; c = this.#cases.takeDue(atMs)) {
      comeDue(this, c, { atMs, position }, emit);
      this.settle(c);
    }
    this.#floods.endFrame(atMs, position, emit);
  }

  /** Devices with an alarm that is not over, or of which something has yet to come. */
  needed(): Iterable<number> {
    return this.#cases.devices();
  }

  /**
   * An alarm that was not over when the state was lost (lost-state.ts). It stays as it was until its condition has been judged again
   * (recovered-alarms.ts); the case is given back, null for one that has nothing to be judged. One whose rule has gone or says something else is cleared.
   */
  recover(past: PastAlarm): AlarmCase | Orphan | null {
    const { alarm } = past;
    const rule = this.rules.findIndex(({ name }) => name === alarm.rule);
    if (rule < 0 || this.#versions[rule] !== alarm.ruleVersion) return orphanOf(alarm);
    if (alarm.groupId === alarm.id) {
      this.#floods.recover(rule, past);
      return null;
    }
    const device = this.#series.devices.add(alarm.device);
    const c = this.#cases.add(recoveredCase(rule, device, past, this.#around.siteOf(device)));
    return c.holds ? c : null;
  }

  /** When all of them are there. */
  recovered(operations: readonly MaintenanceOperation[]): void {
    for (const operation of operations) this.#maintenance.apply(operation);
    this.#begun();
  }

  /** An open alarm; null when there is none of which the condition holds. */
  heldBy(device: number, rule: number): Alarm | null {
    const c = this.#cases.find(device, rule);
    return c?.holds === true ? (c.record?.alarm ?? null) : null;
  }

  save(out: StateWriter): void {
    this.#cases.save(out);
    this.#floods.save(out);
    this.#maintenance.save(out);
    this.#applied.save(out);
  }

  /**
   * Alarms of rules that are still defined in the same way go on. The others are given back, so that somebody clears them: no
   * reading ever would.
   */
  restore(from: StateReader): Orphan[] {
    const { orphans, now } = this.#cases.restore(from, this.#series.devices.count);
    const groups = this.#floods.restore(from, now);
    this.#maintenance.restore(from);
    this.#applied.restore(from);
    this.#begun();
    // Other settings may suppress other alarms; with the same ones this says nothing.
    const tell = (...[atMs, position, emit]: Parameters<Orphan>): void => this.reconsiderAll({ atMs, position }, emit);
    const reconsider: Orphan = Object.assign(tell, { isOfState: true });
    return [...[...orphans, ...groups].map(orphanOf), ...(this.#cases.isEmpty ? [] : [reconsider])];
  }

  #begun(): void {
    for (const c of this.#cases.all()) {
      if (c.record?.alarm.state === 'raised') this.#inhibition.count(c.rule, c.device, c.record.site, 1);
      this.settle(c);
    }
    this.#inhibition.restored();
  }
}

import { createHash } from 'node:crypto';
import {
  type Alarm,
  type AlarmEvent,
  type AlarmRule,
  type Position,
  SEVERITIES,
  type Severity,
} from '../../model/alarm.ts';
import { type AlarmLifeSettings, lifeStateOf } from '../../model/alarm-life.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import type { PastAlarm } from './alarm-history.ts';
import type { Turn } from './turn.ts';

/** What is kept of a rule and a device while there is anything to keep. */
export interface AlarmCase {
  rule: number;
  device: number;
  /** Whether the condition holds, as it was last told. */
  holds: boolean;
  /** Event time of the condition's last turn. */
  turnedMs: number;
  /** The alarm, while it is not over. */
  record: AlarmRecord | null;
  /** A raise that waits until the distance to the last one is kept. */
  held: Turn | null;
  /** The clock when its condition ceased, while the alarm waits to be cleared for it (`clearForMs`); null when it does not. */
  ceasedClockMs: number | null;
  /** When the last raise was, by the clock; 0 for never. */
  lastRaiseMs: number;
  /** The clock at the last raises, oldest first; kept for rules that look for chattering. */
  raiseTimes: number[];
  /** When a timer of it ends; Infinity when there is none. */
  dueMs: number;
}

/** That of an alarm of which only its transitions are known; whether the condition still holds is yet to be seen. */
export function recoveredCase(rule: number, device: number, past: PastAlarm, site: string): AlarmCase {
  const { alarm, raisedMs, escalated } = past;
  return {
    ...newCase(rule, device),
    holds: alarm.state === 'raised' && !alarm.latched,
    turnedMs: raisedMs,
    lastRaiseMs: raisedMs,
    raiseTimes: alarm.chattering ? [raisedMs] : [],
    record: { alarm, raisedClockMs: raisedMs, escalated, site },
  };
}

export interface AlarmRecord {
  alarm: Alarm;
  /** The clock at its last raise. */
  raisedClockMs: number;
  escalated: boolean;
  /** Site of the device when it was raised. */
  site: string;
}

export function newCase(rule: number, device: number): AlarmCase {
  return {
    rule,
    device,
    holds: false,
    turnedMs: 0,
    record: null,
    held: null,
    ceasedClockMs: null,
    lastRaiseMs: 0,
    raiseTimes: [],
    dueMs: Number.POSITIVE_INFINITY,
  };
}

/** An alarm that has not been raised yet. */
export function newRecord(from: {
  id: string;
  rule: AlarmRule;
  ruleVersion: string;
  device: string;
  metric: string;
  severity: Severity;
  atMs: number;
}): AlarmRecord {
  const { id, rule, ruleVersion, device, metric, severity, atMs } = from;
  const alarm: Alarm = {
    id,
    rule: rule.name,
    device,
    metric,
    severity,
    state: 'normal',
    raisedMs: atMs,
    ackedMs: null,
    clearedMs: null,
    value: 0,
    message: '',
    version: 0,
    life: 'normal',
    ackedBy: '',
    comments: [],
    shelvedUntilMs: null,
    shelvedBy: '',
    suppressed: '',
    latched: false,
    chattering: false,
    raises: 0,
    severityMax: severity,
    groupId: '',
    ruleVersion,
  };
  return { alarm, raisedClockMs: 0, escalated: false, site: '' };
}

export const isGraver = (a: Severity, b: Severity): boolean => SEVERITIES.indexOf(a) > SEVERITIES.indexOf(b);

/** The alarm goes on with the value and severity of a turn, or that of its escalation; returns whether the severity is another one. */
export function takesSeverity({ alarm, escalated }: AlarmRecord, turn: Turn, { escalate }: AlarmLifeSettings): boolean {
  const least = escalated && escalate !== null ? escalate.severity : turn.severity;
  const severity = isGraver(least, turn.severity) ? least : turn.severity;
  alarm.value = turn.value;
  if (severity === alarm.severity) return false;
  // Who acknowledged the lesser one has not seen this one.
  if (isGraver(severity, alarm.severity)) Object.assign(alarm, { ackedMs: null, ackedBy: '' });
  alarm.severity = severity;
  if (isGraver(severity, alarm.severityMax)) alarm.severityMax = severity;
  return true;
}

/** Whether it has ceased and still waits for somebody to acknowledge it. */
export function isAckPending(alarm: Alarm, settings: AlarmLifeSettings): boolean {
  return settings.ackRequired && alarm.raises > 0 && alarm.ackedMs === null;
}

/** Whether the alarm is over, so that nothing has to be kept of it. */
export function isOver(alarm: Alarm, settings: AlarmLifeSettings): boolean {
  return (
    alarm.state !== 'raised' &&
    !isAckPending(alarm, settings) &&
    alarm.shelvedUntilMs === null &&
    alarm.suppressed !== 'out-of-service'
  );
}

export function setLife(alarm: Alarm, settings: AlarmLifeSettings): void {
  alarm.life = lifeStateOf({ ...alarm, ackPending: isAckPending(alarm, settings) });
}

/** 80 bits of SHA-256 as 20 hexadecimal digits: the same after a replay, another for each raise. */
export function alarmId(rule: string, device: string, position: Position, ordinal: number): string {
  const { partition, offset, index } = position;
  return shortHash(JSON.stringify([rule, device, partition, offset, index, ordinal]), 20);
}

export function shortHash(text: string, digits: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, digits);
}

export function messageOf(message: string, device: string, { metric, value, threshold }: Turn): string {
  const parts: Record<string, string> = {
    '{device}': device,
    '{metric}': metric,
    '{value}': String(value),
    '{threshold}': String(threshold),
  };
  return message.replace(/\{(?:device|metric|value|threshold)\}/g, (name) => parts[name]);
}

/** What is left to say of a state that other settings made: ends an alarm whose rule is gone or defined in another way. */
export interface Orphan {
  (atMs: number, position: Position, emit: (event: AlarmEvent) => void): void;
  /** It is about what the state has, and not about an alarm that it has no more. */
  readonly isOfState?: boolean;
}

export function orphanOf(alarm: Alarm): Orphan {
  return (atMs, position, emit) => {
    const muted = alarm.suppressed !== '' || (alarm.groupId !== '' && alarm.groupId !== alarm.id);
    const ended: Alarm = {
      ...alarm,
      state: alarm.state === 'normal' ? 'normal' : 'cleared',
      life: 'normal',
      clearedMs: alarm.clearedMs ?? (alarm.state === 'raised' ? atMs : null),
      latched: false,
      chattering: false,
      shelvedUntilMs: null,
      shelvedBy: '',
      suppressed: '',
      version: alarm.version + 1,
    };
    const nobody = { by: '', comment: '', evidence: [], watermarkMs: null };
    emit({ alarm: ended, transition: 'cleared', atMs, position, notify: !muted, ...nobody });
  };
}

/**
 *     holds, turnedMs, ceasedClockMs + 1 or 0, lastRaiseMs, count of raiseTimes and each
 *     record: 0, or 1 and the alarm as JSON, its value, raisedClockMs, escalated, site
 *     held: 0, or 1 and the turn as JSON, its value and its threshold
 */
export function saveCase(c: AlarmCase, out: StateWriter): void {
  out.varint(c.holds ? 1 : 0);
  out.varint(c.turnedMs);
  out.varint(c.ceasedClockMs === null ? 0 : c.ceasedClockMs + 1);
  out.varint(c.lastRaiseMs);
  out.varint(c.raiseTimes.length);
  for (const time of c.raiseTimes) out.varint(time);
  out.varint(c.record === null ? 0 : 1);
  if (c.record !== null) {
    const { alarm, raisedClockMs, escalated, site } = c.record;
    out.text(JSON.stringify(alarm));
    out.f64(alarm.value);
    out.varint(raisedClockMs);
    out.varint(escalated ? 1 : 0);
    out.text(site);
  }
  out.varint(c.held === null ? 0 : 1);
  if (c.held !== null) {
    out.text(JSON.stringify(c.held));
    out.f64(c.held.value);
    out.f64(c.held.threshold);
  }
}

export function restoreCase(rule: number, device: number, from: StateReader): AlarmCase {
  const c = newCase(rule, device);
  c.holds = from.below(2, 'a flag') === 1;
  c.turnedMs = from.varint();
  const ceased = from.varint();
  c.ceasedClockMs = ceased === 0 ? null : ceased - 1;
  c.lastRaiseMs = from.varint();
  for (let left = from.count(); left > 0; left--) c.raiseTimes.push(from.varint());
  if (from.below(2, 'a flag') === 1) {
    const alarm = parsed<Alarm>(from, 'id');
    // JSON has no NaN, which the value of a silent device's alarm is.
    alarm.value = from.f64();
    const raisedClockMs = from.varint();
    const escalated = from.below(2, 'a flag') === 1;
    c.record = { alarm, raisedClockMs, escalated, site: from.text() };
  }
  if (from.below(2, 'a flag') === 1) {
    c.held = { ...parsed<Turn>(from, 'position'), rule, device };
    c.held.value = from.f64();
    c.held.threshold = from.f64();
  }
  return c;
}

function parsed<T extends object>(from: StateReader, key: keyof T): T {
  const text = from.text();
  try {
    const value = JSON.parse(text) as T | null;
    if (typeof value === 'object' && value !== null && key in value) return value;
  } catch {
    // Said below.
  }
  return from.unreadable('the document of an alarm is not one');
}

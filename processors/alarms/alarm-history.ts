import { type Alarm, SEVERITIES, type Severity } from '../../model/alarm.ts';
import type { LifeState, Transition } from '../../model/alarm-life.ts';
import { isGraver } from './alarm-case.ts';

/** A transition of an alarm as the table `alarm_events` has it. */
export interface PastTransition {
  id: string;
  version: number;
  rule: string;
  device: string;
  metric: string;
  transition: Transition;
  atMs: number;
  by: string;
  comment: string;
  severity: Severity;
  state: Alarm['state'];
  life: LifeState;
  value: number;
  message: string;
  suppressed: string;
  groupId: string;
  shelvedUntilMs: number | null;
  ruleVersion: string;
}

/** An alarm that is not over, with what is kept of it besides. */
export interface PastAlarm {
  alarm: Alarm;
  /** Time of its last raise; of its first transition where it was never raised. */
  raisedMs: number;
  escalated: boolean;
  /** Time of its last transition. */
  lastMs: number;
}

/** An alarm as its transitions have left it, the oldest first; at least one. */
export function alarmAfter(transitions: readonly PastTransition[]): PastAlarm {
  const first = transitions[0];
  const { id, rule, device, severity } = first;
  const alarm: Alarm = {
    ...{ id, rule, device, severity, metric: '', state: 'normal', life: 'normal', raisedMs: first.atMs },
    ...{ ackedMs: null, ackedBy: '', clearedMs: null, value: 0, message: '', version: 0, comments: [] },
    ...{ shelvedUntilMs: null, shelvedBy: '', suppressed: '', latched: false, chattering: false, raises: 0 },
    ...{ severityMax: severity, groupId: '', ruleVersion: '' },
  };
  const past = { alarm, raisedMs: first.atMs, escalated: false, lastMs: first.atMs };
  for (const transition of transitions) apply(past, transition);
  return past;
}

function apply(past: PastAlarm, t: PastTransition): void {
  const { alarm } = past;
  const wasMilder = isGraver(t.severity, alarm.severity);
  if (t.transition === 'raised' || t.transition === 'chattering') {
    if (alarm.raises === 0) alarm.raisedMs = t.atMs;
    Object.assign(alarm, { ackedMs: null, ackedBy: '', clearedMs: null, latched: false });
    alarm.chattering ||= t.transition === 'chattering';
    alarm.raises++;
    Object.assign(past, { raisedMs: t.atMs, escalated: false });
  }
  // A graver one is to be acknowledged again.
  if (t.transition === 'severity' && wasMilder) Object.assign(alarm, { ackedMs: null, ackedBy: '' });
  if (t.transition === 'escalated') past.escalated = true;
  if (t.transition === 'acknowledged') Object.assign(alarm, { ackedMs: t.atMs, ackedBy: t.by });
  if (t.transition === 'latched') alarm.latched = true;
  if (t.transition === 'steady') alarm.chattering = false;
  if (t.transition === 'cleared') Object.assign(alarm, { clearedMs: t.atMs, latched: false, chattering: false });
  if (t.transition === 'flood') alarm.raises = t.value;
  if (t.transition === 'shelved') alarm.shelvedBy = t.by;
  if (t.transition === 'unshelved') alarm.shelvedBy = '';
  if (t.comment !== '') alarm.comments = [...alarm.comments, { atMs: t.atMs, by: t.by, text: t.comment }];
  const { severity, state, life, metric, value, message, version, suppressed, groupId, shelvedUntilMs, ruleVersion } =
    t;
  Object.assign(alarm, { severity, state, life, metric, value, message, version, suppressed, groupId });
  Object.assign(alarm, { shelvedUntilMs, ruleVersion });
  if (SEVERITIES.indexOf(severity) > SEVERITIES.indexOf(alarm.severityMax)) alarm.severityMax = severity;
  past.lastMs = t.atMs;
}

import type { Alarm } from '../../model/alarm.ts';
import type { AlarmLifeSettings } from '../../model/alarm-life.ts';
import { type AlarmCase, isGraver } from './alarm-case.ts';
import type { AlarmLife } from './life.ts';
import type { Cause, Emit } from './life-surroundings.ts';

/** When the clock next brings something about for a case; Infinity for never, null when nothing has to be kept of it. */
export function dueMsOf(c: AlarmCase, settings: AlarmLifeSettings): number | null {
  const { minIntervalMs, chattering, escalate, clearForMs } = settings;
  const quietMs = (c.raiseTimes.at(-1) ?? 0) + (chattering?.withinMs ?? 0);
  if (c.record === null && !c.holds) {
    // What is left only keeps the distance to the next raise.
    const keeps = c.lastRaiseMs > 0 && Math.max(minIntervalMs, chattering?.withinMs ?? 0) > 0;
    return keeps ? Math.max(c.lastRaiseMs + minIntervalMs, quietMs) : null;
  }
  let dueMs = c.held === null ? Number.POSITIVE_INFINITY : c.lastRaiseMs + minIntervalMs;
  if (c.record === null) return dueMs;
  const { alarm, escalated, raisedClockMs } = c.record;
  if (c.ceasedClockMs !== null) dueMs = Math.min(dueMs, c.ceasedClockMs + clearForMs);
  if (alarm.shelvedUntilMs !== null) dueMs = Math.min(dueMs, alarm.shelvedUntilMs);
  if (alarm.chattering && chattering !== null) dueMs = Math.min(dueMs, quietMs);
  if (escalate !== null && !escalated && mayEscalate(alarm)) dueMs = Math.min(dueMs, raisedClockMs + escalate.afterMs);
  return dueMs;
}

/** Only what people are notified of, and have not acknowledged, becomes graver by waiting. */
export function mayEscalate(alarm: Alarm): boolean {
  return alarm.state === 'raised' && alarm.ackedMs === null && alarm.suppressed === '';
}

/** What the clock has brought about in a case whose time has come. */
export function comeDue(life: AlarmLife, c: AlarmCase, cause: Cause, emit: Emit): void {
  const { minIntervalMs, chattering, escalate, clearForMs } = life.settings[c.rule];
  const { atMs } = cause;
  if (c.held !== null && atMs >= c.lastRaiseMs + minIntervalMs) {
    life.raise(c, { ...c.held, position: cause.position }, 'raised', emit);
  }
  const { record } = c;
  if (record === null) {
    if (chattering !== null) c.raiseTimes = c.raiseTimes.filter((ms) => ms > atMs - chattering.withinMs);
    if (!c.holds && c.raiseTimes.length === 0 && atMs >= c.lastRaiseMs + minIntervalMs) c.lastRaiseMs = 0;
    return;
  }
  const { alarm } = record;
  if (c.ceasedClockMs !== null && atMs >= c.ceasedClockMs + clearForMs) {
    c.ceasedClockMs = null;
    if (!alarm.chattering) life.down(c, record, cause, emit);
  }
  if (alarm.shelvedUntilMs !== null && atMs >= alarm.shelvedUntilMs) {
    Object.assign(alarm, { shelvedUntilMs: null, shelvedBy: '' });
    life.reconsider(c, cause, emit, 'unshelved');
  }
  if (alarm.chattering && chattering !== null && atMs >= (c.raiseTimes.at(-1) ?? 0) + chattering.withinMs) {
    alarm.chattering = false;
    c.raiseTimes = [];
    if (c.holds) life.tell(c, 'steady', cause, emit);
    else if (c.ceasedClockMs === null) life.down(c, record, cause, emit);
  }
  if (escalate === null || record.escalated || !mayEscalate(alarm)) return;
  if (atMs < record.raisedClockMs + escalate.afterMs) return;
  record.escalated = true;
  if (!isGraver(escalate.severity, alarm.severity)) return;
  alarm.severity = escalate.severity;
  if (isGraver(alarm.severity, alarm.severityMax)) alarm.severityMax = alarm.severity;
  life.tell(c, 'escalated', cause, emit);
}

import type { Alarm } from '../../model/alarm.ts';
import type { AlarmLifeSettings } from '../../model/alarm-life.ts';
import type { AlarmCase } from './alarm-case.ts';

/** When the clock next brings something about for a case; Infinity for never, null when nothing has to be kept of it. */
export function dueMsOf(c: AlarmCase, settings: AlarmLifeSettings): number | null {
  const { minIntervalMs, chattering, escalate } = settings;
  const quietMs = (c.raiseTimes.at(-1) ?? 0) + (chattering?.withinMs ?? 0);
  if (c.record === null && !c.holds) {
    // What is left only keeps the distance to the next raise.
    const keeps = c.lastRaiseMs > 0 && Math.max(minIntervalMs, chattering?.withinMs ?? 0) > 0;
    return keeps ? Math.max(c.lastRaiseMs + minIntervalMs, quietMs) : null;
  }
  let dueMs = c.held === null ? Number.POSITIVE_INFINITY : c.lastRaiseMs + minIntervalMs;
  if (c.record === null) return dueMs;
  const { alarm, escalated, raisedClockMs } = c.record;
  if (alarm.shelvedUntilMs !== null) dueMs = Math.min(dueMs, alarm.shelvedUntilMs);
  if (alarm.chattering && chattering !== null) dueMs = Math.min(dueMs, quietMs);
  if (escalate !== null && !escalated && mayEscalate(alarm)) dueMs = Math.min(dueMs, raisedClockMs + escalate.afterMs);
  return dueMs;
}

/** Only what people are notified of, and have not acknowledged, becomes graver by waiting. */
export function mayEscalate(alarm: Alarm): boolean {
  return alarm.state === 'raised' && alarm.ackedMs === null && alarm.suppressed === '';
}

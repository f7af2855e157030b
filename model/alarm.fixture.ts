import type { Alarm, AlarmEvent } from './alarm.ts';

/** An alarm as it stands after it was raised, for tests. */
export function alarmOf(over: Partial<Alarm> = {}): Alarm {
  const raised: Alarm = {
    id: 'a-1',
    rule: 'hot',
    device: 'd1',
    metric: 'temperature',
    severity: 'major',
    state: 'raised',
    raisedMs: 1_700_000_000_000,
    ackedMs: null,
    clearedMs: null,
    value: 99.5,
    message: 'hot',
    version: 1,
    life: 'unacknowledged',
    ackedBy: '',
    comments: [],
    shelvedUntilMs: null,
    shelvedBy: '',
    suppressed: '',
    latched: false,
    chattering: false,
    raises: 1,
    severityMax: 'major',
    groupId: '',
    ruleVersion: '1a2b3c4d',
  };
  return { ...raised, ...over };
}

/** Its transition, by a reading. */
export function alarmEventOf(over: Partial<Alarm> = {}, event: Partial<Omit<AlarmEvent, 'alarm'>> = {}): AlarmEvent {
  const alarm = alarmOf(over);
  return {
    alarm,
    transition: alarm.state === 'raised' ? 'raised' : 'cleared',
    atMs: alarm.clearedMs ?? alarm.raisedMs,
    position: { partition: 0, offset: 1, index: 0 },
    by: '',
    comment: '',
    notify: true,
    evidence: [],
    watermarkMs: null,
    ...event,
  };
}

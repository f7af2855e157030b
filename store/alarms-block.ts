import type { AlarmEvent } from '../model/alarm.ts';
import { assertTimeMs, encodeBlock, fixedColumn, type NativeColumn } from './native.ts';
import { dictionaryColumn, int64Column, nullableTimeColumn, positionColumns, stringColumn } from './row-columns.ts';

/** Keeps events until their rows are asked for; a time outside of what the store holds throws, and changes nothing. */
class EventRows {
  rows = 0;
  #events: AlarmEvent[] = [];

  add(event: AlarmEvent): void {
    const { raisedMs, ackedMs, clearedMs, shelvedUntilMs } = event.alarm;
    assertTimeMs(event.atMs, 'at');
    assertTimeMs(raisedMs, 'raised_at');
    if (ackedMs !== null) assertTimeMs(ackedMs, 'acked_at');
    if (clearedMs !== null) assertTimeMs(clearedMs, 'cleared_at');
    if (shelvedUntilMs !== null) assertTimeMs(shelvedUntilMs, 'shelved_until');
    this.rows++;
    this.#events.push(event);
  }

  take(): AlarmEvent[] {
    const events = this.#events;
    this.#events = [];
    this.rows = 0;
    return events;
  }
}

/** Rows of `alarms`: an alarm as it stands after a transition, and the message that decided it. */
export class AlarmsBlock {
  readonly #events = new EventRows();

  get rows(): number {
    return this.#events.rows;
  }

  add(event: AlarmEvent): void {
    this.#events.add(event);
  }

  finish(): Uint8Array<ArrayBuffer>[] {
    const events = this.#events.take();
    if (events.length === 0) return [];
    return [
      encodeBlock(events.length, [
        ...namesOf(events),
        int64Column('raised_at', 'DateTime64(3)', alarmsOf(events, 'raisedMs')),
        nullableTimeColumn('acked_at', alarmsOf(events, 'ackedMs')),
        nullableTimeColumn('cleared_at', alarmsOf(events, 'clearedMs')),
        stringColumn('acked_by', alarmsOf(events, 'ackedBy')),
        stringColumn(
          'comments',
          events.map(({ alarm }) => JSON.stringify(alarm.comments)),
        ),
        nullableTimeColumn('shelved_until', alarmsOf(events, 'shelvedUntilMs')),
        stringColumn('shelved_by', alarmsOf(events, 'shelvedBy')),
        bytes('latched', events, ({ alarm }) => (alarm.latched ? 1 : 0)),
        bytes('chattering', events, ({ alarm }) => (alarm.chattering ? 1 : 0)),
        numbers('raises', events, ({ alarm }) => alarm.raises),
        dictionaryColumn('severity_max', alarmsOf(events, 'severityMax')),
        ...decisionOf(events),
      ]),
    ];
  }
}

/** Rows of `alarm_events`: each transition of each alarm. */
export class AlarmEventsBlock {
  readonly #events = new EventRows();

  get rows(): number {
    return this.#events.rows;
  }

  add(event: AlarmEvent): void {
    this.#events.add(event);
  }

  finish(): Uint8Array<ArrayBuffer>[] {
    const events = this.#events.take();
    if (events.length === 0) return [];
    return [
      encodeBlock(events.length, [
        ...namesOf(events),
        dictionaryColumn(
          'transition',
          events.map((event) => event.transition),
        ),
        int64Column(
          'at',
          'DateTime64(3)',
          events.map((event) => event.atMs),
        ),
        stringColumn(
          'by',
          events.map((event) => event.by),
        ),
        stringColumn(
          'comment',
          events.map((event) => event.comment),
        ),
        bytes('notify', events, (event) => (event.notify ? 1 : 0)),
        nullableTimeColumn('shelved_until', alarmsOf(events, 'shelvedUntilMs')),
        ...decisionOf(events),
      ]),
    ];
  }
}

function alarmsOf<Key extends keyof AlarmEvent['alarm']>(events: readonly AlarmEvent[], key: Key) {
  return events.map(({ alarm }) => alarm[key]);
}

/** What both tables begin with. */
function namesOf(events: readonly AlarmEvent[]): NativeColumn[] {
  return [
    stringColumn('id', alarmsOf(events, 'id')),
    dictionaryColumn('rule', alarmsOf(events, 'rule')),
    dictionaryColumn('device', alarmsOf(events, 'device')),
    dictionaryColumn('metric', alarmsOf(events, 'metric')),
    dictionaryColumn('severity', alarmsOf(events, 'severity')),
    dictionaryColumn('state', alarmsOf(events, 'state')),
    dictionaryColumn('life', alarmsOf(events, 'life')),
    fixedColumn(
      'value',
      'Float64',
      Float64Array.from(events, ({ alarm }) => alarm.value),
      events.length,
    ),
    stringColumn('message', alarmsOf(events, 'message')),
    numbers('version', events, ({ alarm }) => alarm.version),
    dictionaryColumn('suppressed', alarmsOf(events, 'suppressed')),
    stringColumn('group_id', alarmsOf(events, 'groupId')),
  ];
}

/** What both tables end with: what decided the transition. */
function decisionOf(events: readonly AlarmEvent[]): NativeColumn[] {
  return [
    dictionaryColumn('rule_version', alarmsOf(events, 'ruleVersion')),
    stringColumn(
      'evidence',
      events.map((event) => JSON.stringify(event.evidence)),
    ),
    nullableTimeColumn(
      'watermark',
      events.map((event) => event.watermarkMs),
    ),
    ...positionColumns(events.map((event) => event.position)),
  ];
}

function numbers(name: string, events: readonly AlarmEvent[], of: (event: AlarmEvent) => number): NativeColumn {
  return fixedColumn(name, 'UInt32', Uint32Array.from(events, of), events.length);
}

function bytes(name: string, events: readonly AlarmEvent[], of: (event: AlarmEvent) => number): NativeColumn {
  return fixedColumn(name, 'UInt8', Uint8Array.from(events, of), events.length);
}

import type { AlarmEvent } from './alarm.ts';

/**
 * An alarm transition as a CloudEvents 1.0 JSON document (https://github.com/cloudevents/spec, JSON format 1.0.2).
 *
 *     specversion  "1.0"
 *     id           {alarm id}-{version}: the same after a replay
 *     source       "/sluice/rules/{rule}"
 *     type         "com.sluice.alarm." and the transition: raised, cleared, acknowledged, … (model/alarm-life.ts)
 *     subject      device id
 *     time         event time of the transition, RFC 3339
 *     data         the alarm after the transition, times in ms; the position of the message that decided it; who did it and what
 *                  he wrote; the readings that it rests on, and the watermark
 */
export interface AlarmCloudEvent {
  specversion: '1.0';
  id: string;
  source: string;
  type: string;
  subject: string;
  time: string;
  datacontenttype: 'application/json';
  data: AlarmEvent['alarm'] & Pick<AlarmEvent, (typeof DATA)[number]>;
}

/** What `data` has besides the alarm. */
const DATA = ['transition', 'atMs', 'position', 'by', 'comment', 'notify', 'evidence', 'watermarkMs'] as const;

const utf8 = new TextEncoder();

export function toCloudEvent(event: AlarmEvent): AlarmCloudEvent {
  const { alarm, transition, atMs, position, by, comment, notify, evidence, watermarkMs } = event;
  return {
    specversion: '1.0',
    id: `${alarm.id}-${alarm.version}`,
    source: `/sluice/rules/${encodeURIComponent(alarm.rule)}`,
    type: `com.sluice.alarm.${transition}`,
    subject: alarm.device,
    time: new Date(atMs).toISOString(),
    datacontenttype: 'application/json',
    data: { ...alarm, transition, atMs, position, by, comment, notify, evidence, watermarkMs },
  };
}

export function encodeCloudEvent(event: AlarmEvent): Uint8Array {
  return utf8.encode(JSON.stringify(toCloudEvent(event)));
}

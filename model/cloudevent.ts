import type { AlarmEvent } from './alarm.ts';

/**
 * An alarm transition as a CloudEvents 1.0 JSON document (https://github.com/cloudevents/spec, JSON format 1.0.2).
 *
 *     specversion  "1.0"
 *     id           {alarm id}-{version}: the same after a replay
 *     source       "/sluice/rules/{rule}"
 *     type         "com.sluice.alarm.raised" | "com.sluice.alarm.cleared"
 *     subject      device id
 *     time         event time of the transition, RFC 3339
 *     data         the alarm, times in ms, and the position of the message that decided it
 */
export interface AlarmCloudEvent {
  specversion: '1.0';
  id: string;
  source: string;
  type: string;
  subject: string;
  time: string;
  datacontenttype: 'application/json';
  data: AlarmEvent['alarm'] & { position: AlarmEvent['position'] };
}

const utf8 = new TextEncoder();

export function toCloudEvent(event: AlarmEvent): AlarmCloudEvent {
  const { alarm } = event;
  return {
    specversion: '1.0',
    id: `${alarm.id}-${alarm.version}`,
    source: `/sluice/rules/${encodeURIComponent(alarm.rule)}`,
    type: `com.sluice.alarm.${alarm.state}`,
    subject: alarm.device,
    time: new Date(event.atMs).toISOString(),
    datacontenttype: 'application/json',
    data: { ...alarm, position: event.position },
  };
}

export function encodeCloudEvent(event: AlarmEvent): Uint8Array {
  return utf8.encode(JSON.stringify(toCloudEvent(event)));
}

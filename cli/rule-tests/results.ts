import type { AlarmEvent } from '../../model/alarm.ts';
import { toCloudEvent } from '../../model/cloudevent.ts';
import type { Rollup } from '../../model/rollup.ts';
import type { QuarantineRow } from '../../store/blocks.ts';
import type { Field } from './value-match.ts';

/** A result of the engine as named fields, which is what tests speak of. */
export interface Result {
  fields: ReadonlyMap<string, Field>;
  /** Fields whose number is a time in ms. */
  times: ReadonlySet<string>;
}

/** The fields that say most, shown first and of a result that nobody expected. */
export const SHOWN = {
  rollups: ['window', 'device', 'metric', 'start', 'end', 'phase', 'revision', 'count', 'sum', 'min', 'max', 'avg'],
  alarms: ['rule', 'device', 'event', 'at', 'metric', 'value', 'severity', 'message'],
  quarantine: ['device', 'reason', 'received', 'payload'],
} as const;

export type Kind = keyof typeof SHOWN;
export const KINDS = Object.keys(SHOWN) as Kind[];

export function rollupResult(rollup: Rollup): Result {
  const { extra, ...plain } = rollup;
  const result = fieldsOf(plain);
  for (const [name, value] of extra ?? []) result.fields.set(name, value);
  return result;
}

/** `event` is the last word of the CloudEvent's type; the fields of its data follow. */
export function alarmResult(event: AlarmEvent): Result {
  const { position, ...data } = toCloudEvent(event).data;
  const result = fieldsOf({ ...data, ...position });
  result.fields.set('event', event.transition);
  return result;
}

export function quarantineResult(row: QuarantineRow): Result {
  return fieldsOf({ ...row, payload: Buffer.from(row.payload).toString('utf8') });
}

/** `startMs: 5` becomes the time `start`; what is nested gets its path with dots. */
function fieldsOf(data: object): { fields: Map<string, Field>; times: Set<string> } {
  const fields = new Map<string, Field>();
  const times = new Set<string>();
  const add = (name: string, value: unknown): void => {
    if (value === undefined || typeof value === 'function') return;
    if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) add(`${name}.${key}`, inner);
      return;
    }
    const time = name.endsWith('Ms') ? name.slice(0, -2) : null;
    if (time !== null) times.add(time);
    fields.set(time ?? name, value as Field);
  };
  for (const [name, value] of Object.entries(data)) add(name, value);
  return { fields, times };
}

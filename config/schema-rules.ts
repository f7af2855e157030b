import { z } from 'zod';
import { type AlarmRule, SEVERITIES } from '../model/alarm.ts';
import { checkedText, choice, duration, level, list, section } from './fields.ts';
import { messageProblem, patternProblem, topicLevelProblem } from './names.ts';
import { clip } from './quantity.ts';
import { alarmLifeFields } from './schema-alarm-life.ts';

/** Settings that say what the data means: how payloads are read, which windows are formed, which alarms are raised. */

const DAY_MS = 86_400_000;

const pattern = checkedText('A name; `*` stands for any run of characters.', patternProblem);

/** The formats of payloads. Siblings of one shape in processors/. */
export const PAYLOAD_FORMATS = ['json'] as const;

const payloadFormat = choice('`json` is described in the README.', PAYLOAD_FORMATS).default('json');

const payloadRule = section('How the payloads of some devices are read.', {
  match: checkedText('Device id; `*` stands for any run of characters.', patternProblem),
  format: payloadFormat,
});

export const devicesSection = section('What is known about the devices.', {
  payload: z
    .union([
      z.array(payloadRule),
      // A single mapping stands for all devices. It is written `{format: json}`, so that the common case is one line.
      z.strictObject({ format: payloadFormat }).transform(({ format }) => [{ match: '*', format }]),
      // So does an empty value, as for every section and list.
      z.null().transform(() => [{ match: '*', format: 'json' as const }]),
    ])
    .meta({
      'x-type': 'list',
      description:
        'How payloads are read: one mapping for every device, or a list of which the first entry that matches counts. Devices that no entry matches are read as JSON.',
    })
    .prefault({ format: 'json' }),
  seq: checkedText(
    'Name of the value in which devices number their messages, each one more than the last: the ledger then tells gaps. It is stored as a reading as well. Empty: there is none.',
    (text) =>
      text.includes('*') ? { what: `"${clip(text)}" is not one name`, remedy: 'write the name of one value' } : null,
  ).default('seq'),
});

const alarmItem = section('One alarm rule. Each device has at most one open alarm of a rule.', {
  name: checkedText('Unique; the last level of the MQTT topic alarms/{device}/{name}.', (text) =>
    topicLevelProblem(text, 'an alarm name'),
  ),
  kind: choice('`threshold`: the value of a metric goes beyond a level.', ['threshold']).default('threshold'),
  metric: checkedText('The metric that is watched; one name, without `*`.', (text) =>
    text === '' || text.includes('*')
      ? { what: `"${text}" is not the name of one metric`, remedy: 'write one metric, and a rule for each further one' }
      : null,
  ),
  devices: list('Which devices; an empty list means every one.', pattern).prefault([]),
  above: level('Raise when the value is greater than this. Exactly one of above and below.').nullable().prefault(null),
  below: level('Raise when the value is less than this. Exactly one of above and below.').nullable().prefault(null),
  clear: level(
    'Clear when the value is back at this level or beyond; null takes the threshold itself. Leave some distance, so that a value at the edge does not raise the alarm again and again.',
  )
    .nullable()
    .prefault(null),
  forMs: duration(
    'How long the value must stay beyond the threshold, in event time, before the alarm is raised; 0 raises at once.',
    {
      max: 31 * DAY_MS,
    },
  ).prefault(0),
  severity: choice('How bad; the order is the order of gravity.', SEVERITIES).default('warning'),
  ...alarmLifeFields,
  message: checkedText(
    'Text for people. {device}, {metric}, {value} and {threshold} are filled in.',
    messageProblem,
  ).default('{device}: {metric} is {value}, beyond {threshold}'),
});

export const alarmsSection = list('Alarm rules, over the readings of each device.', alarmItem)
  // Without a threshold there is nothing to clear at; config/relations.ts says so, and the rule goes no further.
  .transform((alarms): AlarmRule[] =>
    alarms.map((alarm) => ({ ...alarm, clear: alarm.clear ?? alarm.above ?? alarm.below ?? 0 })),
  )
  .prefault([]);

import { z } from 'zod';
import { type AlarmRule, SEVERITIES } from '../model/alarm.ts';
import { WINDOW_DEFAULTS, type WindowSpec } from '../model/window.ts';
import { checkedText, choice, duration, level, list, section } from './fields.ts';
import { messageProblem, patternProblem, topicLevelProblem } from './names.ts';
import { clip } from './quantity.ts';
import { aggregates } from './schema-aggregates.ts';
import { alarmLifeFields } from './schema-alarm-life.ts';
import { keepMs } from './schema-tiers.ts';

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

const windowItem = section('One window: its rollups have its name in the column `window`.', {
  name: checkedText('Unique; stands in the column `window` of the table rollups.', (text) =>
    text === '' ? { what: 'an empty name', remedy: 'name it after its size, as 1m' } : null,
  ),
  kind: choice('`tumbling`: windows of one size, one after another.', ['tumbling']).default('tumbling'),
  sizeMs: duration(
    'Size of a window. It must divide a day, or be a whole number of days, so that windows begin at the same times each day (UTC).',
    {
      min: 100,
      max: 366 * DAY_MS,
    },
  ),
  metrics: list('Which metrics; an empty list means every numeric one.', pattern).prefault([]),
  aggregates,
  outOfOrderMs: duration(
    'How long a window is kept open for readings that come out of order. Raise it for devices that send in batches; results come later by as much.',
    { max: 31 * DAY_MS },
  ).prefault('2s'),
  allowedLatenessMs: duration(
    'How long after its end was passed a window still takes late readings, each giving a corrected rollup with a higher revision. Takes memory for as long.',
    { max: 31 * DAY_MS },
  ).prefault('1m'),
  keepMs: keepMs('window'),
});

export const windowsSection = list(
  'Windows over event time: count, sum, min, max, avg, first and last of each device and metric.',
  windowItem,
)
  .transform((windows): WindowSpec[] => windows.map((window) => ({ ...WINDOW_DEFAULTS, ...window })))
  .prefault([{ name: '1m', sizeMs: '1m' }]);

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

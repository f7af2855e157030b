import { z } from 'zod';
import { type AlarmRule, type Schedule, SEVERITIES } from '../model/alarm.ts';
import { alarmExpressionPlace } from '../model/rule-order.ts';
import { type AlarmItem, alarmRule } from './alarm-rule.ts';
import { dateProblem, dayTime, deviceLevel, metricProblem, timeZoneProblem } from './alarm-values.ts';
import { checkedText, choice, duration, expression, flag, integer, kinds, level, list, section } from './fields.ts';
import { messageProblem, patternProblem, topicLevelProblem } from './names.ts';
import { alarmLifeFields } from './schema-alarm-life.ts';

/** Alarm rules: one form for each kind of condition. What a rule becomes is in alarm-rule.ts. */

const DAY_MS = 86_400_000;
const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

const pattern = checkedText('A name; `*` stands for any run of characters.', patternProblem);

const schedule = section(
  'When the rule counts, by the clock of a place; null for always. A rule whose time ends is cleared, and what still holds when it begins is raised. It goes by the time received.',
  {
    timeZone: checkedText('A name of the IANA time zone database, as Europe/Berlin.', timeZoneProblem).default('UTC'),
    days: list('Days of the week on which it begins.', choice('A day of the week.', WEEKDAYS)).prefault([
      ...WEEKDAYS.slice(0, 5),
    ]),
    from: dayTime('When it begins, as 08:00.').prefault('00:00'),
    to: dayTime('When it ends; a time that is not after `from` is on the next day.').prefault('24:00'),
    holidays: list(
      'Dates that count as none of the days.',
      checkedText('A date, as 2026-12-25.', dateProblem),
    ).prefault([]),
    outside: flag('True turns it round: the rule counts at all other times.').default(false),
  },
)
  .transform(
    ({ days, from, to, ...rest }): Schedule => ({
      ...rest,
      days: days.map((day) => WEEKDAYS.indexOf(day) + 1),
      fromMinute: from,
      toMinute: to % 1440,
    }),
  )
  .nullable()
  .prefault(null);

const metric = checkedText('The metric that is watched; one name, without `*`.', metricProblem);
const above = deviceLevel('Raise when the value is greater than this. Exactly one of above and below.');
const below = deviceLevel('Raise when the value is less than this. Exactly one of above and below.');
const clear = deviceLevel(
  'Clear when the value is back at this level or beyond; null takes the threshold itself. Leave some distance, so that a value at the edge does not raise the alarm again and again.',
);
const levels = list(
  'Graver levels in the same direction: the severity of an alarm rises and falls with them while it lasts.',
  section('One further level.', {
    severity: choice('How bad it is beyond this level.', SEVERITIES),
    above: deviceLevel('The level, for a rule with `above`.'),
    below: deviceLevel('The level, for a rule with `below`.'),
    clear: deviceLevel('Where it falls back from this level; null takes the level itself.'),
  }),
).prefault([]);
const forMs = duration(
  'How long the condition must hold before the alarm is raised, in event time; 0 raises at once.',
  { max: 31 * DAY_MS },
).prefault(0);

/** What all kinds have; `message` is the text where none is given. */
function common(message: string) {
  return {
    name: checkedText('Unique; the last level of the MQTT topic alarms/{device}/{name}.', (text) =>
      topicLevelProblem(text, 'an alarm name'),
    ),
    devices: list('Which devices; an empty list means every one.', pattern).prefault([]),
    severity: choice('How bad; the order is the order of gravity.', SEVERITIES).default('warning'),
    message: checkedText(
      'Text for people. {device}, {metric}, {value} and {threshold} are filled in.',
      messageProblem,
    ).default(message),
    ...alarmLifeFields,
    raises: flag('False makes the rule a condition for others to name; it raises no alarm.').default(true),
    schedule,
  };
}

const kind = <const Name extends string>(name: Name, description: string) => choice(description, [name]);

const levelled = { metric, above, below, clear, levels, forMs };

const threshold = z.strictObject({
  ...common('{device}: {metric} is {value}, beyond {threshold}'),
  kind: kind('threshold', '`threshold`: the value of a metric goes beyond a level.').default('threshold'),
  ...levelled,
});

const rate = z.strictObject({
  ...common('{device}: {metric} changes by {value}, beyond {threshold}'),
  kind: kind('rate', '`rate`: a metric changes too fast. Above and below are compared with the change.'),
  ...levelled,
  perMs: duration('The time that the change is given for.', { min: 1, max: 366 * DAY_MS }).prefault('1m'),
  windowMs: duration(
    '0: from one reading to the next. Otherwise the slope of the straight line that fits the readings of this time best, which noise moves less.',
    { max: 31 * DAY_MS },
  ).prefault(0),
});

const repeat = z.strictObject({
  ...common('{device}: {metric} went beyond its level {value} times'),
  kind: kind('repeat', '`repeat`: a value goes beyond a level several times within some time.'),
  metric,
  above,
  below,
  clear,
  forMs,
  times: integer('How many times.', 2, 1000),
  withinMs: duration('Within which time, of event time.', { min: 1, max: 31 * DAY_MS }),
  counting: choice('`crossings`: how often the value went beyond. `readings`: how many readings were beyond.', [
    'crossings',
    'readings',
  ]).default('crossings'),
});

const deviation = z.strictObject({
  ...common('{device}: {metric} is {value} deviations from its usual, beyond {threshold}'),
  kind: kind('deviation', "`deviation`: a value is unlike the device's own history."),
  metric,
  method: choice(
    '`zscore`: standard deviations from the mean. `mad`: median absolute deviations from the median (as standard deviations of a normal distribution), which outliers in the history move less.',
    ['zscore', 'mad'],
  ).default('zscore'),
  direction: choice('Which deviations count.', ['both', 'up', 'down']).default('both'),
  above: level('Raise when the deviation is greater than this.').default(4),
  clear: level('Clear when the deviation is back at this; null takes `above`.').nullable().prefault(null),
  levels,
  forMs,
  windowMs: duration('Length of the history, event time. Up to 256 readings, evenly spread, are kept of it.', {
    min: 1000,
    max: 31 * DAY_MS,
  }).prefault('1h'),
  samplesMin: integer('Nothing is judged before the history has so many readings.', 3, 256).default(30),
  spreadMin: level(
    'A deviation (of the history) smaller than this is taken as this, so that a value that hardly ever changes may change a little.',
  )
    .min(0)
    .default(0),
});

const silence = z.strictObject({
  ...common('{device}: nothing heard {metric} for {value} s, more than {threshold} s'),
  kind: kind(
    'silence',
    '`silence`: nothing was heard of a device, of a metric while its device speaks, or of a whole group of devices. Outages of our own are nobody’s silence.',
  ),
  afterMs: duration('Silent for so long; null learns it from the cadence of each.', { min: 1000, max: 31 * DAY_MS })
    .nullable()
    .prefault(null),
  factor: level('Learned: this many times the longest usual gap.').min(1.5).default(3),
  afterMinMs: duration('Learned: never sooner than this.', { min: 1000, max: 31 * DAY_MS }).prefault('10s'),
  metric: checkedText(
    'A metric that is missing while its device speaks. Empty: the device, or the group, is watched.',
    (text) => (text === '' ? null : metricProblem(text)),
  ).default(''),
  by: checkedText(
    'A group whose devices are all silent at once, as behind a lost gateway: site, model, or the name of a tag of the registry. Empty: each device by itself. Devices of the registry count from when they were registered, where `afterMs` is set.',
    () => null,
  ).default(''),
  outageMs: duration(
    'When the door’s time (log.tickMs) is missing for longer than this, the outage is ours, and does not count.',
    { min: 300, max: DAY_MS },
  ).prefault('15s'),
  graceMs: duration('How long devices have after such an outage to come back, before their silence counts on.', {
    max: DAY_MS,
  }).prefault('30s'),
});

const clock = z.strictObject({
  ...common('{device}: its clock is off by {value} s'),
  kind: kind(
    'clock',
    '`clock`: readings of a device are dated too far ahead of the time received, or too far behind it.',
  ),
  aheadMs: duration('Further ahead than this; null for any.', { max: 366 * DAY_MS })
    .nullable()
    .prefault('1m'),
  behindMs: duration('Further behind than this; null for any, as devices that buffer may be.', { max: 366 * DAY_MS })
    .nullable()
    .prefault(null),
  forMs: duration(
    'How long, of the partition’s clock; tells devices that send what they have buffered from wrong clocks.',
    {
      max: 31 * DAY_MS,
    },
  ).prefault(0),
});

const expressionRule = z.strictObject({
  ...common('{device}: it is {value}'),
  kind: kind(
    'expression',
    '`expression`: any expression over readings, rollups, other rules and tags (docs/expressions.md).',
  ),
  when: expression(
    'True raises; or a number, which is compared with above or below. Judged when something that it names has changed.',
    alarmExpressionPlace(true),
  ),
  clearWhen: expression(
    'True clears. Empty: cleared when `when` is not true any more.',
    alarmExpressionPlace(false),
    true,
  ).default(''),
  above: level('For a number: raise when it is greater than this.').nullable().prefault(null),
  below: level('For a number: raise when it is less than this.').nullable().prefault(null),
  clear: level('For a number: clear when it is back at this level or beyond; null takes the threshold itself.')
    .nullable()
    .prefault(null),
  forMs,
});

const ruleName = checkedText('The name of a rule; `!` in front means that it does not hold.', (text) =>
  topicLevelProblem(text.replace(/^!/, ''), 'an alarm name'),
);

const combination = z
  .strictObject({
    ...common('{device}: several conditions at once'),
    kind: kind('combination', '`combination`: other rules hold at once for the same device.'),
    all: list('All of these rules hold.', ruleName).prefault([]),
    any: list('At least one of these rules holds, or as many as `atLeast` says.', ruleName).prefault([]),
    atLeast: integer('How many of `any` must hold.', 1, 64).default(1),
    forMs: duration('How long they must hold together, of the partition’s clock.', { max: 31 * DAY_MS }).prefault(0),
  })
  .superRefine(({ all, any }, context) => {
    if (all.length === 0 || any.length === 0) return;
    const remedy = 'keep one; a rule of `raises: false` can be the other';
    context.addIssue({ code: 'custom', path: ['any'], message: 'both all and any are given', params: { remedy } });
  });

const alarmItem = kinds('One alarm rule. Each device has at most one open alarm of a rule.', 'threshold', [
  threshold,
  rate,
  repeat,
  deviation,
  silence,
  clock,
  expressionRule,
  combination,
]);

export type AlarmSettings = z.output<typeof alarmItem>;

export const alarmsSection = list('Alarm rules, over the readings of each device.', alarmItem)
  .transform((alarms): AlarmRule[] => alarms.map((alarm) => alarmRule(alarm as AlarmItem)))
  .prefault([]);

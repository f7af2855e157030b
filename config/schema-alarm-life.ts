import { z } from 'zod';
import { SEVERITIES } from '../model/alarm.ts';
import { LATCHES, LIFE_DEFAULTS, type Maintenance } from '../model/alarm-life.ts';
import { checkedText, choice, duration, flag, integer, list, section } from './fields.ts';
import { patternProblem } from './names.ts';
import { clip } from './quantity.ts';

/** Settings of what becomes of an alarm, after ISA-18.2 (docs/alarm-life.md): they stand in a rule, beside its condition. */

const DAY_MS = 86_400_000;

export const alarmLifeFields = {
  latch: choice(
    'Whether an alarm stays raised when its condition has ceased: `acknowledge` until somebody acknowledges it, `reset` until somebody resets it.',
    LATCHES,
  ).default(LIFE_DEFAULTS.latch),
  ackRequired: flag(
    'Whether an alarm that nobody has acknowledged is still there when it has cleared by itself. Raised again before that, it is the same alarm.',
  ).default(LIFE_DEFAULTS.ackRequired),
  clearForMs: duration(
    'How long the condition must have ceased before the alarm clears, by the time received; what holds again meanwhile is the same raise. 0 clears at once.',
    { max: 31 * DAY_MS },
  ).prefault(LIFE_DEFAULTS.clearForMs),
  minIntervalMs: duration(
    'Two raises of one device are at least this far apart, by the time received; a raise that comes sooner waits, and is forgotten if its condition ceases meanwhile.',
    { max: 31 * DAY_MS },
  ).prefault(LIFE_DEFAULTS.minIntervalMs),
  chattering: section(
    'When so many raises of a device are one chattering alarm, by the time received; null for never.',
    {
      times: integer('This many raises …', 2, 1000).default(5),
      withinMs: duration('… within this time. It ends when none has come for as long.', {
        min: 1,
        max: 31 * DAY_MS,
      }).prefault('10m'),
    },
  )
    .nullable()
    .prefault(null),
  inhibitedBy: list(
    'Names of other rules: while one of them has raised an alarm for the same device, or for a device of the same site, alarms of this rule are suppressed.',
    z.string(),
  ).prefault([]),
  group: section(
    'When many alarms of this rule are notified as one; null for never. Those of a group are in the tables and on the page all the same.',
    {
      by: choice('`site`: for each site by itself; `rule`: all devices together.', ['rule', 'site']).default('site'),
      times: integer('More than this many raises …', 1, 100_000).default(20),
      withinMs: duration('… within this time. It ends when none has come for as long.', {
        min: 1,
        max: 31 * DAY_MS,
      }).prefault('1m'),
    },
  )
    .nullable()
    .prefault(null),
  escalate: section('What becomes of an alarm that nobody acknowledges; null for nothing.', {
    afterMs: duration('How long after it was raised, by the time received.', { min: 1, max: 31 * DAY_MS }).prefault(
      '15m',
    ),
    severity: choice('How bad it then is, if it is not worse already.', SEVERITIES).default('critical'),
  })
    .nullable()
    .prefault(null),
};

const pattern = (description: string) =>
  list(description, checkedText('A name; `*` stands for any run of characters.', patternProblem)).prefault([]);

const instant = (description: string) =>
  checkedText(description, (text) =>
    timeOf(text) === null
      ? { what: `"${clip(text)}" is not a time`, remedy: 'write one like 2026-01-31T08:00:00Z, with its zone' }
      : null,
  );

/** A time with its zone, of the years 1970 to 2199; null for any other text. */
function timeOf(text: string): number | null {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/.test(text)) return null;
  const ms = Date.parse(text);
  return ms >= 0 && ms < Date.UTC(2200, 0, 1) ? ms : null;
}

export const maintenanceSection = list(
  'Times in which work goes on: alarms of these devices and rules are suppressed, by the time received. Others can be begun over HTTP.',
  section('One time of maintenance.', {
    name: checkedText('Unique; alarms say that they are suppressed by it.', (text) =>
      text === '' ? { what: 'an empty name', remedy: 'name it after the work' } : null,
    ),
    devices: pattern('Which devices; an empty list means every one.'),
    sites: pattern('Which sites; an empty list means every one.'),
    rules: pattern('Which alarm rules; an empty list means every one.'),
    from: instant('When it begins, as 2026-01-31T08:00:00Z.'),
    until: instant('When it ends.'),
  }),
)
  .transform((times): Maintenance[] =>
    times.map(({ from, until, ...rest }) => ({ ...rest, fromMs: timeOf(from) ?? 0, untilMs: timeOf(until) ?? 0 })),
  )
  .prefault([]);

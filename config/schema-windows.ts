import type { z } from 'zod';
import { WHERE_PLACE, WINDOW_DEFAULTS, type WindowKey, type WindowSpec } from '../model/window.ts';
import { checkedText, choice, duration, expression, integer, list, parsed, section } from './fields.ts';
import { patternProblem } from './names.ts';
import { describe, formatQuantity } from './quantity.ts';
import { aggregates } from './schema-aggregates.ts';
import { keepMs } from './schema-tiers.ts';

/** Windows. All kinds share one list of settings, so that one table tells them all; which belongs to which kind is in KINDS. */

const DAY_MS = 86_400_000;
const LATENESS_MS_DEFAULT = 60_000;
const SESSION_MS_MAX_DEFAULT = DAY_MS;

const pattern = checkedText('A name; `*` stands for any run of characters.', patternProblem);

type Kind = WindowSpec['kind'];
type Own =
  | 'sizeMs'
  | 'hopMs'
  | 'gapMs'
  | 'sizeMaxMs'
  | 'count'
  | 'state'
  | 'allowedLatenessMs'
  | 'everyMs'
  | 'readingsMax';

/** What each kind needs, and what it takes besides. */
const KINDS: Readonly<Record<Kind, { needs: readonly Own[]; takes: readonly Own[] }>> = {
  tumbling: { needs: ['sizeMs'], takes: ['allowedLatenessMs', 'everyMs'] },
  hopping: { needs: ['sizeMs', 'hopMs'], takes: ['allowedLatenessMs', 'everyMs'] },
  sliding: { needs: ['sizeMs'], takes: ['allowedLatenessMs', 'readingsMax'] },
  session: { needs: ['gapMs'], takes: ['sizeMaxMs', 'allowedLatenessMs', 'everyMs'] },
  count: { needs: ['count'], takes: ['everyMs', 'readingsMax'] },
  state: { needs: ['state'], takes: ['everyMs', 'readingsMax'] },
};
const KIND_NAMES = Object.keys(KINDS) as Kind[];
const OWN: readonly Own[] = [
  'sizeMs',
  'hopMs',
  'gapMs',
  'sizeMaxMs',
  'count',
  'state',
  'allowedLatenessMs',
  'everyMs',
  'readingsMax',
];

/** Why a kind has no use for a setting that others have. */
const WHY: Partial<Record<`${Kind} ${Own}`, string>> = {
  'count allowedLatenessMs': 'one more reading would shift every count after it; raise outOfOrderMs instead',
  'state allowedLatenessMs': 'a late state would split what was given out; raise outOfOrderMs instead',
  'sliding everyMs': 'each reading gives its result already',
  'tumbling readingsMax': 'its state is one row of aggregates, however many readings it has',
  'hopping readingsMax': 'its state is one row of aggregates for each hop, however many readings it has',
  'session readingsMax': 'its state is one row of aggregates, however many readings it has',
  'session sizeMs': 'write gapMs, and sizeMaxMs for its greatest length',
};

const BY =
  '`device`: each device by itself. `site`, `model`, `tag:NAME`: all devices that have the same value of it in the registry. `topic:N`: all messages whose MQTT topic has the same level N, counted from 1 (in `devices/pump-7/telemetry`, level 2 is `pump-7`). Groups are for tumbling and hopping windows only.';

function windowKey(value: unknown): { value: WindowKey } | { what: string; remedy: string } {
  if (value === 'device' || value === 'site' || value === 'model') return { value: { kind: value } };
  if (typeof value === 'string' && /^tag:./s.test(value)) return { value: { kind: 'tag', tag: value.slice(4) } };
  const level = typeof value === 'string' ? /^topic:([1-9]\d{0,2})$/.exec(value)?.[1] : undefined;
  if (level !== undefined) return { value: { kind: 'topic', level: Number(level) } };
  return {
    what: `${describe(value)} is nothing to group by`,
    remedy: 'write device, site, model, tag:NAME or topic:LEVEL',
  };
}

const windowItem = section('One window: its rollups have its name in the column `window`.', {
  name: checkedText('Unique; stands in the column `window` of the table rollups.', (text) =>
    text === '' ? { what: 'an empty name', remedy: 'name it after its size, as 1m' } : null,
  ),
  kind: choice(
    '`tumbling`: of one size, one after another. `hopping`: of one size, one beginning each hop. `sliding`: the size before each reading. `session`: as long as readings follow one another. `count`: so many readings. `state`: as long as a value stays the same. docs/windows.md shows each.',
    KIND_NAMES as [Kind, ...Kind[]],
  ).default('tumbling'),
  sizeMs: duration(
    'Tumbling, hopping and sliding: how long a window is. That of a tumbling one must divide a day, or be a whole number of days, so that windows begin at the same times each day (UTC).',
    {
      min: 100,
      max: 366 * DAY_MS,
    },
  )
    .nullable()
    .prefault(null),
  hopMs: duration(
    'Hopping: how much later each window begins than the one before; at most its size, best a divisor of it, and one that divides a day.',
    { min: 100, max: 366 * DAY_MS },
  )
    .nullable()
    .prefault(null),
  gapMs: duration('Session: a silence of this length ends it.', { min: 1, max: 31 * DAY_MS })
    .nullable()
    .prefault(null),
  sizeMaxMs: duration('Session: one that goes on for so long ends, and the next begins; null is 1d.', {
    min: 100,
    max: 31 * DAY_MS,
  })
    .nullable()
    .prefault(null),
  count: integer('Count: how many readings make a window.', 1, 10_000_000).nullable().prefault(null),
  state: checkedText(
    'State: the metric of the device whose value, a number or a text, makes the window; one name, without `*`.',
    (text) =>
      text === '' || text.includes('*')
        ? { what: `"${text}" is not the name of one metric`, remedy: 'write the metric that tells the state' }
        : null,
  )
    .nullable()
    .prefault(null),
  by: parsed<WindowKey>(windowKey).meta({ description: BY, type: 'string', 'x-type': 'text' }).prefault('device'),
  metrics: list('Which metrics; an empty list means every numeric one.', pattern).prefault([]),
  devices: list('Which devices; an empty list means every one.', pattern).prefault([]),
  where: expression(
    'Which readings: an expression over `value`, `metric`, `ts` and `device`, as `value > 0 && value < 150` (docs/expressions.md). Empty takes all.',
    WHERE_PLACE,
    true,
  ).default(''),
  aggregates,
  outOfOrderMs: duration(
    'How long a window is kept open for readings that come out of order. Raise it for devices that send in batches; results come later by as much.',
    { max: 31 * DAY_MS },
  ).prefault('2s'),
  allowedLatenessMs: duration(
    'How long after its end was passed a window still takes late readings, each giving a corrected rollup with a higher revision; null is 1m. Takes memory for as long. Not for count and state windows.',
    { max: 31 * DAY_MS },
  )
    .nullable()
    .prefault(null),
  everyMs: duration(
    'Early results of a window that is still open, each time event time passes a multiple of this and the window has changed; null gives none. Not for sliding windows.',
    { min: 100, max: 31 * DAY_MS },
  )
    .nullable()
    .prefault(null),
  seriesMax: integer(
    'Most series, pairs of device and metric, of one partition that the window takes; null sets no bound besides `processors.seriesMax`. Those that come first are taken. Readings of further ones are stored and not in this window; they are counted, and told of in /health, in /metrics and once in the log.',
    1,
    100_000_000,
  )
    .nullable()
    .prefault(null),
  readingsMax: integer(
    'Sliding, count and state: most readings of a series (state: of a device) that are held; null is 100,000. Where more come, the oldest leave before their time: a sliding result is made of the newest that are held, and count and state windows take their oldest without waiting for others to come out of order. Counted in /metrics.',
    2,
    10_000_000,
  )
    .nullable()
    .prefault(null),
  keepMs: keepMs('window'),
});

type Item = z.output<typeof windowItem>;

/** Each setting stands with a kind that has it, and those that a kind needs are there. */
function checkKinds(windows: readonly Item[], context: z.RefinementCtx): void {
  for (const [i, window] of windows.entries()) {
    const { needs, takes } = KINDS[window.kind];
    const add = (key: string, message: string, remedy: string): void => {
      context.addIssue({ code: 'custom', path: [i, key], message, params: { remedy } });
    };
    for (const key of OWN) {
      const isGiven = window[key] !== null;
      if (needs.includes(key) && !isGiven) add(key, `a ${window.kind} window needs it`, `write ${EXAMPLE[key]}`);
      if (!isGiven || needs.includes(key) || takes.includes(key)) continue;
      const others = KIND_NAMES.filter((kind) => KINDS[kind].needs.includes(key) || KINDS[kind].takes.includes(key));
      const why = WHY[`${window.kind} ${key}`];
      add(
        key,
        `is for ${others.join(', ')} windows, and this is a ${window.kind} one`,
        why ?? `remove it, or write \`kind: ${others[0]}\``,
      );
    }
  }
}

const EXAMPLE: Readonly<Record<Own, string>> = {
  sizeMs: 'its size, as 1m',
  hopMs: 'how often one begins, as 10s',
  gapMs: 'the silence that ends it, as 30s',
  sizeMaxMs: formatQuantity(SESSION_MS_MAX_DEFAULT, 'duration'),
  count: 'how many readings, as 100',
  state: 'the metric that tells the state',
  allowedLatenessMs: '1m',
  everyMs: '10s',
  readingsMax: '100000',
};

function specOf(item: Item): WindowSpec {
  const { name, by, metrics, devices, where, aggregates, outOfOrderMs, everyMs, seriesMax, keepMs } = item;
  const allowedLatenessMs = item.allowedLatenessMs ?? LATENESS_MS_DEFAULT;
  const readingsMax = item.readingsMax ?? WINDOW_DEFAULTS.readingsMax;
  const own = { outOfOrderMs, everyMs, seriesMax, readingsMax, keepMs };
  const base = { ...WINDOW_DEFAULTS, name, by, metrics, devices, where, aggregates, ...own };
  // What a kind needs is there: checkKinds has seen to it.
  const sizeMs = item.sizeMs as number;
  switch (item.kind) {
    case 'tumbling':
      return { ...base, kind: 'tumbling', sizeMs, allowedLatenessMs };
    case 'hopping':
      return { ...base, kind: 'hopping', sizeMs, hopMs: item.hopMs as number, allowedLatenessMs };
    case 'sliding':
      return { ...base, kind: 'sliding', sizeMs, allowedLatenessMs };
    case 'session': {
      const sizeMaxMs = item.sizeMaxMs ?? SESSION_MS_MAX_DEFAULT;
      return { ...base, kind: 'session', gapMs: item.gapMs as number, sizeMaxMs, allowedLatenessMs };
    }
    case 'count':
      return { ...base, kind: 'count', count: item.count as number, allowedLatenessMs: 0 };
    case 'state':
      return { ...base, kind: 'state', state: item.state as string, allowedLatenessMs: 0 };
  }
}

export const windowsSection = list(
  'Windows over event time: count, sum, min, max, avg, first and last of each device and metric, and further aggregates. docs/windows.md explains the kinds.',
  windowItem,
)
  .superRefine(checkKinds)
  .transform((windows): WindowSpec[] => windows.map(specOf))
  .prefault([{ name: '1m', sizeMs: '1m' }]);

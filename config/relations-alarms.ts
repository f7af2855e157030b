import { type AlarmLevel, type AlarmRule, SEVERITIES } from '../model/alarm.ts';
import { compileExpression, expressionFault } from '../model/expressions/expression.ts';
import { alarmExpressionPlace, dependenciesOf, ruleOrder } from '../model/rule-order.ts';
import type { Path } from './problem.ts';
import { clip, formatQuantity } from './quantity.ts';
import type { Relation } from './relations.ts';
import { groupRelations } from './relations-group-rules.ts';
import type { DraftConfig } from './schema.ts';
import { nearest } from './suggest.ts';

export type Add = (key: string | Path, what: string, remedy: string, uses?: Path[]) => void;

const time = (ms: number): string => formatQuantity(ms, 'duration');

/** Relations inside an alarm rule, and between rules. */
export function alarmRelations(config: DraftConfig): Relation[] {
  const { alarms } = config;
  const found: Relation[] = [];
  const names = new Set<string>();
  for (const [i, alarm] of alarms.entries()) {
    const add: Add = (key, what, remedy, uses = []) => {
      const path: Path = ['alarms', i, ...(typeof key === 'string' ? [key] : key)];
      found.push({ path, of: 'value', what, remedy, uses: uses.map((use) => ['alarms', i, ...use]) });
    };
    if (names.has(alarm.name)) add('name', `"${clip(alarm.name)}" is given to two alarms`, 'choose another name');
    names.add(alarm.name);
    metricRelations(alarm, config, add);
    levelRelations(alarm, add);
    kindRelations(alarm, config, add);
    ruleNames(alarm, alarms, add);
    groupRelations(alarm, config, add);
  }
  const ordered = ruleOrder(alarms);
  if ('circle' in ordered) {
    const [first] = ordered.circle;
    const i = alarms.findIndex(({ name }) => name === first);
    const key = alarms[i].kind === 'combination' ? 'name' : 'when';
    found.push({
      path: ['alarms', i, key],
      of: 'value',
      what: `rules look at each other in a circle: ${[...ordered.circle, first].map((name) => clip(name)).join(' → ')}`,
      remedy: 'let one of them look at none of the others',
      uses: [],
    });
  }
  return found;
}

function metricRelations(alarm: AlarmRule, { processors }: DraftConfig, add: Add): void {
  const bytes = 'metric' in alarm ? Buffer.byteLength(alarm.metric) : 0;
  const { metricNameBytesMax } = processors.limits;
  if (bytes <= metricNameBytesMax) return;
  add(
    'metric',
    `a metric name of ${bytes} bytes is refused by processors.limits.metricNameBytesMax ${metricNameBytesMax}B`,
    'shorten the name, or raise the limit',
  );
}

/** Threshold, clear level and further levels have to stand in one order. */
function levelRelations(alarm: AlarmRule, add: Add): void {
  if (!('above' in alarm)) return;
  const { above, below, clear } = alarm;
  if (above !== null && below !== null) {
    add('below', 'both above and below are given', 'keep one; a range takes two rules');
    return;
  }
  if (above === null && below === null) {
    if (alarm.kind !== 'expression') add([], 'has no threshold', 'add `above` or `below`', [['above'], ['below']]);
    return;
  }
  clearRelation(above, below, clear, [], add);
  let mildest = { severity: alarm.severity, threshold: above ?? below ?? 0 };
  const further = 'levels' in alarm ? (alarm.levels ?? []) : [];
  for (const [n, one] of further.entries()) {
    const at: Path = ['levels', n];
    if (Number.isNaN(one.threshold)) {
      add(at, `has no ${above !== null ? 'above' : 'below'}`, 'add the level');
      continue;
    }
    clearRelation(above === null ? null : one.threshold, below === null ? null : one.threshold, one.clear, at, add);
    levelOrder(mildest, one, above !== null, at, add);
    mildest = one;
  }
}

function levelOrder(
  before: Pick<AlarmLevel, 'severity' | 'threshold'>,
  one: AlarmLevel,
  up: boolean,
  at: Path,
  add: Add,
): void {
  if (up ? one.threshold <= before.threshold : one.threshold >= before.threshold) {
    const than = up ? 'more' : 'less';
    add(
      [...at, up ? 'above' : 'below'],
      `${one.threshold} is not ${than} than the level before, ${before.threshold}`,
      `write the levels in their order, each ${than} than the last`,
    );
  }
  if (SEVERITIES.indexOf(one.severity) <= SEVERITIES.indexOf(before.severity)) {
    add(
      [...at, 'severity'],
      `${one.severity} is not worse than ${before.severity}, which is said of the level before`,
      'write a graver severity',
    );
  }
}

function clearRelation(above: number | null, below: number | null, clear: number, at: Path, add: Add): void {
  if (above !== null && clear > above) {
    add(
      [...at, 'clear'],
      `${clear} is above the threshold ${above}: the alarm would clear while it is raised`,
      `write ${above} or less`,
      [[...at, 'above']],
    );
  } else if (below !== null && clear < below) {
    add(
      [...at, 'clear'],
      `${clear} is below the threshold ${below}: the alarm would clear while it is raised`,
      `write ${below} or more`,
      [[...at, 'below']],
    );
  }
}

function kindRelations(alarm: AlarmRule, { log, windows }: DraftConfig, add: Add): void {
  switch (alarm.kind) {
    case 'silence':
      if (alarm.metric !== '' && alarm.by !== null) {
        add('by', 'a metric is watched for each device by itself', 'remove `by`, or `metric`', [['metric']]);
      }
      if (alarm.outageMs < 3 * log.tickMs) {
        add(
          'outageMs',
          `${time(alarm.outageMs)} is less than three ticks (log.tickMs ${time(log.tickMs)}), by which outages are told`,
          `write ${time(3 * log.tickMs)} or more`,
        );
      }
      return;
    case 'clock':
      if (alarm.aheadMs === null && alarm.behindMs === null) {
        add([], 'watches nothing', 'add `aheadMs` or `behindMs`', [['aheadMs'], ['behindMs']]);
      }
      return;
    case 'combination':
      if (alarm.of.length === 0)
        add([], 'names no rules', 'add `all` or `any`, as all: [hot, dry]', [['all'], ['any']]);
      else if (alarm.atLeast > alarm.of.length) {
        add(
          'atLeast',
          `${alarm.atLeast} of ${alarm.of.length} rules can never hold`,
          `write ${alarm.of.length} or less`,
        );
      }
      return;
    case 'expression': {
      if (alarm.when === '') return;
      const levelled = alarm.above !== null || alarm.below !== null;
      const fault = levelled ? null : expressionFault(alarm.when, alarmExpressionPlace(false));
      if (fault !== null) add('when', fault.what, `${fault.remedy}; or add above or below for a number`);
      else unknownWindows(alarm.when, windows, add);
    }
  }
}

function unknownWindows(when: string, windows: DraftConfig['windows'], add: Add): void {
  for (const reference of compileExpression(when, alarmExpressionPlace(true)).references) {
    if (reference.kind !== 'rollup' || windows.some(({ name }) => name === reference.window)) continue;
    const known = windows.map(({ name }) => name).join(', ');
    add(
      'when',
      `there is no window "${clip(reference.window)}"`,
      known === '' ? 'add it to windows' : `windows are ${clip(known)}`,
    );
  }
}

function ruleNames(alarm: AlarmRule, alarms: readonly AlarmRule[], add: Add): void {
  const others = alarms.map(({ name }) => name).filter((name) => name !== alarm.name);
  for (const name of dependenciesOf(alarm)) {
    if (others.includes(name) || name === alarm.name) continue;
    const near = nearest(name, others);
    const remedy = near !== null ? `did you mean ${clip(near)}?` : 'name a rule of this file';
    add(alarm.kind === 'expression' ? 'when' : [], `there is no alarm rule "${clip(name)}"`, remedy, [
      ['all'],
      ['any'],
    ]);
  }
}

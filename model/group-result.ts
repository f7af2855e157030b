import { SluiceError } from './errors.ts';
import { partitionOf } from './partition.ts';
import type { Rollup, RollupPhase } from './rollup.ts';
import type { WindowKey } from './window.ts';

/**
 * The result of a group's window, for the alarm rules that look at it. It goes the way of a fact (fact.ts): from where the group's parts
 * are merged onto the topic FACTS, and by the door into one telemetry partition, that of the device which stands for the group.
 * There it has a definite place, and a replay finds it again. As JSON:
 *
 *     { "kind": "rollup", "definition": 2840023, "rollup": { "window": "site-1m", "device": "north", …, "extra": [["p95", 21.5]] } }
 *
 * A number that JSON does not have is null there. One may come twice, and after a later one: the revision tells.
 */
export interface GroupResult {
  kind: 'rollup';
  /** Of the window, as the partitions tell it with their parts: results of another definition are not this window's. */
  definition: number;
  rollup: Rollup & { grouping: string };
}

const NUMBERS = ['startMs', 'endMs', 'count', 'sum', 'min', 'max', 'avg', 'first', 'last', 'revision'] as const;
const TEXTS = ['window', 'device', 'grouping', 'metric', 'label'] as const;
const PHASES: readonly RollupPhase[] = ['early', 'final', 'corrected'];

const utf8 = new TextEncoder();

/** The device that alarms of a group are of, as `site=north`: `name` is site, model, the name of a tag, or topic:3. */
export function groupDevice(name: string, value: string): string {
  return `${name}=${value}`.replace(/[/+#\0]/g, '_');
}

/** As it stands in the column `grouping`: site, model, tag:line, topic:3; empty for windows of devices. */
export function groupingOf(by: WindowKey): string {
  if (by.kind === 'device') return '';
  if (by.kind === 'topic') return `topic:${by.level}`;
  return by.kind === 'tag' ? `tag:${by.tag}` : by.kind;
}

/** The same for a value of a rollup's `grouping`. */
export function deviceOfGrouping(grouping: string, value: string): string {
  return groupDevice(grouping.replace(/^tag:/, ''), value);
}

/** The telemetry partition in which rules look at it. */
export function partitionOfResult({ rollup }: GroupResult, partitions: number): number {
  return partitionOf(deviceOfGrouping(rollup.grouping, rollup.device), partitions);
}

export function encodeGroupResult({ definition, rollup }: GroupResult): Uint8Array<ArrayBuffer> {
  const extra = rollup.extra === null ? null : [...rollup.extra];
  return utf8.encode(JSON.stringify({ kind: 'rollup', definition, rollup: { ...rollup, extra } }));
}

/** Throws INPUT_INVALID when the members, as JSON gives them, are none. */
export function groupResultOf(members: ReadonlyMap<string, unknown>): GroupResult {
  const definition = members.get('definition');
  const given = members.get('rollup');
  if (typeof definition !== 'number') throw refused('definition');
  if (typeof given !== 'object' || given === null) throw refused('rollup');
  const found = new Map<string, unknown>(Object.entries(given));
  const text = (name: (typeof TEXTS)[number]): string => {
    const value = found.get(name);
    if (typeof value !== 'string') throw refused(name);
    return value;
  };
  const number = (name: (typeof NUMBERS)[number]): number => {
    const value = found.get(name);
    if (value === null) return Number.NaN;
    if (typeof value !== 'number') throw refused(name);
    return value;
  };
  const phase = PHASES.find((one) => one === found.get('phase'));
  if (phase === undefined) throw refused('phase');
  const [startMs, endMs, revision] = [number('startMs'), number('endMs'), number('revision')];
  for (const whole of [startMs, endMs, revision]) {
    if (!Number.isSafeInteger(whole) || whole < 0) throw refused('startMs, endMs or revision');
  }
  return {
    kind: 'rollup',
    definition,
    rollup: {
      window: text('window'),
      device: text('device'),
      grouping: text('grouping'),
      metric: text('metric'),
      startMs,
      endMs,
      count: number('count'),
      sum: number('sum'),
      min: number('min'),
      max: number('max'),
      avg: number('avg'),
      first: number('first'),
      last: number('last'),
      label: text('label'),
      extra: extraOf(found.get('extra')),
      revision,
      phase,
    },
  };
}

function extraOf(value: unknown): Map<string, number> | null {
  if (value === null) return null;
  if (!Array.isArray(value)) throw refused('extra');
  return new Map(
    value.map((pair): [string, number] => {
      if (!Array.isArray(pair) || typeof pair[0] !== 'string') throw refused('extra');
      return [pair[0], typeof pair[1] === 'number' ? pair[1] : Number.NaN];
    }),
  );
}

function refused(member: string): SluiceError {
  return new SluiceError('INPUT_INVALID', `\`${member}\` of a group's result is not what it has to be`, {
    values: { member },
  });
}

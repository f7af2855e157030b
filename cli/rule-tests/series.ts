import type { Path } from '../../config/problem.ts';
import type { YamlReader } from './yaml-reader.ts';

/** One moment of a series: what the device says then. A metric that says nothing is left out. */
export interface Step {
  tsMs: number;
  values: Map<string, unknown>;
}

const STEPS_MAX = 1_000_000;

/**
 * The steps of `{ from, every, values }`. The values of a metric are a list, one for each step, where null says nothing,
 * `{repeat: V, times: N}` is N times V (or N times the list V) and `{ramp: [A, B], steps: N}` goes from A to B in N values;
 * or they are one value for all steps. How many steps there are the lists say, or `times`, or `to`.
 */
export function readSeries(reader: YamlReader, map: Map<string, unknown>, path: Path, dateMs: number): Step[] | null {
  for (const key of ['from', 'every', 'values']) {
    if (!map.has(key)) return reader.wrong(path, `has no \`${key}\``, 'a series has `from`, `every` and `values`');
  }
  const fromMs = reader.time(map.get('from'), [...path, 'from'], dateMs);
  const everyMs = reader.duration(map.get('every'), [...path, 'every']);
  const values = reader.anyMapping(map.get('values'), [...path, 'values'], 'write {temperature: [20, 21, 22]}');
  if (everyMs === 0) return reader.wrong([...path, 'every'], 'no time between the messages', 'write 1ms or more');
  if (fromMs === null || everyMs === null || values === null) return null;
  const lists = new Map<string, unknown[]>();
  for (const [metric, value] of values) {
    const list = listOf(reader, value, [...path, 'values', metric]);
    if (list !== null) lists.set(metric, list);
  }
  const count = readCount(reader, map, path, { fromMs, everyMs, dateMs, lists });
  if (count === null) return null;
  return Array.from({ length: count }, (_, i) => {
    const said = [...values].map(([metric, value]) => [
      metric,
      lists.get(metric)?.[i] ?? (lists.has(metric) ? null : value),
    ]);
    return {
      tsMs: fromMs + i * everyMs,
      values: new Map(said.filter(([, value]) => value !== null) as [string, unknown][]),
    };
  });
}

function readCount(
  reader: YamlReader,
  map: Map<string, unknown>,
  path: Path,
  series: { fromMs: number; everyMs: number; dateMs: number; lists: Map<string, unknown[]> },
): number | null {
  const counts: { count: number; key: string[] }[] = [];
  for (const [metric, list] of series.lists) counts.push({ count: list.length, key: ['values', metric] });
  if (map.has('times')) {
    const times = reader.count(map.get('times'), [...path, 'times'], STEPS_MAX);
    if (times === null) return null;
    counts.push({ count: times, key: ['times'] });
  }
  if (map.has('to')) {
    const toMs = reader.time(map.get('to'), [...path, 'to'], series.dateMs);
    if (toMs === null) return null;
    if (toMs < series.fromMs) return reader.wrong([...path, 'to'], 'is before `from`', 'write a later time');
    counts.push({ count: Math.floor((toMs - series.fromMs) / series.everyMs) + 1, key: ['to'] });
  }
  if (counts.length === 0)
    return reader.wrong(path, 'does not say how long it is', 'add `times` or `to`, or a list of values');
  const [first, ...others] = counts;
  for (const { count, key } of others) {
    if (count === first.count) continue;
    const what = `gives ${count} messages, but \`${first.key.join('.')}\` gives ${first.count}`;
    return reader.wrong([...path, ...key], what, 'make them equally many; null in a list says nothing');
  }
  if (first.count <= STEPS_MAX) return first.count;
  return reader.wrong(path, `gives ${first.count} messages`, `a series has at most ${STEPS_MAX}`);
}

/** Null for one value that holds for all steps. */
function listOf(reader: YamlReader, value: unknown, path: Path): unknown[] | null {
  if (isGenerator(value)) return expand(reader, value, path);
  if (!Array.isArray(value)) return null;
  return value.flatMap((item, i) => (isGenerator(item) ? expand(reader, item, [...path, i]) : [item]));
}

function isGenerator(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' && value !== null && (Object.hasOwn(value, 'repeat') || Object.hasOwn(value, 'ramp'))
  );
}

function expand(reader: YamlReader, item: Record<string, unknown>, path: Path): unknown[] {
  if (Object.hasOwn(item, 'repeat')) {
    reader.mapping(item, path, ['repeat', 'times']);
    const times = reader.count(item.times, [...path, 'times'], STEPS_MAX) ?? 0;
    const once = Array.isArray(item.repeat) ? (listOf(reader, item.repeat, [...path, 'repeat']) ?? []) : [item.repeat];
    return once.length * times > STEPS_MAX ? [] : Array.from({ length: times }, () => once).flat();
  }
  reader.mapping(item, path, ['ramp', 'steps']);
  const steps = reader.count(item.steps, [...path, 'steps'], STEPS_MAX) ?? 0;
  const [from, to] = Array.isArray(item.ramp) && item.ramp.length === 2 ? item.ramp : [null, null];
  if (typeof from !== 'number' || typeof to !== 'number') {
    reader.wrong([...path, 'ramp'], 'is not two numbers', 'write {ramp: [20, 30], steps: 11}');
    return [];
  }
  if (steps === 1) return [from];
  // Twelve digits: 20.1 rather than the 20.100000000000001 that a sum of binary fractions gives.
  return Array.from({ length: steps }, (_, i) => Number((from + ((to - from) * i) / (steps - 1)).toPrecision(12)));
}

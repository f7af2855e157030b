import { pipelineOptionsOf } from '../../cli/pipeline-options.ts';
import { loadConfig } from '../../config/load.ts';
import type { AlarmRule } from '../../model/alarm.ts';
import type { PipelineOptions } from '../../processors/pipeline.ts';
import { Random } from './random.ts';

/**
 * What the engine can do besides tumbling windows and thresholds. A seed draws some of it. Names begin with `f-`, by which the checks
 * tell it from what the oracle knows. No window reaches back further than the minute in which redeliveries are told anyway.
 */
const YAML = `
version: 1
processors:
  clockSkewMaxMs: 10m
derived:
  - {name: f-mix, expression: 'metrics.t * 2 - metrics.h'}
  - {name: f-less, expression: 'metrics["f-mix"] - metrics.n', maxAgeMs: 5s}
windows:
  - {name: f-more, sizeMs: 2s, metrics: [t, h, f-mix], outOfOrderMs: 1s, allowedLatenessMs: 20s, everyMs: 500ms, aggregates: [stddev, p90, distinct]}
  - {name: f-hop, kind: hopping, sizeMs: 4s, hopMs: 1s, metrics: [t], outOfOrderMs: 500ms, allowedLatenessMs: 5s, aggregates: [time_avg, rate, delta]}
  - {name: f-slide, kind: sliding, sizeMs: 3s, metrics: [t, f-mix], outOfOrderMs: 1s, allowedLatenessMs: 10s, aggregates: [p50]}
  - {name: f-session, kind: session, gapMs: 900ms, sizeMaxMs: 8s, metrics: [t], outOfOrderMs: 200ms, allowedLatenessMs: 30s}
  - {name: f-ten, kind: count, count: 5, metrics: [t, n], outOfOrderMs: 1s, everyMs: 2s}
  - {name: f-state, kind: state, state: state, metrics: [t, h], outOfOrderMs: 1s}
  - {name: f-where, sizeMs: 5s, metrics: [t], where: value > 24, outOfOrderMs: 0s, allowedLatenessMs: 10s, aggregates: [{histogram: [20, 30]}]}
  - {name: f-site, sizeMs: 2s, by: site, metrics: [t], outOfOrderMs: 500ms, allowedLatenessMs: 20s, aggregates: [stddev]}
alarms:
  - {name: f-hot, metric: t, above: {device: t_max, default: 28}, clear: 22, levels: [{severity: critical, above: 33}], severity: minor, ackRequired: true}
  - {name: f-often, kind: repeat, metric: t, above: 27, clear: 24, times: 2, withinMs: 20s, chattering: {times: 2, withinMs: 10s}}
  - {name: f-steep, kind: rate, metric: t, above: 4, perMs: 1s, latch: acknowledge}
  - {name: f-odd, kind: deviation, metric: h, above: 1.2, samplesMin: 4, windowMs: 30s, group: {by: site, times: 1, withinMs: 5s}}
  - {name: f-silent, kind: silence, afterMs: 2s, outageMs: 5s, graceMs: 1s, escalate: {afterMs: 1s, severity: critical}}
  - {name: f-still, kind: silence, metric: h, factor: 2, afterMinMs: 1s, inhibitedBy: [f-silent, f-lost]}
  - {name: f-lost, kind: silence, by: site, afterMs: 1500ms, outageMs: 5s, graceMs: 500ms, severity: critical}
  - {name: f-crowd, metric: t, above: 29, clear: 24, group: {by: rule, times: 2, withinMs: 3s}, inhibitedBy: [f-lost]}
  - {name: f-warm, kind: expression, when: 'rollup["f-site"].t.max', above: 30, clear: 25}
  - {name: f-clock, kind: clock, aheadMs: 30s, forMs: 1s}
  - {name: f-mixed, kind: expression, when: 'metrics.t > 26.0 && device.site != ""', latch: reset, minIntervalMs: 500ms, forMs: 300ms}
  - {name: f-both, kind: combination, any: [f-hot, f-silent], forMs: 200ms}
`;

const ALL = pipelineOptionsOf(loadConfig({ text: YAML }));

/** A share of the seeds has features. Rules that others name come along with them. */
export function featuresOf(seed: number): Pick<PipelineOptions, 'windows' | 'rules' | 'derived'> | null {
  const r = new Random(seed, 'features');
  if (!r.chance(0.5)) return null;
  const few = r.chance(0.5) ? 0.3 : 0.8;
  const drawn = <Item>(items: readonly Item[]): Item[] => items.filter(() => r.chance(few));
  const windows = drawn(ALL.windows);
  const chosen = new Set(drawn(ALL.rules).flatMap((rule) => [rule.name, ...namedBy(rule)]));
  const isJudged = windows.some(isOfWindow);
  const rules = ALL.rules.filter(({ name }) => chosen.has(name) && (name !== 'f-warm' || isJudged));
  return { windows, rules, derived: r.chance(0.6) ? ALL.derived : [] };
}

/** What f-warm looks at. */
const isOfWindow = ({ name }: { name: string }): boolean => name === 'f-site';

function namedBy(rule: AlarmRule): readonly string[] {
  return [...(rule.kind === 'combination' ? rule.of : []), ...(rule.inhibitedBy ?? [])];
}

export const FEATURE_RULES: readonly string[] = ALL.rules.map(({ name }) => name);
const GROUP_WINDOWS = new Set(ALL.windows.filter(({ by }) => by.kind !== 'device').map(({ name }) => name));
/** Whether it is a rollup of a group's window, which no partition by itself gives. */
export const isOfGroup = ({ window }: { window?: unknown }): boolean => GROUP_WINDOWS.has(String(window));
export const isFeature = (name: unknown): boolean => String(name).startsWith('f-');

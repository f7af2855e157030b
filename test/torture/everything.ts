import { PARTITIONS } from './log-contents.ts';

/**
 * Settings with everything on: each kind of window with further aggregates, a filter, early results, a derived metric, windows of
 * groups, a tier, and rules of every kind with what becomes of their alarms. Times are short, so that all of it happens in a round.
 */
export const EVERYTHING_YAML = `
version: 1
log:
  partitions: ${PARTITIONS}
  tickMs: 500ms
processors:
  workers: 2
  idleMs: 2s
  clockSkewMaxMs: 600000ms
  checkpointMs: 400ms
derived:
  - {name: excess, expression: 'metrics.level - metrics.t', maxAgeMs: 5s}
  - {name: twice, expression: 'metrics.excess * 2'}
windows:
  - {name: 1s, sizeMs: 1s, outOfOrderMs: 500ms, allowedLatenessMs: 2s, aggregates: [stddev, p95, distinct, delta]}
  - {name: early, sizeMs: 10s, metrics: [t, level, excess], outOfOrderMs: 1s, allowedLatenessMs: 1h, everyMs: 1s}
  - {name: hop, kind: hopping, sizeMs: 4s, hopMs: 1s, metrics: [t, temperature], outOfOrderMs: 500ms, allowedLatenessMs: 5s,
     aggregates: [time_avg, rate, {histogram: [10, 20, 30]}]}
  - {name: slide, kind: sliding, sizeMs: 3s, metrics: [level], outOfOrderMs: 500ms, allowedLatenessMs: 2s, aggregates: [p50]}
  - {name: session, kind: session, gapMs: 800ms, metrics: [t], outOfOrderMs: 500ms, allowedLatenessMs: 1h}
  - {name: ten, kind: count, count: 10, metrics: [t, excess], outOfOrderMs: 500ms, aggregates: [stddev]}
  - {name: state, kind: state, state: state, metrics: [t], outOfOrderMs: 500ms}
  - {name: warm, sizeMs: 5s, metrics: [t], where: value > 20, outOfOrderMs: 500ms, allowedLatenessMs: 1h}
  - {name: site, sizeMs: 2s, by: site, metrics: [t, level], outOfOrderMs: 500ms, allowedLatenessMs: 1h, aggregates: [stddev, p90]}
  - {name: line, kind: hopping, sizeMs: 4s, hopMs: 2s, by: 'tag:line', metrics: [t], outOfOrderMs: 500ms, allowedLatenessMs: 1h}
tiers:
  - {name: 1m, from: 1s, sizeMs: 1m}
alarms:
  - {name: hot, metric: t, above: {device: t_max, default: 30}, clear: 26, levels: [{severity: critical, above: 34}], forMs: 300ms,
     severity: major, ackRequired: true}
  - {name: low, metric: level, below: 10, chattering: {times: 3, withinMs: 5s}}
  - {name: warm, metric: temperature, above: 40, clear: 35, group: {by: rule, times: 3, withinMs: 2s}}
  - {name: steep, kind: rate, metric: t, above: 8, perMs: 1s, latch: acknowledge, clearForMs: 700ms}
  - {name: often, kind: repeat, metric: level, above: 80, clear: 60, times: 2, withinMs: 10s}
  - {name: odd, kind: deviation, metric: t, method: mad, above: 2, samplesMin: 6, windowMs: 1m}
  - {name: silent, kind: silence, afterMs: 3s, graceMs: 1s, escalate: {afterMs: 2s, severity: critical}}
  - {name: still, kind: silence, metric: level, afterMs: 1s, inhibitedBy: [silent, lost]}
  - {name: lost, kind: silence, by: site, afterMs: 2s, graceMs: 1s, severity: critical}
  - {name: line-lost, kind: silence, by: 'tag:line', afterMs: 2s, graceMs: 1s}
  - {name: crowd, metric: level, above: 70, clear: 65, group: {by: site, times: 2, withinMs: 3s}}
  - {name: clock, kind: clock, aheadMs: 1h}
  - {name: dear, kind: expression, when: 'metrics.excess > 40.0 && device.site != ""', latch: reset, minIntervalMs: 500ms}
  - {name: full, kind: expression, when: 'rollup["1s"].level.max', above: 90, clear: 70}
  - {name: loud, kind: expression, when: 'rollup["site"].level.max', above: 80, clear: 60, forMs: 2s}
  - {name: both, kind: combination, all: [hot, often], forMs: 200ms}
`;

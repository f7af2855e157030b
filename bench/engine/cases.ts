import type { EngineCase } from './case.ts';
import { METRICS } from './load.ts';

const TUMBLING = { name: '1m', sizeMs: '1m' };
const FIVE = [
  TUMBLING,
  { name: '10s', sizeMs: '10s' },
  { name: '5m', sizeMs: '5m' },
  { name: '1h', sizeMs: '1h' },
  { name: '1d', sizeMs: '1d' },
];

/** `count` threshold rules, spread over the metrics, that never fire. */
const rules = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    name: `rule-${i}`,
    metric: METRICS[i % METRICS.length],
    above: 5000 + i,
  }));

/** All rules watch one metric, so that each reading of it goes before every one. */
const rulesOfOne = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ name: `rule-${i}`, metric: 'temperature', above: 5000 + i }));

const fleet = { devices: 0, periodMs: 1000, warmUpMessages: 200_000, messages: 600_000 };

function sized(series: number): Pick<EngineCase, 'devices' | 'periodMs' | 'warmUpMessages' | 'messages'> {
  const devices = Math.round(series / METRICS.length);
  return {
    ...fleet,
    devices,
    warmUpMessages: Math.max(200_000, devices * 2),
    messages: Math.max(600_000, devices * 2),
  };
}

/** The matrix: what grows in each group is one thing. */
export const ENGINE_CASES: readonly EngineCase[] = [
  { name: 'no window, no rule', windows: [], alarms: [], ...sized(3000) },
  { name: '1 window, no rule', windows: [TUMBLING], alarms: [], ...sized(3000) },
  { name: '1 window, 1 rule', windows: [TUMBLING], alarms: rules(1), ...sized(3000) },
  { name: '1 window, 10 rules', windows: [TUMBLING], alarms: rules(10), ...sized(3000) },
  { name: '1 window, 100 rules', windows: [TUMBLING], alarms: rules(100), ...sized(3000) },
  { name: '1 window, 100 rules of one metric', windows: [TUMBLING], alarms: rulesOfOne(100), ...sized(3000) },
  { name: '5 windows, no rule', windows: FIVE, alarms: [], ...sized(3000) },
  { name: '5 windows, 10 rules', windows: FIVE, alarms: rules(10), ...sized(3000) },
  ...[1_000, 10_000, 100_000, 1_000_000].map((series) => ({
    name: `1 window, 10 rules, ${series.toLocaleString('en')} series`,
    windows: [TUMBLING],
    alarms: rules(10),
    ...sized(series),
  })),
  {
    name: 'hopping 1m by 10s',
    windows: [{ name: 'hop', kind: 'hopping', sizeMs: '1m', hopMs: '10s' }],
    alarms: [],
    ...sized(3000),
  },
  {
    name: 'session, gap 30s',
    windows: [{ name: 'session', kind: 'session', gapMs: '30s' }],
    alarms: [],
    ...sized(3000),
  },
  { name: 'count of 100', windows: [{ name: 'count', kind: 'count', count: 100 }], alarms: [], ...sized(3000) },
  ...['10s', '1m', '10m'].map((sizeMs) => ({
    name: `sliding ${sizeMs}`,
    windows: [{ name: 'sliding', kind: 'sliding', sizeMs }],
    alarms: [],
    ...sized(3000),
  })),
  ...['stddev', 'rate', 'time_avg', 'p99', 'distinct'].map((aggregate) => ({
    name: `1 window with ${aggregate}`,
    windows: [{ ...TUMBLING, aggregates: [aggregate] }],
    alarms: [],
    ...sized(3000),
  })),
];

import type { ThresholdRule } from '../../model/alarm.ts';
import { type TumblingWindow, WINDOW_DEFAULTS } from '../../model/window.ts';
import { DECODE_LIMITS } from '../../processors/decode/decoder.ts';
import type { Plan } from './faults.ts';

/** Windows and rules of the simulation: overlapping ones, with and without lateness, hysteresis and duration. */
export const WINDOWS: readonly TumblingWindow[] = [
  {
    ...WINDOW_DEFAULTS,
    kind: 'tumbling',
    name: '5s',
    sizeMs: 5000,
    metrics: [],
    outOfOrderMs: 1000,
    allowedLatenessMs: 10_000,
  },
  {
    ...WINDOW_DEFAULTS,
    kind: 'tumbling',
    name: '20s',
    sizeMs: 20_000,
    metrics: ['t'],
    outOfOrderMs: 0,
    allowedLatenessMs: 0,
  },
];

const threshold = (over: Partial<ThresholdRule> & Pick<ThresholdRule, 'name'>): ThresholdRule => ({
  kind: 'threshold',
  metric: 't',
  devices: [],
  above: null,
  below: null,
  clear: 0,
  forMs: 0,
  severity: 'major',
  message: '{device} {metric}: {value}, threshold {threshold}',
  ...over,
});

export const RULES: readonly ThresholdRule[] = [
  threshold({ name: 'hot', above: 30, clear: 25 }),
  threshold({ name: 'long', above: 26, clear: 24, forMs: 1500 }),
  threshold({ name: 'dry', metric: 'h', devices: ['d*'], below: 40, clear: 60, forMs: 500 }),
];

/** What the pipelines of a plan are given. */
export function pipelineOf({ clockSkewMaxMs, idleMs, features }: Plan) {
  const ledger = { ledgerMs: 5000, seq: 'n' };
  const windows = [...WINDOWS, ...(features?.windows ?? [])];
  const rules = [...RULES, ...(features?.rules ?? [])];
  const derived = features?.derived ?? [];
  return { payload: [], windows, rules, derived, limits: DECODE_LIMITS, clockSkewMaxMs, idleMs, ...ledger };
}

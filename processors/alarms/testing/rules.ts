import type { AlarmRule, RuleKind } from '../../../model/alarm.ts';

const BASE = { devices: [], forMs: 0, severity: 'major', message: '{device} {value}' } as const;

/** What a rule of each kind says where a test says nothing else. */
const DEFAULTS = {
  threshold: { metric: 't', above: 30, below: null, clear: 25 },
  rate: { metric: 't', above: 5, below: null, clear: 5, perMs: 1000, windowMs: 0 },
  repeat: { metric: 't', above: 30, below: null, clear: 25, times: 3, withinMs: 60_000, counting: 'crossings' },
  deviation: {
    ...{ metric: 't', above: 3, below: null, clear: 2, method: 'zscore', direction: 'both' },
    ...{ windowMs: 60_000, samplesMin: 5, spreadMin: 0.1 },
  },
  silence: { afterMs: null, factor: 3, afterMinMs: 10_000, metric: '', by: null, outageMs: 15_000, graceMs: 0 },
  clock: { aheadMs: 30_000, behindMs: 30_000 },
  expression: { when: 'metrics.t > 30', clearWhen: '', above: null, below: null, clear: 0 },
  combination: { of: ['a', 'b'], atLeast: 2 },
} as const satisfies Record<RuleKind, object>;

export function ruleOf<Kind extends RuleKind>(
  kind: Kind,
  over: Partial<Extract<AlarmRule, { kind: Kind }>> = {},
): Extract<AlarmRule, { kind: Kind }> {
  return { name: kind, ...BASE, kind, ...DEFAULTS[kind], ...over } as unknown as Extract<AlarmRule, { kind: Kind }>;
}

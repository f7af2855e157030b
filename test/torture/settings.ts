import type { ThresholdRule } from '../../model/alarm.ts';
import { type TumblingWindow, WINDOW_DEFAULTS } from '../../model/window.ts';
import { EVERYTHING_YAML } from './everything.ts';
import { PARTITIONS } from './log-contents.ts';
import type { OracleSettings } from './oracle.ts';

/**
 * How the program under torture is set up.
 * - exact: late readings are dropped from windows, and no device ever falls idle; every column of the rollups is compared.
 * - idle: silent devices have their windows closed within a second or two, and corrections come for an hour; so it depends on
 *   when a disturbance came which revision a rollup has, and everything but that number is compared.
 * - everything: all that the engine can do is on (everything.ts), operators are at work, and all is compared with a replay of the log
 *   from its first frame, revisions included.
 */
export type Mode = 'exact' | 'idle' | 'everything';

const rule = (name: string, metric: string, above: number | null, below: number | null): ThresholdRule => ({
  kind: 'threshold',
  name,
  metric,
  devices: [],
  above,
  below,
  clear: (above ?? below) as number,
  forMs: 0,
  severity: 'major',
  message: '{device} {value}',
});

const RULES: readonly ThresholdRule[] = [
  { ...rule('hot', 't', 30, null), clear: 26, forMs: 1000 },
  rule('low', 'level', null, 10),
  { ...rule('warm', 'temperature', 40, null), clear: 35 },
];

const SKEW_MS = 600_000;

export function settingsOf(mode: Mode): OracleSettings & { yaml: string } {
  if (mode === 'everything') return { windows: [], rules: [], clockSkewMaxMs: SKEW_MS, yaml: EVERYTHING_YAML };
  const lateness = mode === 'idle' ? [3_600_000, 3_600_000] : [2_000, 5_000];
  const window = (name: string, sizeMs: number, outOfOrderMs: number, allowedLatenessMs: number): TumblingWindow => {
    return { ...WINDOW_DEFAULTS, kind: 'tumbling', name, sizeMs, metrics: [], outOfOrderMs, allowedLatenessMs };
  };
  const windows = [window('1s', 1_000, 500, lateness[0]), window('10s', 10_000, 1_000, lateness[1])];
  const yaml = `
version: 1
log:
  partitions: ${PARTITIONS}
  tickMs: 500ms
processors:
  workers: 2
  idleMs: ${mode === 'idle' ? '1s' : '2h'}
  clockSkewMaxMs: ${SKEW_MS}ms
  checkpointMs: 400ms
windows:
${windows.map((w) => `  - {name: ${w.name}, sizeMs: ${w.sizeMs}ms, outOfOrderMs: ${w.outOfOrderMs}ms, allowedLatenessMs: ${w.allowedLatenessMs}ms}`).join('\n')}
alarms:
${RULES.map((r) => `  - {name: ${r.name}, metric: ${r.metric}, ${r.above === null ? `below: ${r.below}` : `above: ${r.above}`}, clear: ${r.clear}, forMs: ${r.forMs}ms, severity: ${r.severity}, message: '${r.message}'}`).join('\n')}
`;
  return { windows, rules: RULES, clockSkewMaxMs: SKEW_MS, yaml };
}

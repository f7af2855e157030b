import type { Config } from '../../config/schema.ts';
import { OfflineEngine, type OfflineFrame } from '../../processors/offline/offline-engine.ts';
import type { PipelineOptions } from '../../processors/pipeline.ts';
import { pipelineOptionsOf } from '../pipeline-options.ts';
import { AlarmHistory } from './alarm-history.ts';
import { type Difference, difference } from './difference.ts';
import type { Passed } from './log-source.ts';

export interface Backtest {
  candidateName: string;
  deployedName: string;
  span: { fromMs: number; toMs: number; warmUpMs: number };
  input: { source: 'log' | 'store'; messages: number; readings: number; fromMs: number | null; toMs: number | null };
  difference: Difference;
  seconds: number;
  notes: string[];
}

export interface BacktestParts {
  deployed: Config;
  candidate: Config;
  span: { fromMs: number; toMs: number };
  frames: AsyncIterable<OfflineFrame>;
  passed: Passed;
  /** How payloads are to be read, where they are not the devices' own. */
  payload?: PipelineOptions['payload'];
  /** Stands for what the deployed rules did; they are run over the input where it is null. */
  recorded: AlarmHistory | null;
  signal?: AbortSignal;
}

/** Both sets of rules over one pass of the input, each in an engine of its own. */
export async function runBacktest(parts: BacktestParts): Promise<{
  difference: Difference;
  messages: number;
  readings: number;
  seconds: number;
}> {
  const { deployed, candidate, span, recorded } = parts;
  const before = performance.now();
  const payload = parts.payload === undefined ? {} : { payload: parts.payload };
  const engineOf = (config: Config, history: AlarmHistory): OfflineEngine =>
    new OfflineEngine(
      { ...pipelineOptionsOf(config), ...payload },
      { onAlarmEvent: history.event },
      deployed.log.partitions,
    );
  const after = new AlarmHistory(span);
  const was = recorded ?? new AlarmHistory(span);
  const engines = [engineOf(candidate, after), ...(recorded === null ? [engineOf(deployed, was)] : [])];
  for await (const frame of parts.frames) {
    for (const engine of engines) engine.process(frame);
    if (parts.signal?.aborted) break;
  }
  for (const engine of engines) engine.flush();
  const namesOf = (config: Config): string[] => config.alarms.map(({ name }) => name);
  const { counts } = engines[0];
  return {
    difference: difference(
      { history: was, rules: namesOf(deployed) },
      { history: after, rules: namesOf(candidate) },
      span,
    ),
    messages: counts.messagesProcessed,
    readings: counts.readingsDecoded,
    seconds: (performance.now() - before) / 1000,
  };
}

const HOUR_MS = 3_600_000;
const WARM_UP_MS_MAX = 7 * 24 * HOUR_MS;

/**
 * How long before the span the rules must run so that their states are those that they would have: twice the longest time that a window or
 * a rule speaks of, an hour at least, and a week at most.
 */
export function warmUpOf(configs: readonly Config[]): number {
  const longest = Math.max(...configs.map(({ windows, alarms }) => longestMs([windows, alarms])));
  return Math.min(WARM_UP_MS_MAX, Math.max(HOUR_MS, 2 * longest));
}

function longestMs(value: unknown, name = ''): number {
  if (typeof value === 'number') return name.endsWith('Ms') && Number.isFinite(value) ? value : 0;
  if (value === null || typeof value !== 'object') return 0;
  return Math.max(0, ...Object.entries(value).map(([key, child]) => longestMs(child, key)));
}

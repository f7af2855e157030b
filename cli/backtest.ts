import type { Log } from '../log/log.ts';
import { SluiceError } from '../model/errors.ts';
import { matcher } from '../model/pattern.ts';
import type { Store } from '../store/store.ts';
import { AlarmHistory } from './backtest/alarm-history.ts';
import { type Backtest, runBacktest, warmUpOf } from './backtest/backtest.ts';
import { candidateOf } from './backtest/candidate.ts';
import { logFrames, type Passed } from './backtest/log-source.ts';
import { printBacktest } from './backtest/print.ts';
import { recordedAlarms } from './backtest/recorded.ts';
import { storeFrames } from './backtest/store-source.ts';
import { openLog, openStoreClient } from './engines.ts';
import { createLogger } from './logger.ts';
import { loadSettings, type StartOptions } from './settings.ts';
import { durationOf, timeOf } from './time-argument.ts';

export interface BacktestCommand extends StartOptions {
  rules: string;
  from?: string;
  to?: string;
  device?: string[];
  source: 'log' | 'store';
  against: 'rules' | 'table';
  warmUp?: string;
  changes?: boolean;
  json?: boolean;
}

const DAY_MS = 86_400_000;

/** `sluice backtest --rules FILE`: what other rules would have done over the past. Reads only; works while all runs. */
export async function backtest(options: BacktestCommand): Promise<void> {
  const { config, configFile } = loadSettings(options);
  const candidate = candidateOf(options.rules, config, configFile);
  const logger = createLogger({ role: 'backtest', level: 'warn', format: config.logging.format });
  const toMs = options.to === undefined ? Date.now() : timeOf(options.to);
  const fromMs = options.from === undefined ? toMs - 7 * DAY_MS : timeOf(options.from);
  if (!(fromMs < toMs)) {
    throw new SluiceError('INPUT_INVALID', 'the span to test over is empty', { remedy: 'give --from before --to' });
  }
  const span = { fromMs, toMs };
  const warmUpMs = options.warmUp === undefined ? warmUpOf([config, candidate]) : durationOf(options.warmUp);
  const devices = options.device ?? [];
  const past = { fromMs: fromMs - warmUpMs, toMs, wanted: devices.length === 0 ? null : matcher(devices) };
  const passed: Passed = { fromMs: null, toMs: null, frames: 0, bytes: 0 };
  const { source } = options;
  let log: Log | null = null;
  let store: Store | null = null;
  try {
    if (source === 'log') log = await openLog('reader', config, logger);
    if (source === 'store' || options.against === 'table') store = await openStoreClient(config, 'read', logger);
    const { partitions, tickMs } = config.log;
    const frames =
      log === null
        ? storeFrames(store as Store, { ...past, devices, partitions, tickMs }, passed)
        : logFrames(log, past, passed);
    const recorded = options.against === 'table' ? new AlarmHistory(span) : null;
    if (recorded !== null) await recordedAlarms(store as Store, span, past.wanted, recorded);
    const run = await runBacktest({
      deployed: config,
      candidate,
      span,
      frames,
      passed,
      ...(source === 'store' ? { payload: [] } : {}),
      recorded,
    });
    const result: Backtest = {
      candidateName: options.rules,
      deployedName: recorded === null ? (configFile ?? 'the default settings') : 'the table alarms',
      span: { ...span, warmUpMs },
      input: { source, messages: run.messages, readings: run.readings, fromMs: passed.fromMs, toMs: passed.toMs },
      difference: run.difference,
      seconds: run.seconds,
      notes: notesOf(passed, { ...span, warmUpMs }, source),
    };
    console.log(options.json ? JSON.stringify(result) : printBacktest(result, { changes: options.changes === true }));
    if (run.messages === 0) process.exitCode = 2;
  } finally {
    await log?.close();
    await store?.close();
  }
}

function notesOf(passed: Passed, span: Backtest['span'], source: 'log' | 'store'): string[] {
  const time = (ms: number): string => new Date(ms).toISOString();
  const where = source === 'log' ? 'the log (log.retention)' : 'the table readings (store.readingsTtlMs)';
  if (passed.fromMs === null) return [`there is nothing of this time in ${where}`];
  const notes: string[] = [];
  if (passed.fromMs > span.fromMs + 3_600_000) {
    notes.push(
      `what ${where} holds begins at ${time(passed.fromMs)}, inside the span; both sets of rules saw the same`,
    );
  } else if (passed.fromMs > span.fromMs - span.warmUpMs / 2) {
    notes.push(
      `of the warm-up before --from only a part is held; alarms that began before it may be missing on both sides`,
    );
  }
  if (source === 'store') {
    notes.push(
      'from the store: readings without what it does not keep (redeliveries, refused messages, order within a message)',
    );
  }
  return notes;
}

import { printTrace, trace } from './audit/trace.ts';
import { openLog, openStoreClient } from './engines.ts';
import { createLogger } from './logger.ts';
import { loadSettings, type StartOptions } from './settings.ts';
import { timeOf } from './time-argument.ts';

export interface TraceCommand extends StartOptions {
  metric?: string;
  json?: boolean;
}

/** `sluice trace DEVICE TS`: the way of one reading. Exit code 2 when nothing with that device and time is stored. */
export async function traceReading(device: string, ts: string, options: TraceCommand): Promise<void> {
  const tsMs = timeOf(ts);
  const { config } = loadSettings(options);
  const logger = createLogger({ role: 'trace', level: 'warn', format: config.logging.format });
  const store = await openStoreClient(config, 'read', logger);
  const log = await openLog('reader', config, logger).catch(() => null);
  try {
    const found = await trace(store, log, { device, tsMs, metric: options.metric ?? '' });
    console.log(options.json ? JSON.stringify(found) : printTrace(found));
    if (found.messages.length === 0) process.exitCode = 2;
  } finally {
    await log?.close();
    await store.close();
  }
}

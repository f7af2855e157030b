import type { Log } from '../log/log.ts';
import { SluiceError } from '../model/errors.ts';
import { MINUTE_MS } from '../model/ledger.ts';
import { type Audit, audit } from './audit/balance.ts';
import { printAudit } from './audit/print.ts';
import { Decoding } from './audit/way.ts';
import { openLog, openStoreClient } from './engines.ts';
import { createLogger } from './logger.ts';
import { loadSettings, type StartOptions } from './settings.ts';
import { timeOf } from './time-argument.ts';

export interface AuditCommand extends StartOptions {
  from?: string;
  to?: string;
  device?: string;
  readLog?: boolean;
  json?: boolean;
}

/** Exit code of an audit that does not balance; 1 is an audit that could not be made. */
const NOT_BALANCED = 2;
const DAY_MS = 86_400_000;

/** `sluice audit`: balances the ledger of the last 24 hours, or of what is asked for. Reads only; works while all runs. */
export async function auditLedger(options: AuditCommand): Promise<void> {
  const { config } = loadSettings(options);
  const logger = createLogger({ role: 'audit', level: 'warn', format: config.logging.format });
  const nowMs = Date.now();
  const toMs = options.to === undefined ? nowMs + MINUTE_MS : timeOf(options.to);
  let fromMs = options.from === undefined ? toMs - DAY_MS : timeOf(options.from);
  const { readingsTtlMs } = config.store;
  // Of days that retention is taking away the tables hold a part.
  if (readingsTtlMs !== null) fromMs = Math.max(fromMs, nowMs - readingsTtlMs + DAY_MS);
  if (!(fromMs < toMs)) {
    throw new SluiceError('INPUT_INVALID', 'the span to audit is empty', { remedy: 'give --from before --to' });
  }
  const span = {
    fromMs: Math.floor(fromMs / MINUTE_MS) * MINUTE_MS,
    toMs: Math.ceil(toMs / MINUTE_MS) * MINUTE_MS,
    device: options.device ?? '',
  };
  const store = await openStoreClient(config, 'read', logger);
  let log: Log | null = null;
  try {
    log = await openLog('reader', config, logger).catch((error: Error) => {
      logger.warn('the log cannot be read; the audit goes by the counts alone', { error: error.message });
      return null;
    });
    const decoding = new Decoding(config.devices.payload, config.processors.limits);
    const result: Audit = await audit({ store, log, decoding, span, readLog: options.readLog === true });
    console.log(options.json ? JSON.stringify(result) : printAudit(result));
    if (!result.balanced) process.exitCode = NOT_BALANCED;
  } finally {
    await log?.close();
    await store.close();
  }
}

import { systemClock } from '../../model/clock.ts';
import type { Logger } from '../../model/logger.ts';
import { STATS } from '../../model/topics.ts';
import { startProcessor } from '../../processors/processor.ts';
import { GROUP, instanceOf, openCheckpoints, openLog, openStoreClient } from '../engines.ts';
import type { Running } from '../lifecycle.ts';
import type { Settings } from '../settings.ts';
import { startStatsWriter } from '../stats-writer.ts';

/** The processor: frames of the log become readings, rollups and alarms in the store. It owns the tables, so it migrates them. */
export async function openProcessorRole(settings: Settings, logger: Logger): Promise<Running> {
  const { config } = settings;
  const log = await openLog('processor', config, logger);
  const checkpoints = await openCheckpoints('processor', config, logger);
  const store = await openStoreClient(config, 'write', logger);
  await store.migrate();
  const { processors: options } = config;
  const processor = await startProcessor({
    log,
    checkpoints,
    store,
    group: GROUP,
    workers: options.workers,
    workerFile: new URL('../../processors/worker.js', import.meta.url),
    payload: config.devices.payload,
    windows: config.windows,
    rules: config.alarms,
    limits: options.limits,
    checkpointMs: options.checkpointMs,
    batchBytesMax: options.batchBytesMax,
    clockSkewMaxMs: options.clockSkewMaxMs,
    idleMs: options.idleMs,
    clock: systemClock,
    logger,
  });
  const startedMs = systemClock.nowMs();
  const stats = startStatsWriter({
    log,
    topic: STATS.processor,
    read: () => ({
      role: 'processor',
      instance: instanceOf('processor'),
      startedMs,
      atMs: systemClock.nowMs(),
      ...processor.stats(),
    }),
    clock: systemClock,
    logger,
  });
  return {
    failed: processor.failed,
    async close() {
      await processor.close();
      await stats.close();
      await checkpoints.close();
      await store.close();
      await log.close();
    },
  };
}

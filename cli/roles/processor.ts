import type { Config } from '../../config/schema.ts';
import type { Checkpoints } from '../../log/checkpoints.ts';
import type { Log } from '../../log/log.ts';
import { systemClock } from '../../model/clock.ts';
import type { Logger } from '../../model/logger.ts';
import { judgedGroups } from '../../model/rule-facts.ts';
import type { ProcessorStats } from '../../model/stats.ts';
import { ALARMS, STATS } from '../../model/topics.ts';
import { type Merger, startMerger } from '../../processors/groups/merger.ts';
import { startProcessor } from '../../processors/processor.ts';
import type { Store } from '../../store/store.ts';
import { startTierKeeper } from '../../store/tier-keeper.ts';
import { GROUP, hasGroups, MERGE_GROUP, openCheckpoints, openLog, openStoreClient } from '../engines.ts';
import type { Running } from '../lifecycle.ts';
import { MeasuredCheckpoints } from '../measure/checkpoints.ts';
import { Change } from '../measure/lasting.ts';
import { MeasuredLog } from '../measure/log.ts';
import { MeasuredStore } from '../measure/store.ts';
import { pipelineOptionsOf } from '../pipeline-options.ts';
import { startRecorder } from '../role-recorder.ts';
import { onKafka, type Settings } from '../settings.ts';
import { startStatsWriter } from '../stats-writer.ts';

/** Over how long the lag is said to grow or shrink, and a worker's restart is remembered. */
const LAG_SPAN_MS = 30_000;
const RESTARTS_SPAN_MS = 600_000;

/** The processor: frames of the log become readings, rollups and alarms in the store. It owns the tables, so it migrates them. */
export async function openProcessorRole(settings: Settings, logger: Logger): Promise<Running> {
  const { config } = settings;
  const opened = await openLog('processor', config, logger);
  const bytesMax = onKafka(config) ? null : config.log.mapBytesMax;
  const measuredLog = new MeasuredLog(opened, ALARMS, bytesMax, systemClock);
  const { log } = measuredLog;
  const measuredCheckpoints = new MeasuredCheckpoints(await openCheckpoints('processor', config, logger), systemClock);
  const { checkpoints } = measuredCheckpoints;
  const client = await openStoreClient(config, 'write', logger, () => {
    measuredStore.insertRetries++;
  });
  const measuredStore = new MeasuredStore(client, systemClock);
  const { store } = measuredStore;
  await store.migrate();
  const { processors: options } = config;
  const processor = await startProcessor({
    log,
    checkpoints,
    store,
    group: GROUP,
    workers: options.workers,
    workerFile: new URL('../../processors/worker.js', import.meta.url),
    ...pipelineOptionsOf(config),
    checkpointMs: options.checkpointMs,
    batchBytesMax: options.batchBytesMax,
    clock: systemClock,
    logger,
    tuning: { insertIntervalMs: options.insertMs },
  });
  const merging = hasGroups(config) ? await openMerger(config, { log, store }, logger) : null;
  const tiers = startTierKeeper({ store, tiers: config.tiers, clock: systemClock, logger });
  const lag = new Change(LAG_SPAN_MS);
  const restarts = new Change(RESTARTS_SPAN_MS);
  const recorder = startRecorder<ProcessorStats>({
    role: 'processor',
    dataDir: config.dataDir,
    clock: systemClock,
    log: measuredLog,
    read: (nowMs) => {
      const counters = processor.stats();
      return {
        ...counters,
        lagChangeMs: lag.look(counters.lagMs, nowMs),
        workersRestartedLately: restarts.look(counters.workersRestarted, nowMs),
        store: measuredStore.stats(),
        checkpoints: measuredCheckpoints.stats(counters.partitions),
        tiers: tiers.stats(),
        log: measuredLog.stats(),
      };
    },
  });
  const stats = startStatsWriter({
    log,
    topic: STATS.processor,
    read: () => recorder.latest(),
    clock: systemClock,
    logger,
  });
  return {
    failed: merging === null ? processor.failed : Promise.race([processor.failed, merging.merger.failed]),
    observed: recorder.observed,
    async close() {
      await tiers.close();
      await processor.close();
      await merging?.merger.close();
      await merging?.checkpoints.close();
      await stats.close();
      recorder.close();
      await checkpoints.close();
      await store.close();
      await log.close();
    },
  };
}

/** Merges the windows of groups, with checkpoints of its own. */
async function openMerger(
  config: Config,
  parts: { log: Log; store: Store },
  logger: Logger,
): Promise<{ merger: Merger; checkpoints: Checkpoints }> {
  const { checkpointMs, batchBytesMax } = config.processors;
  const checkpoints = await openCheckpoints('processor', config, logger, MERGE_GROUP);
  const merger = await startMerger({
    ...parts,
    checkpoints,
    windows: config.windows,
    judged: judgedGroups(config.alarms, config.windows),
    group: MERGE_GROUP,
    checkpointMs,
    batchBytesMax,
    clock: systemClock,
    logger,
  });
  return { merger, checkpoints };
}

import { systemClock } from '../../model/clock.ts';
import type { Logger } from '../../model/logger.ts';
import type { StoreStats } from '../../model/stats.ts';
import { STATS } from '../../model/topics.ts';
import { startEmbeddedStore } from '../../store/embedded/server.ts';
import { openLog, storeDir } from '../engines.ts';
import type { Running } from '../lifecycle.ts';
import { startRecorder } from '../role-recorder.ts';
import type { Settings } from '../settings.ts';
import { startStatsWriter } from '../stats-writer.ts';

/** The embedded store: chDB behind ClickHouse's HTTP interface. */
export async function openStoreRole(settings: Settings, logger: Logger): Promise<Running> {
  const { store: options } = settings.config;
  const store = await startEmbeddedStore({
    dir: storeDir(settings.config),
    http: options.listen,
    readOnly: options.readOnly,
    memoryBytesMax: options.memoryBytesMax,
    // libuv's own variable and default; `sluice start` sets it for this role.
    poolThreads: Number(process.env.UV_THREADPOOL_SIZE ?? 4),
    logger,
  });
  const log = await openLog('store', settings.config, logger);
  const recorder = startRecorder<StoreStats>({
    role: 'store',
    dataDir: settings.config.dataDir,
    clock: systemClock,
    read: () => store.stats(),
  });
  const stats = startStatsWriter({
    log,
    topic: STATS.store,
    read: () => recorder.latest(),
    clock: systemClock,
    logger,
  });
  return {
    // The supervisor starts it again, which puts the part aside.
    failed: store.corrupt,
    observed: recorder.observed,
    async close() {
      await stats.close();
      recorder.close();
      await log.close();
      await store.close();
    },
  };
}

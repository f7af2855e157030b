import { systemClock } from '../../model/clock.ts';
import type { Logger } from '../../model/logger.ts';
import { STATS } from '../../model/topics.ts';
import { startEmbeddedStore } from '../../store/embedded/server.ts';
import { instanceOf, openLog, storeDir } from '../engines.ts';
import type { Running } from '../lifecycle.ts';
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
  const startedMs = systemClock.nowMs();
  const stats = startStatsWriter({
    log,
    topic: STATS.store,
    read: () => ({
      role: 'store',
      instance: instanceOf('store'),
      startedMs,
      atMs: systemClock.nowMs(),
      ...store.stats(),
    }),
    clock: systemClock,
    logger,
  });
  return {
    failed: new Promise(() => {}),
    async close() {
      await stats.close();
      await log.close();
      await store.close();
    },
  };
}

import { fileURLToPath } from 'node:url';
import { formatAddress } from '../../config/address.ts';
import { startGateway } from '../../gateway/gateway.ts';
import { systemClock } from '../../model/clock.ts';
import type { Logger } from '../../model/logger.ts';
import { chartSourcesOf } from '../chart-sources.ts';
import { supervisionFromParent } from '../child.ts';
import { watchDeclaredDevices } from '../declared-devices.ts';
import { openLog, openStoreClient } from '../engines.ts';
import type { Running } from '../lifecycle.ts';
import { VitalSigns } from '../measure/vitals.ts';
import { onKafka, type Settings } from '../settings.ts';
import { VERSION } from '../version.ts';

/** The gateway: the HTTP API and the page. It reads the log's stats and alarm events, and asks the store. */
export async function openGatewayRole(settings: Settings, logger: Logger): Promise<Running> {
  const { config } = settings;
  const log = await openLog('gateway', config, logger);
  const store = await openStoreClient(config, 'read', logger);
  const signs = new VitalSigns({ dir: config.dataDir });
  const vitals = onceASecond(() => signs.read());
  const gateway = await startGateway({
    vitals,
    supervision: supervisionFromParent(),
    sources: chartSourcesOf(config),
    log,
    store,
    http: config.gateway.listen,
    commands: config.gateway.commands,
    userHeader: config.gateway.userHeader,
    pageDir: fileURLToPath(new URL('../../dashboards/page/', import.meta.url)),
    clock: systemClock,
    logger,
    info: {
      version: VERSION,
      mqtt: config.mqtt.listen === null ? 'over TLS or WebSocket only' : formatAddress(config.mqtt.listen),
      clickhouse: settings.storeUrl,
      versions: {
        node: process.versions.node,
        log: onKafka(config) ? 'Kafka' : 'LMDB (embedded)',
        store: config.store.url === null ? 'chDB (embedded)' : 'ClickHouse server',
      },
    },
  });
  const declared = watchDeclaredDevices(config, (devices) => gateway.declareDevices(devices), systemClock, logger);
  return {
    failed: new Promise(() => {}),
    observed: {
      // Others that are down are not this process's illness; who probes it would restart it in vain.
      findings: async () => {
        const own = (await gateway.health()).roles.filter((role) => role.role === 'gateway');
        return { down: [], degraded: own.flatMap((role) => role.reasons) };
      },
      notReady: async () => [],
      metrics: () => gateway.ownMetrics(),
    },
    async close() {
      declared.cancel();
      await gateway.close();
      signs.close();
      await store.close();
      await log.close();
    },
  };
}

/** However often it is asked: a look takes the longest delay since the look before. */
function onceASecond<T>(read: () => T): () => T {
  let value = read();
  let atMs = systemClock.nowMs();
  return () => {
    if (systemClock.nowMs() - atMs >= 1000) {
      value = read();
      atMs = systemClock.nowMs();
    }
    return value;
  };
}

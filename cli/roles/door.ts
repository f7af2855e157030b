import { readFileSync } from 'node:fs';
import { openDoor } from '../../ingest/door.ts';
import { systemClock } from '../../model/clock.ts';
import type { Logger } from '../../model/logger.ts';
import { STATS } from '../../model/topics.ts';
import { instanceOf, openLog } from '../engines.ts';
import type { Running } from '../lifecycle.ts';
import type { Settings } from '../settings.ts';
import { startStatsWriter } from '../stats-writer.ts';

/** The door: MQTT in, appends to the log, alarm events out. */
export async function openDoorRole(settings: Settings, logger: Logger): Promise<Running> {
  const { mqtt, access, log: batch } = settings.config;
  const log = await openLog('door', settings.config, logger);
  const { certFile, keyFile, clientCaFile } = mqtt.tls;
  const tls =
    certFile === null || keyFile === null
      ? null
      : {
          cert: readFileSync(certFile),
          key: readFileSync(keyFile),
          ca: clientCaFile === null ? null : readFileSync(clientCaFile),
        };
  const door = await openDoor({
    log,
    listeners: {
      tcp: mqtt.listen,
      websocket: mqtt.websocketListen,
      tls: tls && mqtt.tlsListen,
      websocketTls: tls && mqtt.websocketTlsListen,
      tlsKeys: tls,
    },
    access,
    limits: {
      packetBytesMax: mqtt.packetBytesMax,
      connectTimeoutMs: mqtt.connectTimeoutMs,
      connectionsMax: mqtt.connectionsMax,
      topicLevelsMax: mqtt.topicLevelsMax,
    },
    batch: {
      lingerMs: batch.lingerMs,
      frameBytesMax: batch.frameBytesMax,
      inFlightBytesMax: batch.inFlightBytesMax,
      tickMs: batch.tickMs,
    },
    clock: systemClock,
    logger,
  });
  const startedMs = systemClock.nowMs();
  const stats = startStatsWriter({
    log,
    topic: STATS.door,
    read: () => ({
      role: 'door',
      instance: instanceOf('door'),
      startedMs,
      atMs: systemClock.nowMs(),
      ...door.stats(),
    }),
    clock: systemClock,
    logger,
  });
  return {
    failed: door.failed,
    async close() {
      await door.close();
      await stats.close();
      await log.close();
    },
  };
}

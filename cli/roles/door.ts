import { readFileSync } from 'node:fs';
import { openDoor } from '../../ingest/door.ts';
import { systemClock } from '../../model/clock.ts';
import type { Logger } from '../../model/logger.ts';
import type { DoorStats } from '../../model/stats.ts';
import { STATS, TELEMETRY } from '../../model/topics.ts';
import { instanceOf, openLog } from '../engines.ts';
import type { Running } from '../lifecycle.ts';
import { Lasting } from '../measure/lasting.ts';
import { MeasuredLog } from '../measure/log.ts';
import { startRecorder } from '../role-recorder.ts';
import { onKafka, type Settings } from '../settings.ts';
import { startStatsWriter } from '../stats-writer.ts';

/** The door: MQTT in, appends to the log, alarm events out. */
export async function openDoorRole(settings: Settings, logger: Logger): Promise<Running> {
  const { mqtt, access, log: batch } = settings.config;
  const opened = await openLog('door', settings.config, logger);
  const bytesMax = onKafka(settings.config) ? null : batch.mapBytesMax;
  const measured = new MeasuredLog(opened, TELEMETRY, bytesMax, systemClock);
  const { log } = measured;
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
      ledger: { door: `${instanceOf('door')} ${systemClock.nowMs()}`, flushMs: settings.config.ledger.flushMs },
    },
    clock: systemClock,
    logger,
  });
  const paused = new Lasting();
  const recorder = startRecorder<DoorStats>({
    role: 'door',
    dataDir: settings.config.dataDir,
    clock: systemClock,
    log: measured,
    read: (nowMs) => {
      const counters = door.stats();
      return {
        ...counters,
        socketsPausedMs: paused.look(counters.socketsPaused > 0, nowMs),
        log: measured.stats(),
      };
    },
  });
  const stats = startStatsWriter({
    log,
    topic: STATS.door,
    read: () => recorder.latest(),
    clock: systemClock,
    logger,
  });
  return {
    failed: door.failed,
    observed: recorder.observed,
    async close() {
      await door.close();
      await stats.close();
      recorder.close();
      await log.close();
    },
  };
}

import { openDoor } from '../../ingest/door.ts';
import { systemClock } from '../../model/clock.ts';
import type { Logger } from '../../model/logger.ts';
import type { DoorStats } from '../../model/stats.ts';
import { STATS, TELEMETRY } from '../../model/topics.ts';
import { instanceOf, openLog, sharesFacts } from '../engines.ts';
import type { Running } from '../lifecycle.ts';
import { Lasting } from '../measure/lasting.ts';
import { MeasuredLog } from '../measure/log.ts';
import { openFilesMax } from '../open-files.ts';
import { startRecorder } from '../role-recorder.ts';
import { onKafka, type Settings } from '../settings.ts';
import { startStatsWriter } from '../stats-writer.ts';
import { readTlsFiles, watchTlsFiles } from '../tls-files.ts';

/** The door: MQTT in, appends to the log, alarm events out. */
export async function openDoorRole(settings: Settings, logger: Logger): Promise<Running> {
  const { mqtt, access, log: batch } = settings.config;
  const opened = await openLog('door', settings.config, logger);
  const bytesMax = onKafka(settings.config) ? null : batch.mapBytesMax;
  const measured = new MeasuredLog(opened, TELEMETRY, bytesMax, systemClock);
  const { log } = measured;
  const tls = readTlsFiles(mqtt.tls);
  const door = await openDoor({
    log,
    listeners: {
      tcp: mqtt.listen,
      websocket: mqtt.websocketListen,
      tls: tls && mqtt.tlsListen,
      websocketTls: tls && mqtt.websocketTlsListen,
      tlsKeys: tls,
      clientCertificates: {
        required: mqtt.tls.clientCertificate === 'required',
        deviceFrom: mqtt.tls.deviceFrom,
      },
    },
    access,
    limits: {
      packetBytesMax: mqtt.packetBytesMax,
      connectTimeoutMs: mqtt.connectTimeoutMs,
      packetTimeoutMs: mqtt.packetTimeoutMs,
      passwordWaitMsMax: mqtt.passwordWaitMsMax,
      subscriberStallMsMax: mqtt.subscriberStallMsMax,
      sessionExpiryMs: mqtt.sessionExpiryMs,
      willBytesMax: mqtt.willBytesMax,
      filtersPerPacketMax: mqtt.filtersPerPacketMax,
      connectionsMax: mqtt.connectionsMax,
      topicLevelsMax: mqtt.topicLevelsMax,
      perAddress: mqtt.perAddress,
      perClient: mqtt.perClient,
      total: mqtt.total,
    },
    openFilesMax: openFilesMax(),
    relaysFacts: sharesFacts(settings.config),
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
  const watch = tls === null ? null : watchTlsFiles(mqtt.tls, tls, (keys) => door.renewTls(keys), systemClock, logger);
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
      watch?.cancel();
      await door.close();
      await stats.close();
      recorder.close();
      await log.close();
    },
  };
}

import { randomUUID } from 'node:crypto';
import { isIPv6 } from 'node:net';
import type { Log, LogTail } from '../log/log.ts';
import type { Clock, TimerHandle } from '../model/clock.ts';
import type { AlarmCloudEvent } from '../model/cloudevent.ts';
import { SluiceError } from '../model/errors.ts';
import type { Logger } from '../model/logger.ts';
import type { Supervision, Vitals } from '../model/stats.ts';
import { ALARMS } from '../model/topics.ts';
import type { Store } from '../store/store.ts';
import { AlarmDirectory } from './alarm-directory.ts';
import { alarmCommands } from './alarm-routes.ts';
import { apiRoutes, METRICS_MAX } from './api.ts';
import type { CommandsFrom } from './commands.ts';
import { type Declared, DeviceRegistry } from './device-registry.ts';
import { deviceCommands } from './device-routes.ts';
import type { GatewaySource } from './gateway-families.ts';
import { type Health, notReadyReasons } from './health.ts';
import { LedgerBoard } from './ledger.ts';
import { gatewayMetrics, type MetricsText, ownGatewayMetrics } from './metrics.ts';
import { OperationWriter } from './operations.ts';
import { type GatewayInfo, Overview, StoreProbe } from './overview.ts';
import { text, texts } from './params.ts';
import { HttpProblem } from './problem.ts';
import { restartFindings, vitalFindings } from './reasons.ts';
import { buildServer, type RawRoute, type StreamRoute } from './server.ts';
import { StatsBoard } from './stats-board.ts';
import { followStats, jsonPayloads } from './stats-feed.ts';
import { StoreGate } from './store-gate.ts';
import { StoreSize } from './store-size.ts';
import { Streams } from './streams.ts';
import { type ChartSources, NO_SOURCES } from './tiered-series.ts';
import { WatchHub } from './watch.ts';

export type { GatewayInfo } from './overview.ts';

/** Seconds of history with each `stats`: records that came late, and an event or two that a page has missed, are made good. */
const STATS_SECONDS = 10;

export interface GatewayOptions {
  log: Log;
  store: Store;
  /** Where to listen; port 0 takes any free one. */
  http: { host: string; port: number };
  /** The built page: a folder with index.html. */
  pageDir: string;
  clock: Clock;
  logger: Logger;
  info: GatewayInfo;
  /** Who may change something; those on this machine when absent. */
  commands?: CommandsFrom;
  /** Header in which a proxy in front says who asks. */
  userHeader?: string | null;
  /** How this process and its machine do. */
  vitals?: () => Vitals;
  /** What the supervisor of this machine has told. */
  supervision?: () => Supervision | null;
  /** The rollups that charts may be drawn from; readings alone when absent. */
  sources?: ChartSources;
}

export interface Gateway {
  /** http://HOST:PORT, with the port that was taken. */
  url: string;
  /** How it does, and the roles that it has heard of; asks the store. */
  health(): Promise<Health>;
  /** Empty when the program is ready. */
  notReady(): Promise<string[]>;
  /** Makes these entries hold, and removes those that were declared before and are not among them. Waits for the store by itself. */
  declareDevices(devices: readonly Declared[]): void;
  /** What this process alone tells Prometheus. */
  ownMetrics(): MetricsText;
  /** Ends the event streams and lets requests in flight finish. Leaves the log and the store to their owner. Idempotent. */
  close(): Promise<void>;
}

/**
 * Serves the HTTP API, the event stream and the page. Resolves when it listens; rejects with LISTEN_FAILED when the address
 * cannot be taken. It reads the log's stats and alarm topics and asks the store; it writes nothing but
 * operations onto the log.
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { log, store, http, clock, logger, info } = options;
  const board = new StatsBoard();
  const gate = new StoreGate(store, clock);
  const hub = new WatchHub(gate, clock, logger);
  const streams = new Streams(hub, clock);
  const probe = new StoreProbe(store, clock);
  const troubles = new Set<string>();
  const overview = new Overview({
    board,
    gate,
    probe,
    clock,
    info,
    instance: randomUUID().slice(0, 8),
    startedMs: clock.nowMs(),
    troubles: () => [...troubles, ...ownFindings()],
  });
  const ownFindings = (): string[] => {
    const found: string[] = [];
    if (options.vitals) vitalFindings(options.vitals(), clock.nowMs(), found);
    if (options.supervision) restartFindings(options.supervision(), found);
    return found;
  };
  const source: GatewaySource = {
    version: info.version,
    gate,
    size: new StoreSize(gate, clock),
    health: () => overview.health(),
    streams: () => ({ open: streams.open, cutOff: streams.cutOff, watched: hub.size }),
    supervision: () => options.supervision?.() ?? null,
    role: 'gateway',
    get vitals() {
      return options.vitals?.();
    },
  };
  const metrics = gatewayMetrics(source, board, () => clock.nowMs());

  const onLost = (what: string) => (error: Error) => {
    troubles.add(`${what} can no longer be followed: ${error.message}`);
    logger.error('a topic of the log can no longer be followed', { what, error: error.message });
  };
  const tails = await followStats(log, board, logger, onLost('the stats of the roles'));
  const writer = new OperationWriter(log, clock);
  const directory = new AlarmDirectory(gate);
  const registry = new DeviceRegistry({ log, gate, writer, clock, logger });
  await registry.start();
  tails.push(registry);
  tails.push(await followAlarms(log, { streams, directory, overview }, logger, onLost('alarm events')));

  const app = buildServer({
    routes: apiRoutes({
      gate,
      probe,
      overview,
      directory,
      ledger: new LedgerBoard(gate, clock),
      registry,
      clock,
      sources: options.sources ?? NO_SOURCES,
    }),
    commands: [...deviceCommands(registry), ...alarmCommands({ directory, writer, clock })],
    commandsFrom: options.commands ?? 'loopback',
    userHeader: options.userHeader ?? null,
    raw: statusRoutes({ board, probe, overview, metrics, clock }),
    streams: [eventsRoute(streams, overview)],
    pageDir: options.pageDir,
    loopback: isLoopback(http.host),
    logger,
  });
  try {
    await app.listen({ host: http.host, port: http.port });
  } catch (error) {
    await Promise.all(tails.map((t) => t.close()));
    throw listenFailed(http, error);
  }
  const ticker = startTicker(clock, board, overview, streams);
  const address = app.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : http.port;

  let closing: Promise<void> | null = null;
  const close = async () => {
    ticker.cancel();
    hub.close();
    streams.close();
    await Promise.all(tails.map((t) => t.close()));
    await app.close();
  };
  return {
    url: `http://${isIPv6(http.host) ? `[${http.host}]` : http.host}:${port}`,
    health: async () => {
      await probe.ping();
      return overview.health();
    },
    notReady: async () => notReadyReasons(board, await probe.ping(), clock.nowMs()),
    declareDevices: (devices) => registry.declare(devices),
    ownMetrics: () => ownGatewayMetrics(source),
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

/** `stats` to every page each second. The store is only asked while somebody looks. */
function startTicker(clock: Clock, board: StatsBoard, overview: Overview, streams: Streams): TimerHandle {
  let timer: TimerHandle;
  const tick = () => {
    timer = clock.after(1_000, tick);
    board.forget(clock.nowMs());
    if (streams.open === 0) return;
    void overview.refresh();
    streams.broadcast('stats', JSON.stringify(overview.answer(STATS_SECONDS)));
  };
  timer = clock.after(1_000, tick);
  return { cancel: () => timer.cancel() };
}

function followAlarms(
  log: Log,
  to: { streams: Streams; directory: AlarmDirectory; overview: Overview },
  logger: Logger,
  onError: (error: Error) => void,
): Promise<LogTail> {
  return log.tail(ALARMS, {
    onFrames: (partition, frames) => {
      for (const frame of frames) {
        const events = jsonPayloads(frame, (reason) =>
          logger.warn('an alarm event could not be read', { partition, offset: frame.offset, reason }),
        ) as AlarmCloudEvent[];
        for (const event of events) {
          if (typeof event?.data?.id !== 'string') continue;
          to.directory.heard(event.data);
          to.streams.alarm(JSON.stringify(event.data));
        }
      }
      to.overview.countSoon();
    },
    onError,
  });
}

interface StatusParts {
  board: StatsBoard;
  probe: StoreProbe;
  overview: Overview;
  metrics: MetricsText;
  clock: Clock;
}

const JSON_TYPE = 'application/json; charset=utf-8';

function statusRoutes({ board, probe, overview, metrics, clock }: StatusParts): RawRoute[] {
  return [
    {
      path: '/ready',
      handle: async () => {
        const reasons = notReadyReasons(board, await probe.ping(), clock.nowMs());
        const body = JSON.stringify({ ready: reasons.length === 0, reasons });
        return { status: reasons.length === 0 ? 200 : 503, type: JSON_TYPE, body };
      },
    },
    {
      path: '/health',
      handle: async () => {
        await probe.ping();
        const health = overview.health();
        return { status: health.state === 'down' ? 503 : 200, type: JSON_TYPE, body: JSON.stringify(health) };
      },
    },
    { path: '/metrics', handle: async () => ({ status: 200, type: metrics.contentType, body: await metrics.text() }) },
  ];
}

function eventsRoute(streams: Streams, overview: Overview): StreamRoute {
  return {
    path: '/api/events',
    handle: async ({ query }) => {
      const watch = { device: text(query, 'device'), metrics: texts(query, 'metric', METRICS_MAX) };
      if (watch.device !== '' && watch.metrics.length === 0) {
        throw new HttpProblem(
          400,
          'INPUT_INVALID',
          'a device is named without a metric',
          'add metric=NAME, up to 8 times',
        );
      }
      streams.assertRoom(watch.device);
      void overview.refresh();
      return (response, headers) =>
        streams.add(response, headers, watch, { event: 'stats', data: JSON.stringify(overview.answer(STATS_SECONDS)) });
    },
  };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}

function listenFailed(http: { host: string; port: number }, cause: unknown): SluiceError {
  const code = (cause as { code?: string }).code ?? '';
  const where = `${http.host}:${http.port}`;
  const why =
    code === 'EADDRINUSE'
      ? 'something listens there already'
      : code === 'EACCES'
        ? 'the system does not allow it'
        : (cause as Error).message;
  const remedy =
    code === 'EACCES'
      ? 'choose a port from 1024 up with --http HOST:PORT'
      : 'choose another with --http HOST:PORT, or stop what listens there';
  return new SluiceError('LISTEN_FAILED', `cannot listen for HTTP on ${where}: ${why}`, {
    remedy,
    values: { ...http, code },
    cause,
  });
}

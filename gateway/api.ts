import { SEVERITIES } from '../model/alarm.ts';
import type { Clock } from '../model/clock.ts';
import type { AlarmDirectory } from './alarm-directory.ts';
import { alarmHistory, listAlarms } from './alarm-queries.ts';
import type { DeviceRegistry } from './device-registry.ts';
import { deviceRoutes } from './device-routes.ts';
import type { LedgerBoard } from './ledger.ts';
import type { Overview, StoreProbe } from './overview.ts';
import { integer, oneOf, type Query, text, texts, timeRange } from './params.ts';
import { HttpProblem } from './problem.ts';
import { listQuarantine, listRollups } from './queries.ts';
import { readSeries } from './series.ts';
import { HISTORY_SECONDS_MAX } from './stats-board.ts';
import type { StoreGate } from './store-gate.ts';
import type { ChartSources } from './tiered-series.ts';

/** What a route is given: the parts of the path that vary, decoded, and the query string. */
export interface ApiRequest {
  path: Readonly<Record<string, string>>;
  query: Query;
}

/** A GET route that answers with JSON. `path` is as the HTTP server takes it (`:name` is a varying part). */
export interface Route {
  path: string;
  handle(request: ApiRequest): Promise<unknown>;
}

export interface ApiParts {
  gate: StoreGate;
  probe: StoreProbe;
  overview: Overview;
  directory: AlarmDirectory;
  ledger: LedgerBoard;
  registry: DeviceRegistry;
  clock: Clock;
  sources: ChartSources;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const POINTS_MAX = 4_000;
export const METRICS_MAX = 8;

/** The JSON routes of the gateway, but for health and the event stream. */
export function apiRoutes({ gate, directory, probe, overview, ledger, registry, clock, sources }: ApiParts): Route[] {
  const storeAnswers = async () => {
    const ping = await probe.ping();
    if (!ping.answers) {
      throw new HttpProblem(
        503,
        'STORE_UNAVAILABLE',
        `the store: ${ping.reason}`,
        'check that ClickHouse is reachable',
      );
    }
  };
  const withStore = (path: string, handle: Route['handle']): Route => ({
    path,
    handle: async (request) => {
      await storeAnswers();
      return handle(request);
    },
  });
  return [
    {
      path: '/api/overview',
      handle: async ({ query }) => {
        const seconds = integer(query, 'seconds', { min: 0, max: HISTORY_SECONDS_MAX, otherwise: 120 });
        await overview.ready();
        return overview.answer(seconds);
      },
    },
    ...deviceRoutes(gate, registry).map(({ path, handle }) => withStore(path, handle)),
    withStore('/api/devices/:device/series', async ({ path, query }) => {
      const metrics = texts(query, 'metric', METRICS_MAX);
      if (metrics.length === 0) {
        throw new HttpProblem(400, 'INPUT_INVALID', 'no metric is named', 'give metric=NAME, up to 8 times');
      }
      const points = integer(query, 'points', { min: 10, max: POINTS_MAX, otherwise: 800 });
      const range = timeRange(query, clock.nowMs(), 5 * 60_000);
      return readSeries(gate, { device: path.device, metrics, points, ...range }, sources, clock.nowMs());
    }),
    withStore('/api/devices/:device/rollups', async ({ path, query }) => ({
      device: path.device,
      rollups: await listRollups(gate, {
        device: path.device,
        metric: text(query, 'metric'),
        window: text(query, 'window'),
        newest: oneOf(query, 'newest', ['true', 'false'], 'false') === 'true',
        limit: integer(query, 'limit', { min: 1, max: 5000, otherwise: 500 }),
        ...timeRange(query, clock.nowMs(), DAY_MS),
      }),
    })),
    withStore('/api/alarms', async ({ query }) => ({
      alarms: await listAlarms(gate, {
        state: oneOf(query, 'state', ['open', 'raised', 'unacked', 'shelved', 'all'], 'open'),
        severities: texts(query, 'severity', SEVERITIES.length),
        site: text(query, 'site'),
        rule: text(query, 'rule'),
        device: text(query, 'device'),
        group: text(query, 'group'),
        limit: integer(query, 'limit', { min: 1, max: 1000, otherwise: 100 }),
      }),
    })),
    withStore('/api/alarms/:id', async ({ path, query }) => {
      const limit = integer(query, 'limit', { min: 1, max: 1000, otherwise: 200 });
      const alarm = await directory.find(path.id);
      if (alarm === null) {
        throw new HttpProblem(404, 'ALARM_UNKNOWN', `there is no alarm ${path.id}`, 'check the id');
      }
      return { alarm, history: await alarmHistory(gate, path.id, limit) };
    }),
    withStore('/api/ledger', () => ledger.balance()),
    withStore('/api/quarantine', async ({ query }) => ({
      messages: await listQuarantine(gate, integer(query, 'limit', { min: 1, max: 500, otherwise: 50 })),
    })),
  ];
}

/** The gateway's API as the page uses it. Times are epoch milliseconds. Shapes as in gateway/overview.ts, queries.ts, series.ts. */

export type HealthState = 'ok' | 'degraded' | 'down';

export interface RoleHealth {
  role: 'door' | 'processor' | 'store' | 'gateway';
  instance: string;
  state: HealthState;
  reasons: string[];
  startedMs: number | null;
  ageMs: number | null;
}

export const RATE_NAMES = ['received', 'acknowledged', 'bytes', 'processed', 'decoded', 'stored'] as const;
export type RateName = (typeof RATE_NAMES)[number];

export interface Overview {
  atMs: number;
  uptimeMs: number;
  info: { version: string; mqtt: string; clickhouse: string; versions: Record<string, string> };
  state: HealthState;
  roles: RoleHealth[];
  rates: Record<RateName, number | null>;
  connections: number;
  messagesInFlight: number;
  socketsPaused: number;
  lagMs: number | null;
  lagFrames: number | null;
  counts: { devices: number | null; readings: number; quarantined: number; alarmsOpen: number } | null;
  history?: Record<RateName, (number | null)[]> & { endMs: number; stepMs: number; lagMs: (number | null)[] };
}

/** What the registry says of a device. */
export interface Said {
  name: string;
  site: string;
  model: string;
  tags: Record<string, string>;
  thresholds: Record<string, number>;
}

export interface Device extends Said {
  device: string;
  source: 'config' | 'file' | 'http' | 'seen';
  /** False for one that nobody told of. */
  known: boolean;
  version: number;
  lastSeenMs: number | null;
  metrics: number;
}

/** Which devices are asked for, besides their search. */
export interface DeviceQuery {
  site?: string;
  model?: string;
  tag?: string;
  source?: string;
}

export interface DeviceGroups {
  sites: { value: string; devices: number }[];
  models: { value: string; devices: number }[];
  tags: { value: string; devices: number }[];
  known: number;
  unknown: number;
}

export interface Metric {
  metric: string;
  tsMs: number;
  receivedMs: number;
  value: number | null;
  text: string;
}

export interface DeviceDetail extends Omit<Device, 'metrics'> {
  metrics: Metric[];
}

export interface Series {
  metric: string;
  throughOffset: number;
  t: number[];
  v: number[];
  min?: number[];
  max?: number[];
  count?: number[];
}

export interface SeriesAnswer {
  device: string;
  fromMs: number;
  toMs: number;
  kind: 'raw' | 'buckets';
  stepMs: number;
  exact: boolean;
  sources: string[];
  series: Series[];
}

export interface LiveReading {
  m: string;
  t: number;
  v: number;
  o: number;
}

export const SEVERITIES = ['info', 'warning', 'minor', 'major', 'critical'] as const;

export interface Alarm {
  id: string;
  rule: string;
  device: string;
  metric: string;
  severity: (typeof SEVERITIES)[number];
  state: 'normal' | 'raised' | 'cleared';
  life: LifeState;
  raisedMs: number;
  ackedMs: number | null;
  ackedBy: string;
  clearedMs: number | null;
  value: number;
  message: string;
  version: number;
  comments: { atMs: number; by: string; text: string }[];
  shelvedUntilMs: number | null;
  shelvedBy: string;
  suppressed: string;
  latched: boolean;
  chattering: boolean;
  raises: number;
  groupId: string;
}

/** States of ISA-18.2; `normal` is over. */
export type LifeState =
  | 'normal'
  | 'unacknowledged'
  | 'acknowledged'
  | 'returned'
  | 'latched'
  | 'shelved'
  | 'suppressed'
  | 'out-of-service';

export interface AlarmTransition {
  version: number;
  transition: string;
  atMs: number;
  by: string;
  comment: string;
  value: number | null;
  notify: boolean;
  ruleVersion: string;
  evidence: { metric: string; tsMs: number; value: number }[];
  position: { partition: number; offset: number; index: number };
}

export interface Quarantined {
  device: string;
  topic: string;
  receivedMs: number;
  reason: string;
  payload: string;
  payloadBytes: number;
}

export interface LedgerBalance {
  atMs: number;
  fromMs: number;
  countedMs: number | null;
  messages: {
    acknowledged: number;
    decoded: number;
    quarantined: number;
    missing: number;
    unclaimed: number;
    failed: number;
  };
  readings: { decoded: number; stored: number; duplicates: number; late: number };
  lateDevices: { device: string; late: number }[];
  gaps: { seen: number; missing: number; devices: { device: string; missing: number }[] };
}

export interface Rollup {
  window: string;
  metric: string;
  startMs: number;
  endMs: number;
  count: number;
  phase: 'early' | 'final' | 'corrected';
  extra: Record<string, number>;
  label: string;
}

/** What went wrong with a request, in words for people. */
export class ApiError extends Error {
  readonly status: number;
  readonly remedy: string;
  constructor(status: number, message: string, remedy: string) {
    super(message);
    this.status = status;
    this.remedy = remedy;
  }
}

/** Rejects with ApiError; status 0 means that the gateway could not be reached. */
async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return ask<T>(path, { signal, headers: { accept: 'application/json' } });
}

async function post<T>(path: string, body: object): Promise<T> {
  const headers = { accept: 'application/json', 'content-type': 'application/json' };
  return ask<T>(path, { method: 'POST', headers, body: JSON.stringify(body) });
}

async function ask<T>(path: string, request: RequestInit): Promise<T> {
  const { signal } = request;
  let answer: Response;
  try {
    answer = await fetch(`./api/${path}`, request);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, 'The gateway cannot be reached.', 'It is asked again as soon as the connection is back.');
  }
  if (answer.ok) return (await answer.json()) as T;
  let detail = `HTTP ${answer.status}`;
  let remedy = '';
  try {
    const problem = (await answer.json()) as { detail?: string; remedy?: string };
    detail = problem.detail ?? detail;
    remedy = problem.remedy ?? '';
  } catch {
    // Not one of the gateway's own documents: the status says what there is to say.
  }
  throw new ApiError(answer.status, detail, remedy);
}

const encode = encodeURIComponent;

export const api = {
  overview: (seconds: number) => get<Overview>(`overview?seconds=${seconds}`),
  devices: (search: string, where: DeviceQuery, after: string, limit: number, signal?: AbortSignal) =>
    get<{ devices: Device[]; next: string | null }>(
      `devices?${new URLSearchParams({ search, after, limit: `${limit}`, ...where })}`,
      signal,
    ),
  deviceGroups: () => get<DeviceGroups>('device-groups'),
  /** Says something of a device, if it is still in this version. */
  describeDevice: (device: string, said: Said, version: number) =>
    ask<{ version: number }>(`devices/${encode(device)}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json', 'if-match': `"${version}"` },
      body: JSON.stringify(said),
    }),
  device: (device: string, signal?: AbortSignal) => get<DeviceDetail>(`devices/${encode(device)}`, signal),
  series: (
    device: string,
    ask: { metrics: string[]; fromMs: number; toMs: number; points: number },
    signal?: AbortSignal,
  ) =>
    get<SeriesAnswer>(
      `devices/${encode(device)}/series?${ask.metrics.map((m) => `metric=${encode(m)}`).join('&')}` +
        `&from=${Math.floor(ask.fromMs)}&to=${Math.ceil(ask.toMs)}&points=${ask.points}`,
      signal,
    ),
  newestRollups: (device: string, signal?: AbortSignal) =>
    get<{ rollups: Rollup[] }>(`devices/${encode(device)}/rollups?newest=true&limit=500`, signal),
  alarms: (state: 'open' | 'shelved' | 'all', limit: number) =>
    get<{ alarms: Alarm[] }>(`alarms?state=${state}&limit=${limit}`),
  alarm: (id: string) => get<{ alarm: Alarm; history: AlarmTransition[] }>(`alarms/${encode(id)}`),
  /** Resolves when what was asked for is durable on the log; an event tells when it is done. */
  act: (id: string, action: string, body: object) =>
    post<{ operations: string[] }>(`alarms/${encode(id)}/${action}`, body),
  ledger: () => get<LedgerBalance>('ledger'),
  quarantine: (limit: number) => get<{ messages: Quarantined[] }>(`quarantine?limit=${limit}`),
};

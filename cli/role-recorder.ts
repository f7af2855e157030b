import { findingsOf } from '../gateway/reasons.ts';
import type { Clock, TimerHandle } from '../model/clock.ts';
import type { RoleStats } from '../model/stats.ts';
import { instanceOf } from './engines.ts';
import type { Observed } from './health-listener.ts';
import type { MeasuredLog } from './measure/log.ts';
import { VitalSigns } from './measure/vitals.ts';

/** How often a role is looked at, also while the log cannot be told. */
const LOOK_MS = 1000;
/** How many looks go by before the log is asked anew what it holds. */
const LOG_EVERY = 5;

export interface RecorderOptions<R extends RoleStats> {
  role: R['role'];
  /** Folder whose disk is looked at. */
  dataDir: string;
  clock: Clock;
  /** What the role counts. Called once a second, so that it may tell for how long something has been so. */
  read(nowMs: number): Omit<R, 'role' | 'instance' | 'startedMs' | 'atMs' | 'vitals'>;
  log?: MeasuredLog;
}

export interface Recorder<R extends RoleStats> {
  /** The newest record, at most a second old. */
  latest(): R;
  readonly observed: Observed;
  close(): void;
}

/** Looks at a role once a second and keeps the record, which goes to the stats topic, to /health and to /metrics alike. */
export function startRecorder<R extends RoleStats>(options: RecorderOptions<R>): Recorder<R> {
  const { role, dataDir, clock, log } = options;
  const startedMs = clock.nowMs();
  const instance = instanceOf(role);
  const signs = new VitalSigns({ dir: dataDir, clock });
  const look = (): R => {
    const atMs = clock.nowMs();
    const vitals = signs.read();
    return { role, instance, startedMs, atMs, ...options.read(atMs), vitals } as unknown as R;
  };
  let latest = look();
  let looks = 0;
  let timer: TimerHandle;
  const again = (): void => {
    timer = clock.after(LOOK_MS, again);
    if (log !== undefined && looks++ % LOG_EVERY === 0) void log.refresh();
    latest = look();
  };
  if (log !== undefined) void log.refresh();
  timer = clock.after(LOOK_MS, again);
  return {
    latest: () => latest,
    observed: {
      findings: () => findingsOf(latest, clock.nowMs()),
      metrics: () => lateMetrics(role, () => latest),
    },
    close() {
      timer.cancel();
      signs.close();
    },
  };
}

/** Loads prom-client with the first look at /metrics: a role that nobody asks carries none of it. */
function lateMetrics(role: RoleStats['role'], read: () => RoleStats): { contentType: string; text(): Promise<string> } {
  let loading: Promise<{ text(): Promise<string> }> | null = null;
  return {
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    async text() {
      loading ??= import('../gateway/metrics.ts').then(({ roleMetrics }) => roleMetrics(role, read));
      return (await loading).text();
    },
  };
}

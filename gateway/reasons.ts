import type { DoorStats, LogStats, ProcessorStats, RoleStats, Supervision, Vitals } from '../model/stats.ts';

/**
 * Why a role is not well: what, how much, for how long, and what to change. The same words are said by the role itself
 * (its health listener) and by the gateway, which has the same record from the role's stats topic.
 */
export interface Findings {
  /** It does not do its work. */
  down: string[];
  /** It works, and somebody should look. */
  degraded: string[];
}

/** Lag from which the readings on the page are noticeably old. */
const LAG_MS = 30_000;
/** A lag of this much that still grows will become that one. */
const LAG_GROWING_MS = 5_000;
/** How long a thing may last before it is worth a word: less is how a busy machine breathes. */
const BRIEF_MS = 2_000;
const UNANSWERED_MS = 5_000;
const EVENT_LOOP_MS = 1_000;
const CHECKPOINT_MS = 120_000;
const CLOCK_JUMP_NOTED_MS = 600_000;
/** Share of the disk that is left, and bytes: a large disk is not full with a tenth of it free. */
const DISK_FREE_SHARE_MIN = 0.1;
const DISK_FREE_BYTES_MIN = 5 * 2 ** 30;
const DISK_FREE_BYTES_LEAST = 64 * 2 ** 20;

export function findingsOf(record: RoleStats, nowMs: number): Findings {
  const found: Findings = { down: [], degraded: [] };
  if (record.role === 'door') doorFindings(record, found);
  // That the store answers is what its clients find out; its own record has nothing that is ill by itself.
  else if (record.role === 'processor') processorFindings(record, found);
  if (record.vitals) vitalFindings(record.vitals, nowMs, found.degraded);
  return found;
}

function doorFindings(record: DoorStats, { down, degraded }: Findings): void {
  const { log, connections, connectionsMax, bytesInFlight, bytesInFlightMax } = record;
  if (!record.listening) down.push('does not take MQTT connections');
  if (log) logFindings(log, degraded);
  if (record.socketsPaused > 0) {
    const forMs = record.socketsPausedMs ?? 0;
    const waits =
      bytesInFlight === undefined || bytesInFlightMax === undefined
        ? ''
        : ` with ${bytes(bytesInFlight)} in flight of at most ${bytes(bytesInFlightMax)} (log.inFlightBytesMax)`;
    degraded.push(
      `sockets paused: ${record.socketsPaused} of ${connections} for ${seconds(forMs)}${waits}: devices send faster than the log takes; use a faster disk, or more doors on Kafka`,
    );
  }
  if (connectionsMax !== undefined && connections >= connectionsMax * 0.9) {
    degraded.push(
      `${connections} of at most ${connectionsMax} connections are taken: raise mqtt.connectionsMax and ulimit -n, or add doors`,
    );
  }
}

/** Of the topic that a role writes. */
export function logFindings(log: LogStats, degraded: string[]): void {
  const what = log.topic === 'telemetry' ? 'the log' : `the topic ${log.topic} of the log`;
  if (log.fullMs > 0) {
    const of = log.bytesMax === null ? '' : ` of ${bytes(log.bytesMax)}`;
    const held = log.bytesHeld === null ? '' : ` (it holds ${bytes(log.bytesHeld)}${of})`;
    degraded.push(
      `${what} has been full for ${seconds(log.fullMs)}${held}: shorten log.retention, raise log.mapBytesMax, or free space on its disk`,
    );
  } else if (log.waitingMs >= UNANSWERED_MS) {
    degraded.push(
      `${what} has not taken a frame for ${seconds(log.waitingMs)}; ${log.waiting} wait: check that Kafka, or the disk of dataDir, answers`,
    );
  }
}

function processorFindings(record: ProcessorStats, { down, degraded }: Findings): void {
  const { store, checkpoints, log, lagMs, lagChangeMs = 0, workersRestartedLately = 0 } = record;
  if (!record.running) down.push('does not process');
  const isSilent = store !== undefined && store.silentMs >= UNANSWERED_MS;
  if (isSilent) {
    degraded.push(
      `the store has not answered for ${seconds(store.silentMs)}; ${store.waiting} inserts wait: check that ClickHouse is up and has room on its disk`,
    );
  }
  if (lagMs > LAG_MS || (lagMs > LAG_GROWING_MS && lagChangeMs > BRIEF_MS)) {
    const trend = lagChangeMs > 1000 ? ' and growing' : lagChangeMs < -1000 ? ' and shrinking' : '';
    const remedy = isSilent
      ? 'it waits for the store'
      : lagChangeMs < -1000
        ? 'it catches up by itself'
        : 'raise processors.workers, or add processors';
    degraded.push(`lag ${seconds(lagMs)}${trend} (${record.lagFrames} frames behind the log): ${remedy}`);
  }
  if (workersRestartedLately > 0) {
    degraded.push(
      `a worker thread was restarted ${times(workersRestartedLately)} in the last 10 minutes: see "a worker died" in the logs for the reason`,
    );
  }
  if (checkpoints && checkpoints.ageMs !== null && checkpoints.ageMs > CHECKPOINT_MS && record.lagFrames > 0) {
    degraded.push(
      `no checkpoint has been saved for ${seconds(checkpoints.ageMs)}: a restart replays all of it; see "no checkpoint this time" in the logs`,
    );
  }
  if ((record.state?.partitionsFull ?? 0) > 0 && (record.readingsBeyond ?? 0) > 0) {
    degraded.push(
      `${record.state?.partitionsFull} of ${record.partitions.length} partitions know as many series as they may: ${record.readingsBeyond} readings of further ones were stored, and entered no window and no rule; raise processors.seriesMax, or find the devices that invent metric names`,
    );
  }
  for (const [window, series] of Object.entries(record.state?.windowSeriesBeyond ?? {})) {
    if (series === 0) continue;
    const readings = record.windowReadingsBeyond?.[window] ?? 0;
    degraded.push(
      `the window ${window} takes as many series as it may: ${series} further ones are not in it, whose ${readings} readings were stored; raise its seriesMax, or narrow its metrics and devices`,
    );
  }
  if (log) logFindings(log, degraded);
}

export function vitalFindings(vitals: Vitals, nowMs: number, degraded: string[]): void {
  const { diskFreeBytes, diskBytes, eventLoopDelayMs, clockJumpAtMs, clockJumpMs } = vitals;
  if (diskFreeBytes !== null && diskBytes !== null && isNearlyFull(diskFreeBytes, diskBytes)) {
    degraded.push(
      `the disk of dataDir is nearly full: ${bytes(diskFreeBytes)} of ${bytes(diskBytes)} are left; free space, or lower log.retention.bytesMax and store.readingsTtlMs`,
    );
  }
  if (eventLoopDelayMs >= EVENT_LOOP_MS) {
    degraded.push(
      `the event loop was held up for ${seconds(eventLoopDelayMs)}: the process has too little CPU, or the machine swaps`,
    );
  }
  if (clockJumpAtMs !== null && nowMs - clockJumpAtMs < CLOCK_JUMP_NOTED_MS) {
    const way = clockJumpMs > 0 ? 'forward' : 'back';
    degraded.push(
      `the clock jumped ${seconds(Math.abs(clockJumpMs))} ${way} ${seconds(Math.max(0, nowMs - clockJumpAtMs))} ago: times received are off by that; let NTP slew the clock`,
    );
  }
}

/** Of roles that the supervisor keeps waiting before it starts them again. */
export function restartFindings(supervision: Supervision | null, degraded: string[]): void {
  for (const { role, ms } of supervision?.backoffMs ?? []) {
    if (ms === 0) continue;
    const ends = supervision?.restarts.filter((r) => r.role === role) ?? [];
    const count = ends.reduce((sum, r) => sum + r.count, 0);
    const why = ends.map((r) => r.reason).join(', ');
    degraded.push(`${role} is started again after ${seconds(ms)}; it has ended ${times(count)} (${why}): see its log`);
  }
}

export function isNearlyFull(freeBytes: number, diskBytes: number): boolean {
  if (freeBytes < DISK_FREE_BYTES_LEAST) return true;
  return freeBytes < DISK_FREE_BYTES_MIN && freeBytes < diskBytes * DISK_FREE_SHARE_MIN;
}

function seconds(ms: number): string {
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 600_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 36_000_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}

function times(n: number): string {
  return n === 1 ? 'once' : `${n} times`;
}

function bytes(n: number): string {
  if (n < 1024) return `${n} B`;
  const unit = Math.min(4, Math.floor(Math.log2(n) / 10));
  const value = n / 1024 ** unit;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}`;
}

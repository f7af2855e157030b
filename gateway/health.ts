import type { RoleStats } from '../model/stats.ts';
import { findingsOf } from './reasons.ts';
import { FRESH_MS_MAX, type StatsBoard } from './stats-board.ts';

export type HealthState = 'ok' | 'degraded' | 'down';

/** How one process of a role does, and why. `instance` is '' when no process of the role has ever been heard of. */
export interface RoleHealth {
  role: 'door' | 'processor' | 'store' | 'gateway';
  instance: string;
  state: HealthState;
  reasons: string[];
  startedMs: number | null;
  /** Age of the newest record, ms. */
  ageMs: number | null;
}

export interface Health {
  state: HealthState;
  roles: RoleHealth[];
}

/** What the last ping of the store gave. */
export interface StorePing {
  answers: boolean;
  /** Why not. */
  reason: string;
  tookMs: number;
}

/** How long a restart stays worth a word. */
const RESTART_NOTED_MS = 60_000;

export function assessHealth(
  board: StatsBoard,
  store: StorePing,
  gateway: { instance: string; startedMs: number; reasons: string[] },
  nowMs: number,
): Health {
  const roles: RoleHealth[] = [
    ...roleHealth(board, 'door', nowMs, gateway.startedMs),
    ...roleHealth(board, 'processor', nowMs, gateway.startedMs),
    ...storeHealth(board, store, nowMs),
    {
      role: 'gateway',
      instance: gateway.instance,
      state: gateway.reasons.length > 0 ? 'degraded' : 'ok',
      reasons: gateway.reasons,
      startedMs: gateway.startedMs,
      ageMs: 0,
    },
  ];
  return { state: worst(roles.map((r) => r.state)), roles };
}

/** Empty when the program is ready; otherwise the reasons why it is not. */
export function notReadyReasons(board: StatsBoard, store: StorePing, nowMs: number): string[] {
  const reasons: string[] = [];
  const doors = board.latest('door', nowMs).filter((r) => nowMs - r.atMs < FRESH_MS_MAX);
  if (doors.length === 0) reasons.push('door: no record of the last 5 s');
  else if (!doors.some((r) => r.listening)) reasons.push('door: does not take MQTT connections yet');
  const processors = board.latest('processor', nowMs).filter((r) => nowMs - r.atMs < FRESH_MS_MAX);
  if (processors.length === 0) reasons.push('processor: no record of the last 5 s');
  else if (!processors.some((r) => r.running)) reasons.push('processor: does not process yet');
  if (!store.answers) reasons.push(`store: ${store.reason}`);
  return reasons;
}

function roleHealth(
  board: StatsBoard,
  role: 'door' | 'processor',
  nowMs: number,
  witnessSinceMs: number,
): RoleHealth[] {
  const records: RoleStats[] = role === 'door' ? board.latest('door', nowMs) : board.latest('processor', nowMs);
  if (records.length === 0) {
    return [{ role, instance: '', state: 'down', reasons: ['has not been heard of'], startedMs: null, ageMs: null }];
  }
  return records.map((record) => {
    const ageMs = Math.max(0, nowMs - record.atMs);
    const found = findingsOf(record, nowMs);
    const down = ageMs >= FRESH_MS_MAX ? [`silent for ${Math.round(ageMs / 1000)} s`] : found.down;
    const degraded = [...found.degraded];
    // A start that the gateway has seen is a restart; one from before it belongs to the start of it all.
    if (record.startedMs > witnessSinceMs && nowMs - record.startedMs < RESTART_NOTED_MS) {
      degraded.push(`restarted ${Math.round((nowMs - record.startedMs) / 1000)} s ago`);
    }
    return {
      role,
      instance: record.instance,
      state: down.length > 0 ? 'down' : degraded.length > 0 ? 'degraded' : 'ok',
      reasons: [...down, ...degraded],
      startedMs: record.startedMs,
      ageMs,
    };
  });
}

/** The store is what answers behind the address; its own records, which only the embedded engine writes, add the rest. */
function storeHealth(board: StatsBoard, store: StorePing, nowMs: number): RoleHealth[] {
  const record = board.latest('store', nowMs).find((r) => nowMs - r.atMs < FRESH_MS_MAX);
  const degraded = record === undefined ? [] : findingsOf(record, nowMs).degraded;
  return [
    {
      role: 'store',
      instance: record?.instance ?? '',
      state: !store.answers ? 'down' : degraded.length > 0 ? 'degraded' : 'ok',
      reasons: [...(store.answers ? [] : [store.reason]), ...degraded],
      startedMs: record?.startedMs ?? null,
      ageMs: record ? Math.max(0, nowMs - record.atMs) : null,
    },
  ];
}

export function worst(states: HealthState[]): HealthState {
  return states.includes('down') ? 'down' : states.includes('degraded') ? 'degraded' : 'ok';
}

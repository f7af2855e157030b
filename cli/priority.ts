import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import type { Config } from '../config/schema.ts';
import type { Logger } from '../model/logger.ts';
import type { Role } from './roles.ts';

const NICE_MAX = 19;

/** The settings that say so; the others run as they were started. */
export function niceOf(role: Role, config: Config): number {
  if (role === 'processor') return config.processors.nice;
  return role === 'store' ? config.store.nice : 0;
}

/**
 * Lowers the priority of this process by so much, which takes no right. Where all roles share the cores of one machine, what devices wait for
 * can so go first (docs/decisions/005-latency.md). On Linux a priority is that of a
 * thread: those that are there already get it, those made later inherit it. A system that refuses is told of once, in the log.
 */
export function lowerPriority(by: number, logger: Logger): void {
  if (by === 0) return;
  try {
    const nice = Math.min(NICE_MAX, getPriority() + by);
    for (const id of process.platform === 'linux' ? threadIds() : [0]) lower(id, nice);
    logger.debug('gives way to other roles', { nice });
  } catch (error) {
    logger.warn('runs with the priority of the other roles', { error: String(error) });
  }
}

function threadIds(): number[] {
  return readdirSync('/proc/self/task').map(Number);
}

function lower(id: number, nice: number): void {
  try {
    setPriority(id, nice);
  } catch (error) {
    // A thread may have ended since it was seen.
    if ((error as { info?: { code?: string } }).info?.code !== 'ESRCH') throw error;
  }
}

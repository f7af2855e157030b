import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { promisify } from 'node:util';
import type { Logger } from '../../model/logger.ts';

const execute = promisify(execFile);

/** The name that the engine gives to the threads that merge parts. */
const MERGE_THREAD = 'MergeMutate';
/**
 * How much nicer they are than the process, which is nicer than what devices wait for by 5 itself (`store.nice`). It is what holds where the
 * idle policy cannot be had: as long as the door wants a core, a merging thread then gets a tenth of what it gets.
 */
export const MERGE_NICE = 5;
/** The engine makes its threads with the first table, which may be long after it was opened. */
const LOOK_MS = 1000;
/** util-linux's program that sets the policy of a thread; Node has no call for it. */
const CHRT = 'chrt';
const CHRT_MS_MAX = 10_000;

/** The looking out for threads that merge. */
export interface MergeThreads {
  stop(): void;
}

/**
 * Lets the threads with which the engine in this process merges parts give way to everything else, as soon as all of them are there. Merges
 * are the one work here that nobody waits for, and they hold a core for as long as a second. A nice value alone
 * leaves a merging thread on its core until the scheduler's next tick, whoever wakes up meanwhile; under Linux's idle policy each waking thread
 * takes the core at once. So merges get what is left, and where nothing is left for long, merge-backlog.ts
 * keeps parts few (docs/decisions/005-latency.md).
 *
 * On Linux both belong to a thread; elsewhere nothing is done. A thread may be lowered without any right; raising it again may take one.
 */
export function yieldMerges(threads: number, logger: Logger): MergeThreads | null {
  if (process.platform !== 'linux') return null;
  const look = (): void => {
    const ids = mergeThreadIds('self');
    // Whoever runs OPTIMIZE has this name meanwhile.
    if (ids.length !== threads) return;
    clearInterval(timer);
    void lower(ids, logger);
  };
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

async function lower(ids: readonly number[], logger: Logger): Promise<void> {
  const nice = Math.min(19, getPriority() + MERGE_NICE);
  try {
    for (const id of ids) setPriority(id, nice);
  } catch (error) {
    logger.warn('merges run with the priority of everything else', { error: String(error) });
  }
  const refusal = await makeIdle(ids);
  if (refusal === null) logger.debug('merges run when nothing else wants to', { threads: ids.length, nice });
  else logger.debug('merges give way by their nice value alone', { threads: ids.length, nice, refusal });
}

/**
 * Gives threads, by id, the idle policy (SCHED_IDLE of sched(7)). Resolves with null, or with why `command` did not do it: it is
 * not installed, or the system does not let it. Never rejects.
 */
export async function makeIdle(ids: readonly number[], command = CHRT): Promise<string | null> {
  try {
    // It takes one thread a call; with all threads of a process at once it would take those that answer requests as well.
    for (const id of ids) await execute(command, ['-i', '-p', '0', String(id)], { timeout: CHRT_MS_MAX });
    return null;
  } catch (error) {
    return error instanceof Error ? error.message.trim() : String(error);
  }
}

/** Threads of a process on Linux that merge, by id; `pid` may be `self`. */
export function mergeThreadIds(pid: number | 'self'): number[] {
  return threadIds(pid).filter((id) => nameOf(`/proc/${pid}/task/${id}/comm`) === MERGE_THREAD);
}

/** All threads of a process on Linux. */
export function threadIds(pid: number | 'self'): number[] {
  return readdirSync(`/proc/${pid}/task`).map(Number);
}

/** Null for a thread that has ended since. */
function nameOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

import { readdirSync, readFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import type { Logger } from '../../model/logger.ts';

/** The name that the engine gives to the threads that merge parts. */
const MERGE_THREAD = 'MergeMutate';
/**
 * How much nicer they are than the process, which is nicer than what devices wait for by 5 itself (`store.nice`): as long as the door wants a
 * core, a merging thread gets a tenth of what it gets. Merges are the one work here that nobody waits for, and they hold a core for as long as a
 * second. Not the lowest: they must keep up with the inserts of a machine that is never idle (docs/decisions/005-latency.md).
 */
export const MERGE_NICE = 5;
/** The engine makes its threads with the first table, which may be long after it was opened. */
const LOOK_MS = 1000;

/** The looking out for threads that merge. */
export interface MergeThreads {
  stop(): void;
}

/**
 * Lowers the priority of the threads with which the engine in this process merges parts, as soon as all of them are there. On Linux a
 * priority is that of a thread; elsewhere nothing is done. A thread may lower itself without any right; raising it again takes one.
 */
export function yieldMerges(threads: number, logger: Logger): MergeThreads | null {
  if (process.platform !== 'linux') return null;
  const look = (): void => {
    const ids = mergeThreadIds('self');
    if (ids.length < threads) return;
    clearInterval(timer);
    try {
      const nice = Math.min(19, getPriority() + MERGE_NICE);
      for (const id of ids) setPriority(id, nice);
      logger.debug('merges give way to other work', { threads: ids.length, nice });
    } catch (error) {
      logger.warn('merges run with the priority of everything else', { error: String(error) });
    }
  };
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

/** Threads of a process on Linux that merge, by id; `pid` may be `self`. */
export function mergeThreadIds(pid: number | 'self'): number[] {
  const folder = `/proc/${pid}/task`;
  return readdirSync(folder)
    .filter((id) => nameOf(`${folder}/${id}/comm`) === MERGE_THREAD)
    .map(Number);
}

/** Null for a thread that has ended since. */
function nameOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

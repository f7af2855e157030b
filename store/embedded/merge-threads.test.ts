import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { MERGE_THREADS } from './engine-config.ts';
import { MERGE_NICE, makeIdle, mergeThreadIds, threadIds } from './merge-threads.ts';
import { type SpawnedStore, spawnStore } from './spawned.ts';

/** The number of SCHED_IDLE, and of the policy that everything has. */
const [IDLE, OTHER] = [5, 0];
const WAIT = { timeout: 100_000, interval: 100 };
/** Some containers refuse, and some systems lack it. */
const canBeIdle = process.platform === 'linux' && spawnSync('chrt', ['-i', '0', process.execPath, '-v']).status === 0;

describe.runIf(process.platform === 'linux')(
  'the threads that merge parts (on Linux, which alone has a priority for each)',
  () => {
    let store: SpawnedStore;
    beforeAll(async () => {
      store = await spawnStore({ readOnly: false });
    });
    afterAll(() => store.remove());

    async function run(sql: string): Promise<string> {
      const answer = await fetch(`${store.url}/?query=${encodeURIComponent(sql)}`, { method: 'POST' });
      const text = await answer.text();
      if (!answer.ok) throw new Error(text);
      return text.trim();
    }

    it('give way to all else in the running store, and merge all the same', async () => {
      const nice = Math.min(19, getPriority() + MERGE_NICE);
      const policy = canBeIdle ? IDLE : OTHER;
      expect(mergeThreadIds(store.pid)).toEqual([]); // there is no table yet
      await run('CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a');
      for (let i = 0; i < 12; i++) await run('INSERT INTO t SELECT number FROM numbers(1000)');
      const ids = await vi.waitUntil(() => {
        const found = mergeThreadIds(store.pid);
        const areLow = found.every((id) => getPriority(id) === nice && policyOf(store.pid, id) === policy);
        return found.length === MERGE_THREADS && areLow ? found : null;
      }, WAIT);
      expect(getPriority(store.pid), 'what answers requests').toBe(getPriority());
      await vi.waitUntil(
        async () => Number(await run("SELECT count() FROM system.parts WHERE active AND table = 't'")) < 12,
        WAIT,
      );
      expect(await run('SELECT count() FROM t')).toBe('12000');
      expect(mergeThreadIds(store.pid)).toEqual(ids);
      const low = threadIds(store.pid).filter((id) => policyOf(store.pid, id) === IDLE);
      expect(low, 'no thread that may answer a request').toEqual(canBeIdle ? ids : []);
    });
  },
);

describe.runIf(canBeIdle)('the idle policy', () => {
  it('is given to threads by id', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    const pid = child.pid as number;
    try {
      expect(await makeIdle([pid])).toBeNull();
      expect(policyOf(pid, pid)).toBe(IDLE);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    expect(await makeIdle([pid]), 'a thread that is gone').toContain(String(pid));
  });
});

it('tells why the idle policy cannot be had', async () => {
  expect(await makeIdle([process.pid], 'no-such-program')).toContain('no-such-program');
});

/** The 41st field of `stat` (proc_pid_stat(5)); the second, a name in parentheses, may hold anything. Null for a thread that has ended. */
function policyOf(pid: number, id: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/task/${id}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[41 - 3]);
  } catch {
    return null;
  }
}

import { getPriority } from 'node:os';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { MERGE_THREADS } from './engine-config.ts';
import { MERGE_NICE, mergeThreadIds } from './merge-threads.ts';
import { type SpawnedStore, spawnStore } from './spawned.ts';

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
      expect(mergeThreadIds(store.pid)).toEqual([]); // there is no table yet
      await run('CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a');
      for (let i = 0; i < 12; i++) await run('INSERT INTO t SELECT number FROM numbers(1000)');
      const ids = await vi.waitUntil(() => {
        const found = mergeThreadIds(store.pid);
        return found.length === MERGE_THREADS && found.every((id) => getPriority(id) === nice) ? found : null;
      }, WAIT);
      expect(getPriority(store.pid), 'what answers requests').toBe(getPriority());
      await vi.waitUntil(
        async () => Number(await run("SELECT count() FROM system.parts WHERE active AND table = 't'")) < 12,
        WAIT,
      );
      expect(await run('SELECT count() FROM t')).toBe('12000');
      expect(mergeThreadIds(store.pid)).toEqual(ids);
    });
  },
);

const WAIT = { timeout: 100_000, interval: 100 };

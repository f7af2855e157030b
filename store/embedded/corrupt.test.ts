import { readdirSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openStore } from '../clickhouse.ts';
import { spawnStore } from './spawned.ts';

/** What a disk that is full during a merge may leave: a merged part with an empty file. */
it('ends when a part cannot be read, and has every row again at the next start', async () => {
  let spawned = await spawnStore();
  const { dir } = spawned;
  const open = () => openStore({ url: spawned.url, database: 'sluice', ...spawned.credentials });
  let store = open();
  await store.migrate();
  for (const second of [0, 1000, 2000]) {
    await store.command(
      `INSERT INTO readings (device, metric, ts, value, received)
       SELECT 'd', 'm', toDateTime64(1760000000 + ${second} + number, 3), 1, toDateTime64(1760000000, 3) FROM numbers(1000)`,
    );
  }
  await store.command('OPTIMIZE TABLE readings FINAL');
  const [{ path }] = await store.query<{ path: string }>(
    "SELECT path FROM system.parts WHERE table = 'readings' AND active",
  );
  // No statement of anybody's has the same effect.
  await expect(store.query("SELECT throwIf(1, 'Code: 246. DB::Exception: of a reader')")).rejects.toThrow();
  for (const file of readdirSync(path)) if (/\.c?mrk/.test(file)) truncateSync(join(path, file), 0);
  await expect(store.query('SELECT sum(value) FROM readings')).rejects.toThrow();
  expect(await spawned.ended).toBe(4);
  await store.close();

  spawned = await spawnStore({ dir });
  store = open();
  expect(await store.query('SELECT count() AS n, sum(value) AS s FROM readings')).toEqual([{ n: 3000, s: 3000 }]);
  await store.close();
  await spawned.remove();
});

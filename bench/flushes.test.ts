import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { flushTimes } from './flushes.ts';

it('flushes as often as told, and leaves nothing behind', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-flushes-'));
  try {
    const times = await flushTimes(folder, 200, 0.2);
    expect(times).toMatchObject({ count: 40 });
    expect(times!.p50Ms).toBeGreaterThan(0);
    expect(times!.maxMs).toBeGreaterThanOrEqual(times!.p50Ms * 0.99);
    expect(await readdir(folder)).toEqual([]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

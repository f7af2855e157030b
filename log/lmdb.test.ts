import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { ALARMS, STATS, TELEMETRY } from '../model/topics.ts';
import { checkpointsContract } from './checkpoints.contract.ts';
import { type LmdbLog, openLmdbLog } from './lmdb.ts';
import { openLmdbCheckpoints } from './lmdb-checkpoints.ts';
import { openWritableEnv } from './lmdb-env.ts';
import { logContract, PARTITIONS } from './log.contract.ts';

const dirs: string[] = [];
const freshDir = async (): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-log-'));
  dirs.push(dir);
  return dir;
};
afterAll(() => Promise.all(dirs.map((dir) => rm(dir, { recursive: true, force: true }))));

/** The machine's time and a bit, which a test may push forward. */
class PushedClock extends ManualClock {
  override nowMs(): number {
    return super.nowMs() + Date.now();
  }
}

logContract('LMDB', {
  place: async () => {
    const dir = await freshDir();
    const clock = new PushedClock();
    return {
      open: ({ partitions = PARTITIONS, retention } = {}) =>
        openLmdbLog({
          dir,
          partitions,
          writes: [TELEMETRY, ALARMS, STATS.door],
          retention,
          mapBytesMax: 256 << 20,
          clock,
        }),
      async age(log, ageMs) {
        clock.advance(ageMs + 1);
        await (log as LmdbLog).retain();
      },
      remove: () => rm(dir, { recursive: true, force: true }),
    };
  },
  hugeBytes: 40 << 20,
  skips: {},
});

checkpointsContract('LMDB', {
  place: async () => {
    const dir = await freshDir();
    return {
      open: (onDamaged, partitions) => openLmdbCheckpoints({ dir, partitions, onDamaged }),
      async damageNewest(partition) {
        const env = openWritableEnv(dir, 1 << 30);
        // The slot with the higher sequence (its last byte tells, as few are written here) holds the newest.
        const slots = env.read((get) => [0, 1].map((s) => get(Uint8Array.of(3, 0, partition, s))?.[7] ?? -1));
        const key = Uint8Array.of(4, 0, partition, slots[1] > slots[0] ? 1 : 0, 0, 0, 0, 0);
        const chunk = env.read((get) => get(key))!;
        chunk[chunk.length >> 1] ^= 4;
        await env.commit([[key, chunk]]);
        await env.close();
      },
      remove: () => rm(dir, { recursive: true, force: true }),
    };
  },
  largeBytes: 20 << 20,
  skips: { 'sees what another process saved': 'an LMDB environment has one process; a take-over is a restart' },
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
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

it('keeps what a group has not committed, beyond age and size, and deletes it once it has', async () => {
  const dir = await freshDir();
  const clock = new PushedClock();
  const retention = { [TELEMETRY]: { ageMs: 60_000, bytesMax: 16 << 20, heldFor: 'processor' } };
  const log = await openLmdbLog({ dir, partitions: 2, writes: [TELEMETRY], retention, mapBytesMax: 64 << 20, clock });
  for (let i = 0; i < 5; i++) for (const p of [0, 1]) await log.append(TELEMETRY, p, new Uint8Array(4 << 20));
  clock.advance(3_600_000);
  await log.retain();
  expect((await log.bounds(TELEMETRY, 0)).first).toBe(0);

  const consumer = await log.consume(TELEMETRY, {
    group: 'processor',
    bytesMax: 1,
    onAssign: async () => null,
    onRevoke: async () => {},
    onBatch: async () => {},
    onError: () => {},
  });
  await consumer.commit(0, 3);
  await log.retain();
  expect(await log.bounds(TELEMETRY, 0)).toEqual({ first: 3, next: 5 });
  expect(await log.bounds(TELEMETRY, 1)).toEqual({ first: 0, next: 5 });
  await log.close();
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
        const slot = slots[1] > slots[0] ? 1 : 0;
        // Its last change, when there is one.
        let key = Uint8Array.of(4, 0, partition, slot, 0, 0, 0, 0);
        for (let n = 1; env.read((get) => get(Uint8Array.of(5, 0, partition, slot, 0, 0, 0, n))); n++) {
          key = Uint8Array.of(5, 0, partition, slot, 0, 0, 0, n);
        }
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

it('a checkpoint whose record says an absurd length is passed over, and its place is used again', async () => {
  const dir = await freshDir();
  const damaged: string[] = [];
  const open = () => openLmdbCheckpoints({ dir, partitions: 1, onDamaged: ({ what }) => damaged.push(what) });
  const first = await open();
  for (const n of [1, 2]) await first.save(0, { offsetNext: n, state: Uint8Array.of(n) });
  await first.close();
  const env = openWritableEnv(dir, 1 << 30);
  const key = Uint8Array.of(3, 0, 0, 1);
  const record = env.read((get) => get(key))!;
  // A bit of stateBytes that makes it 281 terabytes.
  record[17] ^= 1;
  await env.commit([[key, record]]);
  await env.close();
  const again = await open();
  expect((await again.load(0))?.offsetNext).toBe(1);
  expect(damaged).toHaveLength(1);
  await again.save(0, { offsetNext: 3, state: Uint8Array.of(3) });
  expect((await again.load(0))?.offsetNext).toBe(3);
  await again.close();
});

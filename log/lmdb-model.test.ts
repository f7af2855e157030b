import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { TELEMETRY } from '../model/topics.ts';
import { type LmdbLog, openLmdbLog } from './lmdb.ts';
import { storedBytes } from './lmdb-codec.ts';
import { readAll } from './log.fixture.ts';

const PARTITIONS = 2;
const AGE_MS = 1000;
const BYTES_MAX = PARTITIONS * 20_000;

/** The log as arrays: what LMDB is held to. */
class Model {
  nowMs = 1;
  readonly frames: { ms: number; bytes: Uint8Array }[][] = [[], []];
  readonly first = [0, 0];

  retain(): void {
    for (let p = 0; p < PARTITIONS; p++) {
      const all = this.frames[p];
      const held = (): number => all.slice(this.first[p]).reduce((sum, f) => sum + storedBytes(f.bytes.length), 0);
      while (this.first[p] < all.length && all[this.first[p]].ms < this.nowMs - AGE_MS) this.first[p]++;
      while (held() > BYTES_MAX / PARTITIONS) this.first[p]++;
    }
  }
}

type Step =
  | { do: 'append'; partition: number; sizes: number[] }
  | { do: 'pass'; ms: number }
  | { do: 'retain' }
  | { do: 'reopen' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      partition: fc.nat(PARTITIONS - 1),
      sizes: fc.array(fc.oneof(fc.nat(100), fc.nat(9000), fc.constant(0)), { minLength: 1, maxLength: 5 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat(800) }) },
  { weight: 2, arbitrary: fc.constant({ do: 'retain' } as const) },
  { weight: 1, arbitrary: fc.constant({ do: 'reopen' } as const) },
);

it('does what an array would, through appends, time, retention and restarts', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const dir = await mkdtemp(join(tmpdir(), 'sluice-model-'));
      const clock = new ManualClock(1);
      const model = new Model();
      const open = (): Promise<LmdbLog> =>
        openLmdbLog({
          dir,
          partitions: PARTITIONS,
          writes: [TELEMETRY],
          retention: { [TELEMETRY]: { ageMs: AGE_MS, bytesMax: BYTES_MAX } },
          retentionCheckMs: 2 ** 40,
          mapBytesMax: 64 << 20,
          clock,
        });
      let log = await open();
      try {
        for (const s of steps) {
          if (s.do === 'append') {
            const frames = s.sizes.map((size, i) => new Uint8Array(size).fill(model.frames[s.partition].length + i));
            const next = model.frames[s.partition].length;
            const offsets = await Promise.all(frames.map((frame) => log.append(TELEMETRY, s.partition, frame)));
            expect(offsets).toEqual(frames.map((_, i) => next + i));
            for (const bytes of frames) model.frames[s.partition].push({ ms: model.nowMs, bytes });
          } else if (s.do === 'pass') {
            clock.advance(s.ms);
            model.nowMs += s.ms;
          } else if (s.do === 'retain') {
            await log.retain();
            model.retain();
          } else {
            await log.close();
            log = await open();
          }
          await agrees(log, model);
        }
      } finally {
        await log.close();
        await rm(dir, { recursive: true });
      }
    }),
    { numRuns: 25 },
  );
});

async function agrees(log: LmdbLog, model: Model): Promise<void> {
  for (let p = 0; p < PARTITIONS; p++) {
    const [first, all] = [model.first[p], model.frames[p]];
    expect(await log.bounds(TELEMETRY, p)).toEqual({ first, next: all.length });
    const held = await readAll(log, TELEMETRY, p);
    expect(held.map((f) => [f.offset, f.appendedMs, f.bytes.length, f.bytes[0]])).toEqual(
      all.slice(first).map((f, i) => [first + i, f.ms, f.bytes.length, f.bytes[0]]),
    );
    const time = model.nowMs - 500;
    const at = all.findIndex((f, i) => i >= first && f.ms >= time);
    expect(await log.offsetAt(TELEMETRY, p, time)).toBe(at < 0 ? all.length : at);
  }
}

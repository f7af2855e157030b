import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openLmdbLog } from '../log/lmdb.ts';
import { openLmdbCheckpoints } from '../log/lmdb-checkpoints.ts';
import { SluiceError } from '../model/errors.ts';
import { ALARMS, TELEMETRY } from '../model/topics.ts';
import { type MemoryLog, MemoryStore } from './testing/memory.ts';
import { frameOf, randomOf, START_MS, troubledFrames, troubledFramesAfter } from './testing/scenario.ts';
import {
  alarmEvents,
  appendAll,
  DEVICES,
  isDone,
  newWorld,
  outcome,
  PARTITIONS,
  start,
  stop,
  stopAll,
  until,
} from './testing/world.ts';

afterEach(stopAll);

/** The two devices of each partition take turns, with longer silences than a time to live of 80 s. */
async function appendTurns(log: MemoryLog): Promise<void> {
  for (let p = 0; p < PARTITIONS; p++) {
    for (let turn = 0; turn < 8; turn++) {
      const frames = troubledFramesAfter(30 + turn, 10, [DEVICES[p][turn % 2]], () => turn * 200_000);
      for (const frame of frames) await log.append(TELEMETRY, p, frame);
    }
  }
}

describe('a processor with real threads', () => {
  it('takes frames from the log to rows, events, a checkpoint and a commit', async () => {
    const world = newWorld();
    const processor = await start(world);
    await appendAll(world.log, 1, 60);
    await until(isDone(world), 'everything is committed');
    const stats = processor.stats();
    expect(stats.partitions).toEqual([0, 1]);
    expect(stats.readingsStored).toBe(world.store.rows.readings.length);
    expect(stats.readingsDecoded).toBe(stats.readingsStored + stats.readingsDuplicate);
    expect(stats.readingsDuplicate).toBeGreaterThan(0);
    expect(stats.readingsLate).toBeGreaterThan(0);
    expect(stats.readingsAhead).toBeGreaterThan(0);
    expect(stats.messagesQuarantined).toBe(world.store.rows.quarantine.length);
    expect(stats.messagesQuarantined).toBeGreaterThan(0);
    expect(stats.alarmsRaised).toBeGreaterThan(0);
    expect(stats.alarmsRaised + stats.alarmsCleared).toBe(alarmEvents(world).flat().length);
    expect(stats.rollupsEmitted).toBe(world.store.rows.rollups.length);
    expect(world.checkpoints.saved.get(0)?.offsetNext).toBe(60);
  });

  it('gives the same after a stop and a start in the middle of a window as without', async () => {
    const whole = newWorld();
    const first = await start(whole);
    await appendAll(whole.log, 2, 80);
    await until(isDone(whole), 'the first run is done');
    await stop(first);

    const parts = newWorld();
    const frames = [0, 1].map((p) => troubledFrames(2 + p, 80, DEVICES[p]));
    for (const [from, to] of [
      [0, 13],
      [13, 14],
      [14, 55],
      [55, 80],
    ]) {
      for (let p = 0; p < PARTITIONS; p++)
        for (const f of frames[p].slice(from, to)) await parts.log.append(TELEMETRY, p, f);
      const processor = await start(parts);
      await until(isDone(parts), `frames up to ${to} are done`);
      await stop(processor);
    }
    expect(outcome(parts)).toEqual(outcome(whole));
  });

  it.each([
    ['', (log: MemoryLog) => appendAll(log, 3, 80), null],
    [', also where devices are forgotten', appendTurns, 80_000],
  ])('gives everything once, whenever the process dies%s', { timeout: 120_000 }, async (_, append, stateTtlMs) => {
    const whole = newWorld();
    await append(whole.log);
    const first = await start(whole, { stateTtlMs });
    await until(isDone(whole), 'the run without faults is done');
    expect((first.stats().devicesForgotten ?? 0) > 0).toBe(stateTtlMs !== null);
    await stop(first);
    const expected = outcome(whole);

    const quickDeath = { tuning: { insertIntervalMs: 5, insertLingerMs: 1, drainMs: 1 } };
    for (let seed = 1; seed <= 6; seed++) {
      const random = randomOf(seed);
      const world = newWorld();
      await append(world.log);
      for (let life = 0; ; life++) {
        // A death is: at some step nothing happens any more, of this life. Before or after the step took effect.
        const stepOfDeath = life < 4 ? Math.floor(random() * 25) : Number.POSITIVE_INFINITY;
        let step = 0;
        let dead = false;
        const mayDie = (): void | Promise<void> => {
          if (step++ >= stepOfDeath) dead = true;
          if (dead) return new Promise(() => {});
        };
        world.store.beforeInsert = mayDie;
        world.store.afterInsert = mayDie;
        world.log.beforeAppend = (topic) => (topic === ALARMS ? mayDie() : undefined);
        world.checkpoints.beforeSave = mayDie;
        const processor = await start(world, { ...quickDeath, workers: 1, stateTtlMs });
        await until(() => dead || isDone(world)(), `life ${life} of seed ${seed} ends`);
        world.log.killConsumers();
        await stop(processor);
        if (!dead) break;
      }
      expect(outcome(world), `seed ${seed}`).toEqual(expected);
    }
  });

  it('replaces a thread that dies, and goes on from the checkpoint without a trace', { timeout: 60_000 }, async () => {
    const whole = newWorld();
    await appendAll(whole.log, 4, 120);
    const first = await start(whole);
    await until(isDone(whole), 'the run without faults is done');
    await stop(first);

    const world = newWorld();
    const frames = [0, 1].map((p) => troubledFrames(4 + p, 120, DEVICES[p]));
    const { Worker } = await import('node:worker_threads');
    const threads: InstanceType<typeof Worker>[] = [];
    const postMessage = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (this: InstanceType<typeof Worker>, ...args) {
      threads.push(this);
      return postMessage.apply(this, args);
    } as typeof postMessage;
    try {
      const processor = await start(world);
      for (let i = 0; i < 120; i++) {
        for (let p = 0; p < PARTITIONS; p++) await world.log.append(TELEMETRY, p, frames[p][i]);
        if (i % 40 === 20) await threads[threads.length - 1].terminate();
        if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      }
      await until(isDone(world), 'everything is committed');
      expect(processor.stats().workersRestarted).toBeGreaterThan(0);
      const total = processor.stats();
      expect(total.readingsDecoded - total.readingsDuplicate).toBe(whole.store.rows.readings.length);
    } finally {
      Worker.prototype.postMessage = postMessage;
    }
    expect(outcome(world)).toEqual(outcome(whole));
  });

  it('waits for a store that is away, with bounded memory, and then stores everything', async () => {
    const world = newWorld();
    let away = true;
    let asked = 0;
    world.store.beforeInsert = async () => {
      asked++;
      while (away) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    const tuning = { insertIntervalMs: 5, insertLingerMs: 1, drainMs: 5000, inFlightBytesMax: 4096 };
    const processor = await start(world, { batchBytesMax: 300, tuning });
    await appendAll(world.log, 5, 100);
    await until(() => asked > 0, 'an insert is tried');
    await new Promise((resolve) => setTimeout(resolve, 100));
    // Batches of inFlightBytesMax are under way, and no more were taken.
    expect(processor.stats().messagesProcessed).toBeLessThan(100);
    expect(world.checkpoints.saves).toBe(0);
    away = false;
    await until(isDone(world), 'all is stored');
  });

  it('tells of alarms while the store is away, and stores everything once afterwards', async () => {
    const usual = newWorld();
    await appendAll(usual.log, 8, 60);
    await start(usual);
    await until(isDone(usual), 'all is stored');
    const events = alarmEvents(usual);
    expect(events.flat().length).toBeGreaterThan(3);

    const world = newWorld();
    let away = true;
    world.store.beforeInsert = async () => {
      while (away) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    await start(world);
    await appendAll(world.log, 8, 60);
    await until(() => alarmEvents(world).flat().length === events.flat().length, 'all events are on the log');
    expect(world.store.rows.readings).toEqual([]);
    expect(world.checkpoints.saves).toBe(0);
    away = false;
    await until(isDone(world), 'all is stored');
    expect(outcome(world)).toEqual(outcome(usual));
  });

  it('puts rows that a thread has gathered into one insert', async () => {
    const world = newWorld();
    let first = true;
    let readings = 0;
    let release = (): void => {};
    const waits = new Promise<void>((resolve) => {
      release = resolve;
    });
    // What comes while the first insert is under way gathers.
    world.store.beforeInsert = async (table) => {
      if (table === 'readings') readings++;
      if (first) {
        first = false;
        await waits;
      }
    };
    const processor = await start(world, { batchBytesMax: 300 });
    await world.log.append(
      TELEMETRY,
      0,
      frameOf([{ receivedMs: START_MS, device: DEVICES[0][0], payload: '{"a":1}' }]),
    );
    await until(() => !first, 'the first insert is under way');
    for (let p = 0; p < PARTITIONS; p++) {
      for (const frame of troubledFrames(9 + p, 60, DEVICES[p])) await world.log.append(TELEMETRY, p, frame);
    }
    const appended = world.log.frames(TELEMETRY, 0).length + world.log.frames(TELEMETRY, 1).length;
    expect(appended).toBe(121);
    await until(() => processor.stats().messagesProcessed > 100, 'they are worked at');
    release();
    await until(isDone(world), 'all is stored');
    expect(readings).toBeLessThan(appended / 2);
  });

  it('retries alarm events while the log is away, and says why it cannot go on when the store refuses', async () => {
    const world = newWorld();
    let failures = 3;
    world.log.beforeAppend = (topic) => {
      if (topic === ALARMS && failures-- > 0) throw new SluiceError('LOG_UNAVAILABLE', 'away');
    };
    const processor = await start(world);
    await appendAll(world.log, 6, 40);
    await until(isDone(world), 'everything is committed');
    expect(failures).toBeLessThan(0);
    world.store.beforeInsert = () => {
      throw new SluiceError('STORE_REFUSED', 'no such column');
    };
    await world.log.append(TELEMETRY, 0, frameOf([{ receivedMs: START_MS, device: 'd1', payload: '{"a":1}' }]));
    expect(await processor.failed).toMatchObject({ code: 'STORE_REFUSED' });
    expect(processor.stats().running).toBe(false);
  });

  it('replays from the start of the log when a checkpoint cannot be read', async () => {
    const world = newWorld();
    await appendAll(world.log, 7, 40);
    const first = await start(world);
    await until(isDone(world), 'everything is committed');
    await stop(first);
    const before = outcome(world);
    const saved = world.checkpoints.saved.get(0);
    world.checkpoints.saved.set(0, { offsetNext: 40, state: saved!.state.slice(0, -3) });
    const second = await start(world);
    await until(() => world.checkpoints.saves > 2 && isDone(world)(), 'it is saved anew');
    await stop(second);
    expect(outcome(world)).toEqual(before);
  });

  it('does the same on the LMDB log and its checkpoints', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sluice-processor-'));
    const store = new MemoryStore();
    const mapBytesMax = 256 * 1024 * 1024;
    const log = await openLmdbLog({ dir, partitions: PARTITIONS, writes: [TELEMETRY, ALARMS], mapBytesMax });
    const checkpoints = await openLmdbCheckpoints({ dir: join(dir, 'state'), partitions: PARTITIONS, onDamaged() {} });
    try {
      const whole = newWorld();
      await appendAll(whole.log, 8, 50);
      const first = await start(whole);
      await until(isDone(whole), 'the run in memory is done');
      await stop(first);
      const frames = [0, 1].map((p) => troubledFrames(8 + p, 50, DEVICES[p]));
      for (const [from, to] of [
        [0, 20],
        [20, 50],
      ]) {
        for (let p = 0; p < PARTITIONS; p++) {
          for (const f of frames[p].slice(from, to)) await log.append(TELEMETRY, p, f);
        }
        const processor = await start({ ...whole, store }, { log, checkpoints });
        const wanted = (offset: number | null) => offset === to;
        let committed: (number | null)[] = [];
        while (!committed.every(wanted) || committed.length === 0) {
          await new Promise((resolve) => setTimeout(resolve, 10));
          committed = await log.committed('processor', TELEMETRY);
        }
        await stop(processor);
      }
      expect({ ...outcome({ ...whole, store }), events: [] }).toEqual({ ...outcome(whole), events: [] });
    } finally {
      await checkpoints.close();
      await log.close();
      await rm(dir, { recursive: true, force: true });
    }
  });
});

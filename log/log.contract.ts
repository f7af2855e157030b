import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { STATS, TELEMETRY } from '../model/topics.ts';
import { Collector, eventually, Member, range, readAll, text, textOf } from './log.fixture.ts';
import type { Log } from './log.ts';
import type { Retention } from './retention.ts';

/** A place where a log lives: data of its own, opened as often as wanted, by one engine. */
export interface LogPlace {
  open(settings?: { partitions?: number; retention?: Record<string, Retention> }): Promise<Log>;
  /** Lets the time pass that `ageMs` of retention needs, and makes the engine look. */
  age(log: Log, ageMs: number): Promise<void>;
  remove(): Promise<void>;
}

export interface LogContractOptions {
  place: () => Promise<LogPlace>;
  /** Size of the huge frame. */
  hugeBytes: number;
  /** Known gaps of an engine: the name of a test, and why. */
  skips: Readonly<Record<string, string>>;
}

export const PARTITIONS = 4;

/** The promises of log.ts, for every engine. */
export function logContract(engine: string, options: LogContractOptions): void {
  let place: LogPlace;
  const opened: Log[] = [];
  const open = async (settings?: Parameters<LogPlace['open']>[0]): Promise<Log> => {
    const log = await place.open(settings);
    opened.push(log);
    return log;
  };
  const test = (name: string, run: () => Promise<void>): void => {
    const reason = options.skips[name];
    if (reason !== undefined) it.skip(`${name} (${reason})`, run);
    else it(name, run);
  };

  describe(`the log on ${engine}`, () => {
    beforeEach(async () => {
      place = await options.place();
    });
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((log) => log.close()));
      await place.remove();
    });

    test('reads back in the order of the calls, in each partition', async () => {
      const log = await open();
      const offsets = await Promise.all(
        range(200).map((i) => log.append(TELEMETRY, i % PARTITIONS, text(`frame ${i}`))),
      );
      for (let p = 0; p < PARTITIONS; p++) {
        const frames = await readAll(log, TELEMETRY, p);
        expect(frames.map(textOf)).toEqual(range(200 / PARTITIONS).map((i) => `frame ${i * PARTITIONS + p}`));
        expect(frames.map((f) => f.offset)).toEqual(offsets.filter((_, i) => i % PARTITIONS === p));
        expect(frames.every((f) => f.partition === p && f.appendedMs > 0)).toBe(true);
      }
      expect(offsets[0]).toBe(0);
    });

    test('holds what was acknowledged after it is opened again', async () => {
      const first = await open();
      await Promise.all(range(20).map((i) => first.append(TELEMETRY, 1, text(`kept ${i}`))));
      await first.close();
      const log = await open();
      expect((await readAll(log, TELEMETRY, 1)).map(textOf)).toEqual(range(20).map((i) => `kept ${i}`));
      expect(await log.append(TELEMETRY, 1, text('next'))).toBe(20);
    });

    test('takes empty and huge frames', async () => {
      const log = await open();
      const huge = new Uint8Array(options.hugeBytes).map((_, i) => i % 251);
      const offsets = await Promise.all([
        log.append(TELEMETRY, 0, new Uint8Array(0)),
        log.append(TELEMETRY, 0, huge),
        log.append(TELEMETRY, 0, text('after')),
      ]);
      expect(offsets).toEqual([0, 1, 2]);
      const frames = await readAll(log, TELEMETRY, 0);
      expect(frames[0].bytes.length).toBe(0);
      expect(Buffer.compare(frames[1].bytes, huge)).toBe(0);
      expect(textOf(frames[2])).toBe('after');
      expect((await log.last(TELEMETRY, 0))!.offset).toBe(2);
    });

    test('bounds what a read gives, but gives at least one frame', async () => {
      const log = await open();
      await Promise.all(range(10).map(() => log.append(TELEMETRY, 0, new Uint8Array(1000))));
      expect(await log.read(TELEMETRY, 0, 0, 1)).toHaveLength(1);
      const some = await log.read(TELEMETRY, 0, 2, 3500);
      expect(some.length).toBeGreaterThanOrEqual(1);
      expect(some.length).toBeLessThanOrEqual(3);
      expect(some[0].offset).toBe(2);
      expect(await log.read(TELEMETRY, 0, 10, 1000)).toEqual([]);
      expect(await log.read(TELEMETRY, 0, 11, 1000)).toEqual([]);
    });

    test('gives bytes that are the reader’s own', async () => {
      const log = await open();
      await Promise.all([log.append(TELEMETRY, 0, text('one')), log.append(TELEMETRY, 0, text('two'))]);
      const [one, two] = await log.read(TELEMETRY, 0, 0, 1000);
      one.bytes.fill(0);
      structuredClone(one.bytes, { transfer: [one.bytes.buffer as ArrayBuffer] });
      expect(textOf(two)).toBe('two');
      expect(textOf((await log.read(TELEMETRY, 0, 0, 1000))[0])).toBe('one');
    });

    test('tells bounds, the last frame, and the offset of a time', async () => {
      const log = await open();
      expect(await log.bounds(TELEMETRY, 2)).toEqual({ first: 0, next: 0 });
      expect(await log.last(TELEMETRY, 2)).toBeNull();
      expect(await log.offsetAt(TELEMETRY, 2, 0)).toBe(0);
      await log.append(TELEMETRY, 2, text('a'));
      await new Promise((resolve) => setTimeout(resolve, 30));
      await log.append(TELEMETRY, 2, text('b'));
      expect(await log.bounds(TELEMETRY, 2)).toEqual({ first: 0, next: 2 });
      expect(textOf((await log.last(TELEMETRY, 2))!)).toBe('b');
      const [a, b] = await readAll(log, TELEMETRY, 2);
      expect(await log.offsetAt(TELEMETRY, 2, 0)).toBe(0);
      expect(await log.offsetAt(TELEMETRY, 2, a.appendedMs)).toBe(0);
      expect(await log.offsetAt(TELEMETRY, 2, a.appendedMs + 1)).toBe(1);
      expect(await log.offsetAt(TELEMETRY, 2, b.appendedMs)).toBe(1);
      expect(await log.offsetAt(TELEMETRY, 2, b.appendedMs + 1)).toBe(2);
    });

    test('keeps topics apart, and stats in one partition', async () => {
      const log = await open();
      await log.append(STATS.door, 0, text('stats'));
      await log.append(TELEMETRY, 0, text('telemetry'));
      expect((await readAll(log, STATS.door, 0)).map(textOf)).toEqual(['stats']);
      await expect(log.append(STATS.door, 1, text(''))).rejects.toMatchObject({ code: 'LOG_TOPIC_UNKNOWN' });
      await expect(log.append(TELEMETRY, PARTITIONS, text(''))).rejects.toMatchObject({ code: 'LOG_TOPIC_UNKNOWN' });
      await expect(log.read(TELEMETRY, -1, 0, 1)).rejects.toMatchObject({ code: 'LOG_TOPIC_UNKNOWN' });
    });

    test('refuses to open with another number of partitions, and says which would be right', async () => {
      const log = await open();
      await log.append(TELEMETRY, 0, text('x'));
      await log.close();
      const other = open({ partitions: PARTITIONS + 1 }).then((l) => l.bounds(TELEMETRY, 0));
      await expect(other).rejects.toMatchObject({
        code: 'LOG_LAYOUT',
        values: { partitionsStored: PARTITIONS, partitionsWanted: PARTITIONS + 1 },
      });
    });

    test('follows from the end, and from an offset', async () => {
      const log = await open();
      await log.append(TELEMETRY, 0, text('before'));
      const fresh = new Collector();
      const whole = new Collector();
      const tails = [
        await log.tail(TELEMETRY, { onFrames: fresh.take, onError: fresh.fail }),
        await log.tail(TELEMETRY, { from: () => 0, onFrames: whole.take, onError: whole.fail }),
      ];
      for (let i = 0; i < 5; i++) {
        await log.append(TELEMETRY, i % 2, text(`new ${i}`));
        await fresh.until(i + 1);
      }
      await whole.until(6);
      expect(fresh.texts(0)).toEqual(['new 0', 'new 2', 'new 4']);
      expect(fresh.texts(1)).toEqual(['new 1', 'new 3']);
      expect(whole.texts(0)).toEqual(['before', 'new 0', 'new 2', 'new 4']);
      await Promise.all(tails.map((tail) => tail.close()));
      await log.append(TELEMETRY, 0, text('unseen'));
      expect(fresh.count).toBe(5);
    });

    test('gives a consumer everything, from where its group committed', async () => {
      const log = await open();
      await Promise.all(range(12).map((i) => log.append(TELEMETRY, i % PARTITIONS, text(`m${i}`))));
      expect(await log.committed('g', TELEMETRY)).toEqual(range(PARTITIONS).map(() => null));
      const first = new Member(log, 'g');
      await first.start();
      await first.until(12);
      await first.consumer.commit(0, 2);
      await first.consumer.commit(1, 1);
      await first.consumer.commit(1, 3);
      await first.consumer.close();
      expect(first.revoked.sort()).toEqual(range(PARTITIONS));
      expect(await log.committed('g', TELEMETRY)).toEqual([2, 3, null, null]);
      expect(await log.committed('other', TELEMETRY)).toEqual(range(PARTITIONS).map(() => null));

      await log.append(TELEMETRY, 1, text('m13'));
      const second = new Member(log, 'g');
      await second.start();
      await second.until(1 + 1 + 3 + 3);
      expect(second.texts(0)).toEqual(['m8']);
      expect(second.texts(1)).toEqual(['m13']);
      await second.consumer.close();
      // A late commit is without effect, and does no harm.
      await second.consumer.commit(0, 0);
      expect((await log.committed('g', TELEMETRY))[0]).toBe(2);
    });

    test('starts a partition exactly at the offset that the member asks for', async () => {
      const log = await open();
      await Promise.all(range(40).map((i) => log.append(TELEMETRY, i % PARTITIONS, text(`m${i}`))));
      const member = new Member(log, 'exact', { onAssign: async (p) => [3, 10, 0, 9][p] });
      await member.start();
      await member.until(7 + 0 + 10 + 1);
      await log.append(TELEMETRY, 1, text('last'));
      await member.until(19);
      expect(member.frames.get(0)![0].offset).toBe(3);
      expect(member.texts(1)).toEqual(['last']);
      expect(member.frames.get(2)![0].offset).toBe(0);
      expect(member.texts(3)).toEqual(['m39']);
      await member.consumer.close();
    });

    test('gives a partition its next batch when the last was taken, and others meanwhile', async () => {
      const log = await open();
      let release: () => void = () => undefined;
      const blocked = new Promise<void>((resolve) => {
        release = resolve;
      });
      const inside = new Map<number, number>();
      let most = 0;
      const member = new Member(log, 'paced', {
        bytesMax: 100,
        onBatch: async (p) => {
          inside.set(p, (inside.get(p) ?? 0) + 1);
          most = Math.max(most, inside.get(p)!);
          if (p === 0) await blocked;
          else await Promise.resolve();
          inside.set(p, inside.get(p)! - 1);
        },
      });
      await Promise.all(range(40).map((i) => log.append(TELEMETRY, i % 2, new Uint8Array(60))));
      await member.start();
      await member.until(21);
      expect(member.texts(0)).toHaveLength(1);
      expect(member.texts(1)).toHaveLength(20);
      release();
      await member.until(40);
      expect(most).toBe(1);
      expect(member.frames.get(0)!.map((f) => f.offset)).toEqual(range(20));
      await member.consumer.close();
    });

    test('ends a consumer whose handler fails, and tells it', async () => {
      const log = await open();
      await log.append(TELEMETRY, 0, text('x'));
      const failed = new Promise<Error>((resolve, reject) => {
        const member = new Member(log, 'failing', {
          onBatch: async () => {
            throw new Error('the handler failed');
          },
          onError: resolve,
        });
        member.start().catch(reject);
      });
      expect((await failed).message).toBe('the handler failed');
    });

    test('deletes by size, and never gives an offset twice', async () => {
      const retention = { [TELEMETRY]: { ageMs: null, bytesMax: PARTITIONS * 2 * 2 ** 20 } };
      const log = await open({ retention });
      for (let i = 0; i < 16; i++) await log.append(TELEMETRY, 0, new Uint8Array(512 * 1024));
      await eventually(async () => {
        await place.age(log, 0);
        return (await log.bounds(TELEMETRY, 0)).first > 0;
      });
      const { first, next } = await log.bounds(TELEMETRY, 0);
      expect(next).toBe(16);
      expect((await log.read(TELEMETRY, 0, first, 1))[0].offset).toBe(first);
      await expect(log.read(TELEMETRY, 0, 0, 1)).rejects.toMatchObject({ code: 'LOG_OFFSET_GONE', values: { first } });
      const member = new Member(log, 'late', { onAssign: async () => 0 });
      await member.start();
      await member.until(1);
      expect(member.frames.get(0)![0].offset).toBeGreaterThanOrEqual(first);
      await member.consumer.close();
      await log.close();
      expect(await (await open({ retention })).append(TELEMETRY, 0, text('next'))).toBe(16);
    });

    test('deletes by age', async () => {
      const log = await open({ retention: { [TELEMETRY]: { ageMs: 1000, bytesMax: null } } });
      for (let i = 0; i < 5; i++) await log.append(TELEMETRY, 0, text(`old ${i}`));
      await eventually(async () => {
        await place.age(log, 1000);
        return (await log.bounds(TELEMETRY, 0)).first === 5;
      });
      expect(await log.bounds(TELEMETRY, 0)).toEqual({ first: 5, next: 5 });
      expect(await log.last(TELEMETRY, 0)).toBeNull();
      expect(await log.append(TELEMETRY, 0, text('new'))).toBe(5);
    });

    test('waits at its close for appends in flight, and refuses later ones', async () => {
      const log = await open();
      const acknowledged: number[] = [];
      const appends = range(50).map((i) =>
        log.append(TELEMETRY, 0, text(`m${i}`)).then(
          () => acknowledged.push(i),
          (error: { code?: string }) => expect(error.code).toBe('LOG_CLOSED'),
        ),
      );
      const closing = Promise.all([log.close(), log.close()]);
      await expect(log.append(TELEMETRY, 0, text('late'))).rejects.toMatchObject({ code: 'LOG_CLOSED' });
      await expect(log.read(TELEMETRY, 0, 0, 1)).rejects.toMatchObject({ code: 'LOG_CLOSED' });
      await Promise.all(appends);
      await closing;
      const held = (await readAll(await open(), TELEMETRY, 0)).map(textOf);
      expect(acknowledged.length).toBeGreaterThan(0);
      expect(held).toEqual(expect.arrayContaining(acknowledged.map((i) => `m${i}`)));
    });
  });
}

import { expect, it } from 'vitest';
import type { Log } from '../../log/log.ts';
import { ManualClock } from '../../model/clock.ts';
import { SluiceError } from '../../model/errors.ts';
import { TELEMETRY } from '../../model/topics.ts';
import type { Store } from '../../store/store.ts';
import { MeasuredCheckpoints } from './checkpoints.ts';
import { Change, Lasting } from './lasting.ts';
import { MeasuredLog } from './log.ts';
import { MeasuredStore } from './store.ts';
import { VitalSigns } from './vitals.ts';

const frame = new Uint8Array(100);

/** Calls that are answered by hand. */
function byHand<T>(): {
  call: () => Promise<T>;
  answers: { resolve: (value: T) => void; reject: (e: unknown) => void }[];
} {
  const answers: { resolve: (value: T) => void; reject: (e: unknown) => void }[] = [];
  return { answers, call: () => new Promise<T>((resolve, reject) => answers.push({ resolve, reject })) };
}

it('tells of a log how long appends take, how long the oldest waits, and for how long it has been full', async () => {
  const clock = new ManualClock(1000);
  const { call, answers } = byHand<number>();
  const inner = { partitions: 2, append: call, bounds: async () => ({ first: 3, next: 9 }) } as unknown as Log;
  const measured = new MeasuredLog(inner, TELEMETRY, 500, clock);
  const first = measured.log.append(TELEMETRY, 0, frame);
  clock.advance(200);
  const second = measured.log.append(TELEMETRY, 1, frame);
  clock.advance(300);
  expect(measured.stats()).toMatchObject({ waiting: 2, waitingMs: 500, framesAppended: 0, fullMs: 0 });
  answers[0].resolve(0);
  await first;
  answers[1].reject(new SluiceError('LOG_FULL', 'full'));
  await expect(second).rejects.toThrow('full');
  clock.advance(4000);
  expect(measured.stats()).toMatchObject({
    waiting: 0,
    waitingMs: 0,
    framesAppended: 1,
    bytesAppended: 100,
    fullMs: 4000,
    errors: 0,
  });
  expect(measured.stats().appendSeconds).toMatchObject({ count: 1, sum: 0.5 });
  const third = measured.log.append(TELEMETRY, 0, frame);
  answers[2].resolve(1);
  await third;
  expect(measured.stats().fullMs).toBe(0);
  await measured.refresh();
  expect(measured.stats()).toMatchObject({ framesHeld: 12, framesDeleted: 0, endOffsets: [9, 9], bytesHeld: null });
});

it('tells of a store for how long it has answered nothing', async () => {
  const clock = new ManualClock(0);
  const { call, answers } = byHand<void>();
  const measured = new MeasuredStore({ insert: call } as unknown as Store, clock);
  const insert = measured.store.insert('readings', [frame], { token: 't' });
  clock.advance(40_000);
  expect(measured.stats()).toMatchObject({ waiting: 1, silentMs: 40_000 });
  answers[0].resolve();
  await insert;
  const refused = measured.store.insert('alarms', [frame], { token: 'u' });
  answers[1].reject(new Error('no'));
  await expect(refused).rejects.toThrow('no');
  expect(measured.stats()).toMatchObject({ waiting: 0, silentMs: 0, insertErrors: 1 });
  expect(measured.stats().insertSeconds.readings).toMatchObject({ count: 1, sum: 40 });
});

it('tells of checkpoints their age and size, of the partitions that are worked at', async () => {
  const clock = new ManualClock(0);
  const inner = { load: async () => null, save: async () => {}, saveChange: async () => {}, close: async () => {} };
  const measured = new MeasuredCheckpoints(inner, clock);
  expect(measured.stats([0]).ageMs).toBeNull();
  await measured.checkpoints.save(0, { offsetNext: 1, state: new Uint8Array(10) });
  clock.advance(5000);
  await measured.checkpoints.save(1, { offsetNext: 1, state: new Uint8Array(20) });
  expect(measured.stats([0, 1])).toMatchObject({ saves: 2, bytesWritten: 30, stateBytes: 30, ageMs: 5000 });
  expect(measured.stats([1])).toMatchObject({ stateBytes: 20, ageMs: 0 });
  await measured.checkpoints.saveChange(1, { offsetNext: 2, after: 1, patch: new Uint8Array(3), stateBytes: 25 });
  expect(measured.stats([1])).toMatchObject({ saves: 3, bytesWritten: 33, stateBytes: 25 });
});

it('tells a jump of the clock from the time that passes', () => {
  const clock = new ManualClock(1_000_000);
  let monotonicMs = 0;
  const signs = new VitalSigns({ dir: null, clock, monotonicMs: () => monotonicMs });
  const pass = (wallMs: number, realMs: number): void => {
    clock.advance(wallMs);
    monotonicMs += realMs;
  };
  pass(60_000, 60_000);
  expect(signs.read()).toMatchObject({ clockJumps: 0, clockJumpAtMs: null, diskFreeBytes: null });
  pass(3_600_000, 1000);
  expect(signs.read()).toMatchObject({ clockJumps: 1, clockJumpMs: 3_599_000, clockJumpAtMs: clock.nowMs() });
  pass(1000, 1000);
  expect(signs.read().clockJumps).toBe(1);
  signs.close();
});

it('remembers for how long something has been so, and how much it has changed', () => {
  const lasting = new Lasting();
  expect([lasting.look(true, 0), lasting.look(true, 500), lasting.look(false, 600), lasting.look(true, 900)]).toEqual([
    0, 500, 0, 0,
  ]);
  const change = new Change(3000);
  const values = [0, 1, 2, 3, 4, 5].map((v) => change.look(v * 10, v * 1000));
  expect(values).toEqual([0, 10, 20, 30, 30, 30]);
});

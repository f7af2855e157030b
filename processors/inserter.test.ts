import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { ReadingsBlock } from '../store/blocks.ts';
import { NOTHING, noCounts } from './batch-output.ts';
import { Inserter, type RowSource } from './inserter.ts';
import { MemoryStore } from './testing/memory.ts';

const INTERVAL_MS = 1000;
const LINGER_MS = 5;
const ROWS_MAX = 100_000;

function block(rows: number): Uint8Array<ArrayBuffer>[] {
  const block = new ReadingsBlock({ device: () => 'd', metric: () => 'm' }, 0);
  for (let row = 0; row < rows; row++) block.add(0, row, 1, '', row, row, 0, false);
  return block.finish();
}

/** One that says when its inserts begin, by the clock that stands until it is moved. */
function openInserter() {
  const clock = new ManualClock(10_000);
  const begun: { atMs: number; table: string }[] = [];
  const store = new MemoryStore();
  store.insert = async (table) => {
    begun.push({ atMs: clock.nowMs(), table });
  };
  const signal = new AbortController().signal;
  const options = { store, clock, rowsMax: ROWS_MAX, lingerMs: LINGER_MS, intervalMs: INTERVAL_MS, signal };
  const inserter = new Inserter(options);
  let offset = 0;
  const add = (rows: number): Promise<void> => {
    const output = {
      ...NOTHING,
      blocks: { ...NOTHING.blocks, readings: block(rows) },
      rows: { ...NOTHING.rows, readings: rows },
      held: 0,
      counts: noCounts(),
    };
    const offsetFirst = offset++;
    return inserter.add({ partition: 0, offsetFirst, offsetNext: offset, appendedMs: 0, output });
  };
  const advance = async (byMs: number): Promise<void> => {
    clock.advance(byMs);
    await turn();
  };
  return { inserter, clock, begun, add, advance };
}

it('inserts the first rows after a quiet time at once, and what comes then once in an interval', async () => {
  const { begun, add, advance } = openInserter();
  const first = add(1);
  await advance(LINGER_MS);
  await first;
  expect(begun.map(({ atMs }) => atMs)).toEqual([10_005]);
  const later = [add(1)];
  await advance(500);
  later.push(add(1));
  await advance(INTERVAL_MS - 501);
  expect(begun).toHaveLength(1);
  await advance(1);
  await Promise.all(later);
  expect(begun.map(({ atMs }) => atMs)).toEqual([10_005, 11_005]); // both in one insert
});

it('waits no longer when an insert is full, and when somebody needs the room', async () => {
  const { inserter, begun, add, advance } = openInserter();
  const first = add(1);
  await advance(LINGER_MS);
  await first;
  await advance(10);
  const full = add(ROWS_MAX);
  await turn();
  await full;
  expect(begun).toHaveLength(2);
  const held = add(1);
  await advance(10);
  expect(begun).toHaveLength(2);
  inserter.hurry();
  await held;
  expect(begun.map(({ atMs }) => atMs)).toEqual([10_005, 10_015, 10_025]);
});

it('is not held up by a clock that was set back', async () => {
  const { clock, begun, add, advance } = openInserter();
  const first = add(1);
  await advance(LINGER_MS);
  await first;
  const real = clock.nowMs.bind(clock);
  clock.nowMs = () => real() - 3_600_000;
  const second = add(1);
  await advance(0.7 * INTERVAL_MS);
  await advance(0.3 * INTERVAL_MS);
  await second;
  expect(begun).toHaveLength(2);
});

/** A partition whose rows stay with its thread until they are asked for; when it was. */
function announceSources({ inserter, clock, add }: ReturnType<typeof openInserter>, count: number, rows: number) {
  const askedMs: number[] = [];
  for (let i = 0; i < count; i++) {
    const source: RowSource = {
      async collect() {
        askedMs.push(clock.nowMs());
        void add(1);
      },
    };
    inserter.announce(source, rows);
  }
  return askedMs;
}

async function afterFirstInsert() {
  const opened = openInserter();
  const first = opened.add(1);
  await opened.advance(LINGER_MS);
  await first;
  const untilMs = async (ms: number) => {
    while (opened.clock.nowMs() < ms) await opened.advance(1);
  };
  return { ...opened, untilMs };
}

it('asks for many rows one partition after another, in the last part of the interval, so that frames get between', async () => {
  const opened = await afterFirstInsert();
  const askedMs = announceSources(opened, 3, 6_000);
  await opened.untilMs(12_000);
  expect(askedMs).toEqual([10_705, 10_805, 10_905]);
  expect(opened.begun.map(({ atMs }) => atMs)).toEqual([10_005, 11_005]);
});

it('asks for few rows at once, when the insert begins', async () => {
  const opened = await afterFirstInsert();
  const askedMs = announceSources(opened, 3, 100);
  await opened.untilMs(12_000);
  expect(askedMs).toEqual([11_005, 11_005, 11_005]);
  expect(opened.begun.map(({ atMs }) => atMs)).toEqual([10_005, 11_005]);
});

it('asks for what is left at once when somebody needs the room, and when an insert is full', async () => {
  const hurried = await afterFirstInsert();
  const askedMs = announceSources(hurried, 3, 6_000);
  await hurried.untilMs(10_810);
  hurried.inserter.hurry();
  await turn();
  expect(askedMs).toEqual([10_705, 10_805, 10_810]);
  expect(hurried.begun.map(({ atMs }) => atMs)).toEqual([10_005, 10_810]);

  const full = await afterFirstInsert();
  const fullAskedMs = announceSources(full, 3, ROWS_MAX / 2);
  await turn();
  expect(fullAskedMs).toEqual([10_005, 10_005]);
  expect(full.begun.map(({ atMs }) => atMs)).toEqual([10_005, 10_005]);
});

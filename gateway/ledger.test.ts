import { afterAll, beforeAll, expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { LEDGER_COUNTS, type LedgerCount, type LedgerRow, MINUTE_MS } from '../model/ledger.ts';
import { LedgerBlock } from '../store/blocks.ts';
import { openParts, type Parts } from './gateway.fixture.ts';
import { LedgerBoard } from './ledger.ts';
import { StoreGate } from './store-gate.ts';

const NOW_MS = Date.UTC(2026, 5, 1, 12, 0, 30);
const minuteAgo = (n: number) => Math.floor(NOW_MS / MINUTE_MS) * MINUTE_MS - n * MINUTE_MS;

let parts: Parts;
beforeAll(async () => {
  parts = await openParts();
});
afterAll(() => parts.close());

let inserts = 0;
async function insert(...rows: (Partial<LedgerRow> & { minuteMs: number })[]): Promise<void> {
  const block = new LedgerBlock();
  const none = Object.fromEntries(LEDGER_COUNTS.map((name) => [name, 0])) as Record<LedgerCount, number>;
  for (const row of rows) {
    block.add({ ...none, partition: 0, device: 'd', offsetFirst: 0, offsetNext: 1, countedTo: 1, ...row });
  }
  await parts.writer.insert('ledger', block.finish(), { token: `test-${inserts++}` });
}

it('adds up the last day, each key by what was counted last, and asks again for what may still change', async () => {
  const clock = new ManualClock(NOW_MS);
  const gate = new StoreGate(parts.reader, clock);
  const board = new LedgerBoard(gate, clock);
  expect((await board.balance()).countedMs).toBeNull();

  await insert(
    { minuteMs: minuteAgo(2000), logged: 1000, received: 1000 },
    { minuteMs: minuteAgo(700), logged: 9, received: 10, quarantined: 2, readings: 14, stored: 13, duplicates: 1 },
    { minuteMs: minuteAgo(700), device: 'e', logged: 5, received: 3, readings: 5, stored: 5, late: 2 },
    { minuteMs: minuteAgo(0), device: '' },
    { minuteMs: minuteAgo(0), logged: 3, received: 3, readings: 3, stored: 3, seq_seen: 3, seq_missing: 4 },
  );
  clock.advance(1_000);
  expect((await board.balance()).countedMs).toBeNull(); // What was read is fresh enough.
  clock.advance(10_000);
  expect(await board.balance()).toMatchObject({
    countedMs: minuteAgo(0),
    messages: { acknowledged: 18, decoded: 15, quarantined: 2, missing: 1, unclaimed: 2, failed: 0 },
    readings: { decoded: 22, stored: 21, duplicates: 1, late: 2 },
    lateDevices: [{ device: 'e', late: 2 }],
    gaps: { seen: 3, missing: 4, devices: [{ device: 'd', missing: 4 }] },
  });

  // A minute that every partition has long passed is not asked for again, one that is open is.
  await insert({ minuteMs: minuteAgo(700), logged: 99, countedTo: 2 });
  await insert({ minuteMs: minuteAgo(0), logged: 8, received: 8, readings: 8, stored: 8, countedTo: 2 });
  clock.advance(10_000);
  expect(await board.balance()).toMatchObject({
    messages: { acknowledged: 23 },
    gaps: { missing: 0, devices: [] },
  });
});

import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { silentLogger } from '../model/logger.ts';
import type { TierSpec } from '../model/tier.ts';
import { RollupsBlock } from './blocks.ts';
import { openStore, type StoreOptions } from './clickhouse.ts';
import { type SpawnedStore, spawnStore } from './embedded/spawned.ts';
import type { Store } from './store.ts';
import { startTierKeeper, tierIntervalMs } from './tier-keeper.ts';
import { refreshTier, type TierStore } from './tiers.ts';

const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
const T0 = Date.UTC(2024, 4, 17);
const HOURS: TierSpec = { name: "1h's", from: '1m', sizeMs: HOUR, keepMs: null };
const DAYS: TierSpec = { name: '1d', from: "1h's", sizeMs: DAY, keepMs: null };

interface Row {
  device: string;
  metric: string;
  startMs: number;
  values: number[];
  revision: number;
  phase: 'early' | 'final' | 'corrected';
}

/** What a device's minute has come to, one revision after another; a few numbers, so that rows meet. */
const rowArbitrary: fc.Arbitrary<Row> = fc.record({
  device: fc.constantFrom('a', 'b', 'it\'s "c"'),
  metric: fc.constantFrom('t', 'h'),
  startMs: fc.oneof(
    fc.integer({ min: 0, max: 200 }).map((m) => T0 + m * MINUTE),
    fc.integer({ min: 0, max: 4000 }).map((m) => T0 - 2 * DAY + m * MINUTE),
    // Devices without an idea of the time.
    fc.constantFrom(0, Date.UTC(2199, 11, 31)),
  ),
  values: fc.array(
    fc.integer({ min: -1000, max: 1000 }).map((n) => n / 8),
    { maxLength: 4 },
  ),
  revision: fc.constant(0),
  phase: fc.constantFrom('early', 'final', 'corrected'),
});

type Step = { insert: Row[] } | { run: 'hours' | 'days'; breakAfter: number };

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ insert: fc.array(rowArbitrary, { minLength: 1, maxLength: 40 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ run: fc.constantFrom('hours', 'days'), breakAfter: fc.integer({ min: 0, max: 4 }) }),
  },
);

describe('tiers', () => {
  let spawned: SpawnedStore;
  let options: StoreOptions;
  let store: Store;
  let tokens = 0;
  beforeAll(async () => {
    spawned = await spawnStore();
    options = { url: spawned.url, ...spawned.credentials };
    store = openStore(options);
    await store.migrate();
  });
  afterAll(async () => {
    await store?.close();
    await spawned?.remove();
  });
  beforeEach(async () => {
    await store.command('TRUNCATE TABLE rollups');
    await store.command('TRUNCATE TABLE tier_runs');
  });

  async function insert(rows: readonly Row[], window = '1m', sizeMs = MINUTE): Promise<void> {
    const block = new RollupsBlock();
    for (const { device, metric, startMs, values, revision, phase } of rows) {
      const sum = values.reduce((a, b) => a + b, 0);
      const count = values.length;
      const [first, last] = [values[0] ?? 0, values[count - 1] ?? 0];
      const [min, max] = count === 0 ? [0, 0] : [Math.min(...values), Math.max(...values)];
      const avg = count === 0 ? 0 : sum / count;
      const common = { window, device, metric, startMs, endMs: startMs + sizeMs, extra: null, label: '' };
      block.add({ ...common, count, sum, min, max, avg, first, last, revision, phase }, 3);
    }
    await store.insert('rollups', block.finish(), { token: `tiers-${tokens++}` });
  }

  const rowsOf = (name: string) =>
    store.query<Record<string, unknown>>(
      `SELECT device, metric, toUnixTimestamp64Milli(start) AS s, toUnixTimestamp64Milli(end) AS e, count, sum, min, max, avg, first, last
       FROM rollups FINAL WHERE window = {name:String} ORDER BY device, metric, s`,
      { name },
    );

  /** In the plainest way, from the finest rows that hold. */
  function expected(held: Iterable<Row>, sizeMs: number): Record<string, unknown>[] {
    const periods = new Map<string, Row[]>();
    for (const row of [...held].sort((a, b) => a.startMs - b.startMs)) {
      if (row.phase === 'early' || row.values.length === 0) continue;
      const key = JSON.stringify([row.device, row.metric, Math.floor(row.startMs / sizeMs)]);
      periods.set(key, [...(periods.get(key) ?? []), row]);
    }
    return [...periods.entries()]
      .map(([key, rows]) => {
        const [device, metric, number] = JSON.parse(key) as [string, string, number];
        const values = rows.flatMap((r) => r.values);
        const sum = values.reduce((a, b) => a + b, 0);
        return {
          device,
          metric,
          s: number * sizeMs,
          e: (number + 1) * sizeMs,
          count: values.length,
          sum,
          min: Math.min(...values),
          max: Math.max(...values),
          avg: sum / values.length,
          first: values[0],
          last: values[values.length - 1],
        };
      })
      .sort((a, b) => order(a.device, b.device) || order(a.metric, b.metric) || a.s - b.s);
  }
  const order = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

  it('are what the finest rows say, whatever came late, was broken off or ran twice', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(stepArbitrary, { minLength: 1, maxLength: 10 }), async (steps) => {
        await store.command('TRUNCATE TABLE rollups');
        await store.command('TRUNCATE TABLE tier_runs');
        const held = new Map<string, Row>();
        for (const step of steps) {
          if ('insert' in step) {
            const rows: Row[] = [];
            for (const row of step.insert) {
              const key = JSON.stringify([row.device, row.metric, row.startMs]);
              const before = held.get(key);
              const next = { ...row, revision: (before?.revision ?? 0) + 1 };
              // A window never goes back to early, nor to no readings.
              if (before !== undefined && before.phase !== 'early' && next.phase === 'early') next.phase = 'corrected';
              if (before !== undefined && next.values.length === 0) next.values = before.values;
              held.set(key, next);
              rows.push(next);
            }
            // A replay writes some of them once more.
            await insert([...rows, ...rows.slice(0, 3)]);
          } else {
            const breaking = breakingAfter(store, step.breakAfter);
            const tier = step.run === 'hours' ? HOURS : DAYS;
            await refreshTier(breaking, tier, { rowsMax: 10 }).catch(() => undefined);
          }
        }
        await Promise.all([refreshTier(store, HOURS, { rowsMax: 25 }), refreshTier(store, HOURS)]);
        await refreshTier(store, DAYS);
        expect(await rowsOf(HOURS.name)).toEqual(expected(held.values(), HOUR));
        expect(await rowsOf(DAYS.name)).toEqual(expected(held.values(), DAY));
      }),
      // Without a time limit: a run that was broken off would go on behind the next test's back.
      { numRuns: 5 },
    );
  }, 240_000);

  it('look only at what has changed', async () => {
    const minute = (startMs: number, device = 'a'): Row => ({
      ...{ device, metric: 't', startMs, values: [1, 2], revision: 1, phase: 'final' },
    });
    await insert([minute(T0), minute(T0 + HOUR), minute(T0, 'b')]);
    expect(await refreshTier(store, HOURS, { marginMs: -1 })).toMatchObject({ changed: 3 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    await insert([{ ...minute(T0), revision: 2, values: [5] }]);
    expect(await refreshTier(store, HOURS, { marginMs: -1 })).toEqual({ changed: 1, statements: 1 });
    expect(await refreshTier(store, HOURS, { marginMs: -1 })).toEqual({ changed: 0, statements: 0 });
    expect((await rowsOf(HOURS.name)).map((r) => r.sum)).toEqual([5, 3, 3]);
  });

  it('begin anew under another definition, without the rows of the one before', async () => {
    await insert([{ device: 'a', metric: 't', startMs: T0 + 90 * MINUTE, values: [1], revision: 1, phase: 'final' }]);
    await refreshTier(store, HOURS);
    await refreshTier(store, { ...HOURS, sizeMs: 2 * HOUR });
    expect((await rowsOf(HOURS.name)).map((r) => [r.s, r.e])).toEqual([[T0, T0 + 2 * HOUR]]);
  });

  it('have a retention each, which takes nothing else, and what it leaves never replaces the whole', async () => {
    const at = (m: number): Row => ({
      ...{ device: 'a', metric: 't', startMs: T0 + m * MINUTE, values: [m], revision: 1, phase: 'final' },
    });
    await insert([at(0), at(1)]);
    await insert([at(0), at(1)], '10s', 10_000);
    await refreshTier(store, HOURS);
    // As if the first two minutes had been written long ago; and one of an hour before their hour is written now.
    await store.command(
      `INSERT INTO rollups (window, device, metric, start, end, count, revision, written) SELECT window, device, metric, start, end, count, revision, now64(3) - 7200 FROM rollups WHERE window != {name:String}`,
      { name: HOURS.name },
    );
    await store.command('OPTIMIZE TABLE rollups FINAL');
    const keeping = openStore({
      ...options,
      rollupsKeepMs: [
        { name: '1m', keepMs: HOUR },
        { name: '10s', keepMs: null },
        { name: HOURS.name, keepMs: 2 * HOUR },
      ],
    });
    await keeping.migrate();
    const ttl = async () =>
      (await store.query<{ e: string }>("SELECT engine_full AS e FROM system.tables WHERE name = 'rollups'"))[0].e;
    const before = await ttl();
    await keeping.migrate();
    expect(await ttl()).toBe(before);
    await store.command('ALTER TABLE rollups MATERIALIZE TTL SETTINGS mutations_sync = 1');
    await insert([at(5)]);
    await store.command('OPTIMIZE TABLE rollups FINAL');
    expect((await rowsOf('1m')).map((r) => r.s)).toEqual([at(5).startMs]);
    expect(await rowsOf('10s')).toHaveLength(2);
    await refreshTier(store, HOURS);
    expect(await rowsOf(HOURS.name)).toMatchObject([{ count: 2, last: 1 }]);
    await keeping.close();
    await store.migrate();
    expect(await ttl()).not.toContain('TTL');
  });

  it('are kept by the clock, each in its own time, and a failure is told and passes', async () => {
    expect([MINUTE, HOUR, DAY, 7 * DAY].map(tierIntervalMs)).toEqual([MINUTE, 150_000, HOUR, HOUR]);
    await insert([{ device: 'a', metric: 't', startMs: T0, values: [1], revision: 1, phase: 'final' }]);
    const clock = new ManualClock(T0);
    const told: string[] = [];
    const logger = { ...silentLogger, warn: (message: string) => told.push(message) };
    let broken = true;
    const flaky: TierStore = {
      query: (sql, params) => (broken ? Promise.reject(new Error('away')) : store.query(sql, params)),
      command: (sql, params) => store.command(sql, params),
    };
    const keeper = startTierKeeper({ store: flaky, tiers: [HOURS, DAYS], clock, logger });
    await until(() => keeper.stats().failures === 2);
    broken = false;
    await until(() => {
      clock.advance(HOUR);
      return keeper.stats().runs >= 2;
    });
    await keeper.close();
    expect(told).toHaveLength(2);
    expect(await rowsOf(DAYS.name)).toHaveLength(1);
  });
});

/** Breaks off after so many statements, as a process that is killed does. */
function breakingAfter(store: Store, commands: number): TierStore {
  let left = commands;
  return {
    query: (sql, params) => store.query(sql, params),
    command: (sql, params) => (left-- > 0 ? store.command(sql, params) : Promise.reject(new Error('killed'))),
  };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

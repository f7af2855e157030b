import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ManualClock } from '../../model/clock.ts';
import { type Logger, silentLogger } from '../../model/logger.ts';
import { MERGE_LOOK_MS } from './merge-backlog.ts';
import { type EmbeddedStore, startEmbeddedStore } from './server.ts';

const WAIT = { timeout: 100_000, interval: 20 };
const PARTS_MAX = 16;
/** The engine's own threads then leave less than 50 parts alone, so that whatever merges them is the store. */
const NEVER_BY_ITSELF = 'SETTINGS merge_selector_base = 1000000';

describe('parts that pile up since the engine does not merge them', () => {
  let dir: string;
  let clock: ManualClock;
  let store: EmbeddedStore;
  let warnings: string[] = [];
  let failures = 0;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sluice-backlog-'));
    await start();
  });
  beforeEach(() => {
    warnings = [];
    failures = 0;
  });
  afterAll(async () => {
    await store.close();
    await rm(dir, { recursive: true, force: true });
  });

  async function start(): Promise<void> {
    clock = new ManualClock();
    const logger: Logger = {
      ...silentLogger,
      debug: (text) => void (text.includes('could not merge') && failures++),
      warn: (text, values) => void warnings.push(`${text}: ${values?.error}`),
    };
    const http = { host: '127.0.0.1', port: 0 };
    store = await startEmbeddedStore({ dir, http, readOnly: false, backlogPartsMax: PARTS_MAX, clock, logger });
  }

  async function run(sql: string): Promise<string> {
    const answer = await fetch(`${store.url}/?query=${encodeURIComponent(sql)}`, { method: 'POST' });
    const text = await answer.text();
    if (!answer.ok) throw new Error(text);
    return text.trim();
  }

  const partsOf = async (table: string, partition: number): Promise<number> =>
    Number(
      await run(`SELECT count() FROM system.parts WHERE active AND table = '${table}' AND partition = '${partition}'`),
    );

  /** A table with so many parts, of a thousand rows each, in each partition. */
  async function fill(table: string, partitions: readonly number[]): Promise<void> {
    await run(
      `CREATE TABLE \`${table}\` (p UInt8, a UInt64) ENGINE = MergeTree PARTITION BY p ORDER BY a ${NEVER_BY_ITSELF}`,
    );
    for (const [p, parts] of partitions.entries())
      for (let i = 0; i < parts; i++)
        await run(`INSERT INTO \`${table}\` SELECT ${p}, ${i} * 1000 + number FROM numbers(1000)`);
  }

  it('are merged when there are too many in one partition, down to half of the bound, and none of their rows is lost', async () => {
    await fill('a table', [PARTS_MAX, 3]);
    await fill('fewer', [PARTS_MAX - 1, PARTS_MAX - 1]);
    clock.advance(MERGE_LOOK_MS - 1);
    expect(await partsOf('a table', 0), 'not looked at yet').toBe(PARTS_MAX);
    clock.advance(1);
    await vi.waitUntil(() => store.stats().mergesRelieved > 0, WAIT);
    await vi.waitUntil(async () => (await partsOf('a table', 0)) < PARTS_MAX / 2, WAIT);
    expect(await run('SELECT count(), uniqExact(p, a) FROM `a table`')).toBe('19000\t19000');
    expect(await partsOf('fewer', 0)).toBe(PARTS_MAX - 1);
    expect(await partsOf('fewer', 1)).toBe(PARTS_MAX - 1);
    expect(store.stats().errors).toBe(0);
    expect(warnings).toEqual([]);
  });

  it('are tried again where merging failed, told of once, and do not keep other tables waiting', async () => {
    await fill('held', [PARTS_MAX + 4]);
    await fill('free', [PARTS_MAX]);
    await run('SYSTEM STOP MERGES held');
    clock.advance(MERGE_LOOK_MS);
    await vi.waitUntil(async () => (await partsOf('free', 0)) < PARTS_MAX / 2, WAIT);
    expect(await partsOf('held', 0)).toBe(PARTS_MAX + 4);
    // The next look begins its ten seconds when the one before has ended.
    await vi.waitUntil(() => {
      clock.advance(MERGE_LOOK_MS);
      return failures > 2;
    }, WAIT);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('Cancelled merging parts');
    await run('SYSTEM START MERGES held');
    await vi.waitUntil(async () => {
      clock.advance(MERGE_LOOK_MS);
      return (await partsOf('held', 0)) < PARTS_MAX / 2;
    }, WAIT);
    expect(await run('SELECT count(), uniqExact(a) FROM held')).toBe('20000\t20000');
  });

  it('are as they were when the store is closed meanwhile, and are merged after its next start', async () => {
    await fill('closed', [0]);
    for (let i = 0; i < PARTS_MAX; i++)
      await run(`INSERT INTO closed SELECT 0, ${i} * 300000 + number FROM numbers(300000)`);
    clock.advance(MERGE_LOOK_MS);
    const isMerging = async () =>
      store.stats().mergesRelieved > 0 || Number(await run('SELECT count() FROM system.merges')) > 0;
    await vi.waitUntil(isMerging, { timeout: 100_000, interval: 1 });
    await store.close();
    expect(warnings).toEqual([]);
    clock.advance(10 * MERGE_LOOK_MS);
    await start();
    expect(await run('SELECT count(), uniqExact(a) FROM closed')).toBe('4800000\t4800000');
    clock.advance(MERGE_LOOK_MS);
    await vi.waitUntil(async () => (await partsOf('closed', 0)) < PARTS_MAX / 2, WAIT);
    expect(await run('SELECT count(), uniqExact(a) FROM closed')).toBe('4800000\t4800000');
  });
});

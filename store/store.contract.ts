import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { alarmEventOf } from '../model/alarm.fixture.ts';
import type { Rollup } from '../model/rollup.ts';
import {
  AlarmEventsBlock,
  AlarmsBlock,
  mergeReadings,
  QuarantineBlock,
  ReadingsBlock,
  RollupsBlock,
} from './blocks.ts';
import { openStore, type StoreOptions } from './clickhouse.ts';
import { holdsDevices } from './devices.contract.ts';
import { MIGRATIONS, migrate } from './migrations.ts';
import type { Store, TableName } from './store.ts';

export interface StoreUnderTest {
  options: StoreOptions;
  close(): Promise<void>;
}

const T0 = Date.UTC(2024, 4, 17, 12);
const NAMES = {
  device: (s: number) => `d${Math.floor(s / 2)}`,
  metric: (s: number) => (s % 2 === 0 ? 'temperature' : 'humidity'),
};
let tokens = 0;
const token = () => `t${process.pid}-${tokens++}`;

/** What every ClickHouse behind a URL must do, embedded or a server. */
export function describeStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`store: ${name}`, () => {
    let under: StoreUnderTest;
    let store: Store;
    beforeAll(async () => {
      under = await open();
      store = openStore(under.options);
      await store.migrate();
    });
    afterAll(async () => {
      await store?.command(`DROP DATABASE IF EXISTS ${under.options.database ?? 'sluice'}`);
      await store?.close();
      await under?.close();
    });
    const count = async (from: string) =>
      Number((await store.query<{ n: number }>(`SELECT count() AS n FROM ${from}`))[0].n);
    const empty = (table: TableName) => store.command(`TRUNCATE TABLE ${table}`);

    it('answers a ping', async () => {
      expect(await store.ping()).toBe(true);
    });

    it('migrates from several at once, and again, to the same tables', async () => {
      const others = [openStore(under.options), openStore(under.options), openStore(under.options)];
      await Promise.all(others.map((other) => other.migrate()));
      await Promise.all(others.map((other) => other.close()));
      const rows = await store.query<{ version: number }>('SELECT version FROM migrations FINAL');
      expect(rows.map((row) => row.version)).toEqual(MIGRATIONS.map((m) => m.version));
      const columns = await store.query<{ name: string; type: string }>('DESCRIBE TABLE readings');
      const types = Object.fromEntries(columns.map((column) => [column.name, column.type]));
      expect(types).toMatchObject({
        device: 'String',
        ts: 'DateTime64(3)',
        value: 'Float64',
        text: 'String',
        received: 'DateTime64(3)',
      });
    });

    it('brings tables of an older version forward, and refuses those of a newer', async () => {
      const first = {
        version: 1,
        name: 'first',
        statements: ['CREATE TABLE IF NOT EXISTS old (a Int32) ENGINE = MergeTree ORDER BY a'],
      };
      const second = {
        version: 2,
        name: 'second',
        statements: ["ALTER TABLE old ADD COLUMN IF NOT EXISTS b String DEFAULT 'x'"],
      };
      const other = openStore({ ...under.options, database: 'sluice_older' });
      try {
        await store.command('CREATE DATABASE IF NOT EXISTS sluice_older');
        await migrate(other, {}, [first]);
        await other.command('INSERT INTO old SELECT 1');
        await migrate(other, {}, [first, second]);
        expect(await other.query('SELECT a, b FROM old')).toEqual([{ a: 1, b: 'x' }]);
        await expect(migrate(other, {}, [first])).rejects.toMatchObject({
          code: 'STORE_REFUSED',
          values: { version: 2, known: 1 },
        });
      } finally {
        await store.command('DROP DATABASE sluice_older');
        await other.close();
      }
    });

    it('sets, changes and takes away how long readings are kept', async () => {
      const ttl = async () => {
        const [row] = await store.query<{ e: string }>(
          "SELECT engine_full AS e FROM system.tables WHERE database = currentDatabase() AND name = 'readings'",
        );
        return / TTL (.*?) SETTINGS/.exec(row.e)?.[1];
      };
      for (const readingsTtlMs of [86_400_000, 172_800_000, null]) {
        const other = openStore({ ...under.options, readingsTtlMs });
        await other.migrate();
        await other.migrate();
        await other.close();
        expect(await ttl()).toBe(
          readingsTtlMs === null ? undefined : `toDateTime(received) + toIntervalSecond(${readingsTtlMs / 1000})`,
        );
      }
    });

    it('gives readings back as they were added, whatever their order', async () => {
      const reading = fc.record({
        series: fc.integer({ min: 0, max: 9 }),
        tsMs: fc.integer({ min: T0 - 1000, max: T0 + 1000 }),
        value: fc.double(),
        text: fc.oneof({ weight: 5, arbitrary: fc.constant('') }, fc.string({ unit: 'grapheme' })),
        receivedMs: fc.integer({ min: T0 - 50_000_000, max: T0 + 50_000_000 }),
        offset: fc.integer({ min: 0, max: 2 ** 44 - 1 }),
        index: fc.integer({ min: 0, max: 100_000 }),
        untimed: fc.boolean(),
        derived: fc.boolean(),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(reading, { minLength: 1, maxLength: 60 }), async (readings) => {
          await empty('readings');
          const block = new ReadingsBlock(NAMES, 7);
          for (const r of readings)
            block.add(r.series, r.tsMs, r.value, r.text, r.receivedMs, r.offset, r.index, r.untimed, r.derived);
          expect(block.rows).toBe(readings.length);
          await store.insert('readings', block.finish(), { token: token() });
          expect(block.rows).toBe(0);
          const rows = await store.query<Record<string, unknown>>(
            'SELECT device, metric, toUnixTimestamp64Milli(ts) AS tsMs, hex(reinterpretAsUInt64(value)) AS bits, text, toUnixTimestamp64Milli(received) AS receivedMs, partition, offset, `index`, toString(arrival) AS arrival, flags FROM readings',
          );
          const expected = readings.map((r) => ({
            device: NAMES.device(r.series),
            metric: NAMES.metric(r.series),
            tsMs: r.tsMs,
            bits: hex64(r.value),
            text: r.text,
            receivedMs: r.receivedMs,
            partition: 7,
            offset: r.offset,
            index: r.index,
            arrival: r.untimed ? String(BigInt(r.offset) * 2n ** 20n + BigInt(r.index) + 1n) : '0',
            flags: (r.untimed ? 1 : 0) + (r.derived ? 2 : 0),
          }));
          expect(sorted(rows)).toEqual(sorted(expected));
        }),
        { numRuns: 10 },
      );
      await empty('readings');
    });

    it('counts a redelivery once, and two readings without a time of their own twice', async () => {
      const block = new ReadingsBlock(NAMES, 0);
      block.add(0, T0, 1, '', T0 + 5, 10, 0, false);
      await store.insert('readings', block.finish(), { token: token() });
      block.add(0, T0, 1, '', T0 + 90_000_000, 77, 3, false); // the next day
      block.add(0, T0 + 5, 2, '', T0 + 5, 11, 0, true);
      block.add(0, T0 + 5, 2, '', T0 + 5, 11, 1, true);
      await store.insert('readings', block.finish(), { token: token() });
      expect(await count('readings FINAL')).toBe(3);
      await empty('readings');
    });

    it('inserts the blocks of a token once, also when they are of two days', async () => {
      const block = new ReadingsBlock(NAMES, 0);
      for (let i = 0; i < 100; i++) block.add(i % 4, T0 + i, i, '', T0 + i * 1_000_000, i, 0, false);
      const blocks = block.finish();
      expect(blocks.length).toBe(2);
      const same = token();
      for (let i = 0; i < 3; i++) await store.insert('readings', blocks, { token: same });
      expect(await count('readings')).toBe(100);
      await store.insert('readings', blocks, { token: token() });
      expect(await count('readings FINAL')).toBe(100);
      await empty('readings');
    });

    it('makes one part of one block', async () => {
      await empty('readings');
      const block = new ReadingsBlock({ device: (s) => `dev-${s}`, metric: () => 'm' }, 0);
      for (let i = 0; i < 20_000; i++) block.add(i % 700, T0 + i, i / 7, '', T0 + (i >> 3), i, 0, false);
      await store.insert('readings', block.finish(), { token: token() });
      const parts = await store.query(
        "SELECT rows FROM system.parts WHERE table = 'readings' AND database = currentDatabase() AND active",
      );
      expect(parts).toEqual([{ rows: 20_000 }]);
      await empty('readings');
    });

    it('takes blocks that leave columns out beside others, and all of them merged', async () => {
      const blocks = [0, 1, 2].flatMap((partition) => {
        const block = new ReadingsBlock({ device: (s) => `d-${s * 3 + partition}`, metric: () => 'm' }, partition);
        for (let i = 0; i < 40; i++)
          block.add(i % 4, T0 + i, i, partition === 1 ? `t${i}` : '', T0, i, 0, partition === 2 && i % 2 === 0);
        return block.finish();
      });
      const found: Record<string, unknown>[][] = [];
      for (const given of [blocks, await mergeReadings(blocks, 1)]) {
        await store.insert('readings', given, { token: token() });
        found.push(await store.query('SELECT * FROM readings ORDER BY device, ts, arrival'));
        await empty('readings');
      }
      expect(found[0].length).toBe(120);
      expect(found[1]).toEqual(found[0]);
    });

    it('gives rollups back, with FINAL the newest revision', async () => {
      const rollup: Rollup = {
        window: 'minute',
        device: 'd1',
        metric: 'temperature',
        startMs: T0,
        endMs: T0 + 60_000,
        count: 3,
        sum: 6.5,
        min: 1,
        max: 3.5,
        avg: 6.5 / 3,
        first: 1,
        last: 2,
        extra: null,
        label: '',
        grouping: '',
        revision: 1,
        phase: 'final',
      };
      const block = new RollupsBlock();
      block.add(rollup, 3);
      await store.insert('rollups', block.finish(), { token: token() });
      block.add({ ...rollup, count: 4, revision: 2 }, 3);
      block.add({ ...rollup, window: 'hour' }, 3);
      const extra = new Map([
        ['p99.9', 3.25],
        ['le_inf', 4],
      ]);
      block.add({ ...rollup, window: 'state', grouping: 'tag:line', label: 'läuft', phase: 'early', extra }, 3);
      await store.insert('rollups', block.finish(), { token: token() });
      const rows = await store.query(
        'SELECT * EXCEPT (start, end, written), toUnixTimestamp64Milli(start) AS startMs, toUnixTimestamp64Milli(end) AS endMs FROM rollups FINAL ORDER BY window',
      );
      expect(rows).toEqual([
        { ...rollup, window: 'hour', partition: 3, extra: {} },
        { ...rollup, count: 4, revision: 2, partition: 3, extra: {} },
        {
          ...rollup,
          window: 'state',
          grouping: 'tag:line',
          label: 'läuft',
          phase: 'early',
          partition: 3,
          extra: { 'p99.9': 3.25, le_inf: 4 },
        },
      ]);
    });

    it('gives alarms back, with FINAL one row each', async () => {
      const raised = alarmEventOf(
        { message: 'Zu heiß — 高温', raisedMs: T0, shelvedUntilMs: T0 + 99, suppressed: 'shelved', raises: 3 },
        { position: { partition: 1, offset: 2 ** 40, index: 3 } },
      );
      const block = new AlarmsBlock();
      block.add(raised);
      await store.insert('alarms', block.finish(), { token: token() });
      const evidence = [{ partition: 1, offset: 2 ** 40, index: 3, metric: 'temperature', tsMs: T0, value: 99.5 }];
      const alarm = {
        ...raised.alarm,
        state: 'cleared' as const,
        clearedMs: T0 + 9,
        version: 2,
        comments: [{ atMs: T0, by: 'ann', text: 'ü' }],
      };
      const position = { partition: 1, offset: 2 ** 40 + 1, index: 0 };
      const cleared = { ...raised, alarm, transition: 'cleared' as const, evidence, watermarkMs: T0 + 5, position };
      block.add(cleared);
      await store.insert('alarms', block.finish(), { token: token() });
      const rows = await store.query(
        `SELECT id, state, life, device, toUnixTimestamp64Milli(raised_at) AS raisedMs, acked_at AS ackedMs,
           toUnixTimestamp64Milli(cleared_at) AS clearedMs, toUnixTimestamp64Milli(shelved_until) AS shelvedUntilMs,
           suppressed, latched, raises, severity_max, group_id, rule_version, comments, evidence, value, message, version,
           toUnixTimestamp64Milli(watermark) AS watermarkMs, \`partition\`, \`offset\`, \`index\`
         FROM alarms FINAL`,
      );
      const { id, state, life, device, raisedMs, ackedMs, clearedMs, shelvedUntilMs, suppressed } = alarm;
      const { raises, value, message, version } = alarm;
      const same = { id, state, life, device, raisedMs, ackedMs, clearedMs, shelvedUntilMs, suppressed, raises, value };
      const more = { latched: 0, severity_max: 'major', group_id: '', rule_version: '1a2b3c4d', watermarkMs: T0 + 5 };
      const documents = { comments: JSON.stringify(alarm.comments), evidence: JSON.stringify(evidence) };
      expect(rows).toEqual([{ ...same, ...more, ...documents, message, version, ...position }]);

      const history = new AlarmEventsBlock();
      history.add(raised);
      history.add(cleared);
      history.add(cleared);
      await store.insert('alarm_events', history.finish(), { token: token() });
      const columns =
        'id, version, transition, toUnixTimestamp64Milli(at) AS atMs, `by`, notify, shelved_until IS NULL AS open';
      expect(await store.query(`SELECT ${columns} FROM alarm_events FINAL ORDER BY version`)).toEqual([
        { id, version: 1, transition: 'raised', atMs: T0, by: '', notify: 1, open: 0 },
        { id, version: 2, transition: 'cleared', atMs: T0, by: '', notify: 1, open: 0 },
      ]);
    });

    holdsDevices(() => store, token);

    it('gives quarantined bytes back, each message once', async () => {
      const payload = Uint8Array.from({ length: 300 }, (_, i) => i & 255);
      const block = new QuarantineBlock();
      for (let round = 0; round < 2; round++) {
        for (const index of [0, 1]) {
          block.add({
            device: 'd\u0000"',
            topic: 'devices/d/telemetry',
            receivedMs: T0,
            reason: 'not JSON',
            payload,
            partition: 2,
            offset: 5,
            index,
          });
        }
        await store.insert('quarantine', block.finish(), { token: token() });
      }
      const rows = await store.query(
        'SELECT device, reason, hex(payload) AS payload, `index` FROM quarantine FINAL ORDER BY `index`',
      );
      const hex = Buffer.from(payload).toString('hex').toUpperCase();
      expect(rows).toEqual([0, 1].map((index) => ({ device: 'd\u0000"', reason: 'not JSON', payload: hex, index })));
    });

    it("binds parameters, and passes the server's refusals on", async () => {
      const nasty = "it's \\ {a:String} \n '; DROP TABLE readings --";
      expect(await store.query('SELECT {s:String} AS s, {n:Float64} AS n', { s: nasty, n: 1.5 })).toEqual([
        { s: nasty, n: 1.5 },
      ]);
      await expect(store.query('SELEC 1')).rejects.toMatchObject({ code: 'STORE_REFUSED', values: { code: '62' } });
      await expect(store.command('DROP TABLE nowhere')).rejects.toMatchObject({
        code: 'STORE_REFUSED',
        values: { code: '60' },
      });
    });

    it('refuses an insert that can never succeed, without trying again', async () => {
      const block = new RollupsBlock();
      block.add(
        {
          window: 'w',
          device: 'd',
          metric: 'm',
          startMs: 0,
          endMs: 1,
          count: 1,
          sum: 1,
          min: 1,
          max: 1,
          avg: 1,
          first: 1,
          last: 1,
          extra: null,
          label: '',
          revision: 1,
          phase: 'final',
        },
        0,
      );
      const wrong = store.insert('nowhere' as TableName, block.finish(), { token: token() });
      await expect(wrong).rejects.toMatchObject({ code: 'STORE_REFUSED', values: { code: '60' } });
      const torn = new ReadingsBlock(NAMES, 0);
      torn.add(0, T0, 1, '', T0, 0, 0, false);
      const bytes = torn.finish()[0].slice(0, -3);
      await expect(store.insert('readings', [bytes], { token: token() })).rejects.toMatchObject({
        code: 'STORE_REFUSED',
      });
      expect(await count('readings')).toBe(0);
    });
  });
}

function hex64(value: number): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, Number.isNaN(value) ? Number.NaN : value);
  return view
    .getBigUint64(0)
    .toString(16)
    .toUpperCase()
    .padStart(16, '0')
    .replace(/^(00)+(?=..)/, '');
}

function sorted(rows: readonly Record<string, unknown>[]): string[] {
  return rows.map((row) => JSON.stringify(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)))).sort();
}

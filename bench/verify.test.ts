import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Session } from 'chdb';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type BlastResult, blastDevice } from '../device-sim/blast.ts';
import { expectMessages, expectNothing, PacketRing, type PayloadName } from '../device-sim/blast-payload.ts';
import type { Ask } from './stored-series.ts';
import { verifyStored } from './verify.ts';

/** The real engine, with the columns that the verification reads. */
let folder = '';
let session: Session;
const ask: Ask = async <Row>(sql: string, settings = {}): Promise<Row[]> =>
  session
    .query(
      [sql, ...Object.entries(settings).map(([name, value]) => `SETTINGS ${name} = ${value}`)].join(' '),
      'JSONEachRow',
    )
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-verify-'));
  session = new Session(folder);
  session.query('CREATE DATABASE sluice');
  session.query(`CREATE TABLE sluice.readings (device String, metric String, ts DateTime64(3), value Float64, text String)
    ENGINE = ReplacingMergeTree ORDER BY (device, metric, ts)`);
  session.query(`CREATE TABLE sluice.quarantine (device String, reason String) ENGINE = MergeTree ORDER BY device`);
});
beforeEach(() => {
  session.query('TRUNCATE TABLE sluice.readings');
  session.query('TRUNCATE TABLE sluice.quarantine');
});
afterAll(async () => {
  session.cleanup();
  await rm(folder, { recursive: true, force: true });
});

const BASE_MS = 1_700_000_000_000;
const DEVICES = 3;
const MESSAGES = 200;

/** Stores what a blast of three devices would send, read back from the very packets. */
function store(payload: PayloadName): BlastResult {
  const expected = expectNothing(payload);
  const rows: string[] = [];
  for (let d = 0; d < DEVICES; d++) {
    const device = blastDevice('run', d, DEVICES);
    const ring = new PacketRing(device, payload, 1, BASE_MS, MESSAGES, d * 131);
    ring.fill(0, MESSAGES);
    expectMessages(expected, payload, d * 131, 0, MESSAGES);
    for (let m = 0; m < MESSAGES; m++) {
      const packet = ring.bytes.toString('latin1', m * ring.packetBytes, (m + 1) * ring.packetBytes);
      const body = JSON.parse(packet.slice(packet.indexOf(payload === 'array10' ? '[{"ts"' : '{"ts"')));
      for (const { ts, ...values } of Array.isArray(body) ? body : [body]) {
        for (const [metric, value] of Object.entries(values)) {
          const [number, text] = typeof value === 'number' ? [String(value), ''] : ['nan', String(value)];
          rows.push(`('${device}', '${metric}', fromUnixTimestamp64Milli(${ts}), ${number}, '${text}')`);
        }
      }
    }
  }
  session.query(`INSERT INTO sluice.readings VALUES ${rows.join(',')}`);
  const acknowledgedByConnection = Array.from({ length: DEVICES }, () => MESSAGES);
  const about = { payload, connections: DEVICES, devicePrefix: 'run', baseMs: BASE_MS };
  return { ...about, expected, acknowledgedByConnection, unacknowledged: 0 } as BlastResult;
}

const AN_ONE = "device = 'run-0002' AND metric = 'temperature' AND ts = fromUnixTimestamp64Milli(1700000000005)";

describe('the verification', () => {
  it.each(['object', 'array10', 'single', 'strings'] as const)(
    'finds nothing wrong with what was sent: %s',
    async (payload) => {
      expect(await verifyStored(ask, store(payload))).toEqual([]);
    },
  );

  it('sees one reading that is missing, changed, moved, or too many', async () => {
    const result = store('object');
    session.query(`ALTER TABLE sluice.readings DELETE WHERE ${AN_ONE} SETTINGS mutations_sync = 2`);
    const missing = await verifyStored(ask, result);
    expect(missing[0]).toBe('temperature: 1 readings are missing');
    expect(missing[1]).toMatch(/^temperature: the sum is/);
    session.query(
      "INSERT INTO sluice.readings VALUES ('run-0002', 'temperature', fromUnixTimestamp64Milli(1700000000005), 0.25, '')",
    );
    expect(await verifyStored(ask, result)).toEqual([expect.stringMatching(/^temperature: the sum is/)]);
    session.query(
      "INSERT INTO sluice.readings VALUES ('run-0002', 'humidity', fromUnixTimestamp64Milli(1800000000000), 0, '')",
    );
    expect(await verifyStored(ask, result)).toContain('humidity: 1 readings are stored that were never sent');
  });

  it('counts a redelivery once, as the table promises with FINAL', async () => {
    const result = store('object');
    session.query(`INSERT INTO sluice.readings SELECT * FROM sluice.readings WHERE ${AN_ONE}`);
    expect(await verifyStored(ask, result)).toEqual([]);
  });

  it('sees a text that is wrong, and what landed in quarantine', async () => {
    const result = store('strings');
    session.query(
      "INSERT INTO sluice.readings VALUES ('run-0001', 'mode', fromUnixTimestamp64Milli(1800000000000), nan, 'odd')",
    );
    session.query("INSERT INTO sluice.quarantine VALUES ('run-0001', 'not JSON')");
    expect(await verifyStored(ask, result)).toEqual([
      "mode = 'odd': 1 stored, none was sent",
      'mode: the times of 1 devices are not those acknowledged: run-0001 has 201 until 100000000000 ms instead of 200',
      '1 messages in quarantine, none was broken',
    ]);
  });

  it('allows what was sent and not acknowledged to be stored or not', async () => {
    const result = store('object');
    const acknowledgedByConnection = [MESSAGES - 4, MESSAGES, MESSAGES];
    const open = { ...result, unacknowledged: 4, acknowledgedByConnection, expected: expectNothing('object') };
    expectMessages(open.expected, 'object', 0, 0, MESSAGES - 4);
    for (const d of [1, 2]) expectMessages(open.expected, 'object', d * 131, 0, MESSAGES);
    expect(await verifyStored(ask, open)).toEqual([]);
    session.query(
      `ALTER TABLE sluice.readings DELETE WHERE device = 'run-0001' AND ts >= fromUnixTimestamp64Milli(${BASE_MS + 195}) SETTINGS mutations_sync = 2`,
    );
    const metrics = ['temperature', 'humidity', 'pressure'];
    expect(await verifyStored(ask, open)).toEqual([
      ...metrics.map((m) => `${m}: 1 readings are missing`),
      ...metrics.map(
        (m) => `${m}: the times of 1 devices are not those acknowledged: run-0001 has 195 until 194 ms instead of 196`,
      ),
    ]);
  });

  it('sees what one device lacks and another has too much, whose counts and sums add up', async () => {
    const result = store('object');
    const of = (device: string, atMs: number) =>
      `device = '${device}' AND metric = 'humidity' AND ts = fromUnixTimestamp64Milli(${BASE_MS + atMs})`;
    const [{ value }] = await ask<{ value: number }>(`SELECT value FROM sluice.readings WHERE ${of('run-0003', 7)}`);
    session.query(`ALTER TABLE sluice.readings DELETE WHERE ${of('run-0003', 7)} SETTINGS mutations_sync = 2`);
    const put = (device: string, atMs: number) =>
      session.query(
        `INSERT INTO sluice.readings VALUES ('${device}', 'humidity', fromUnixTimestamp64Milli(${BASE_MS + atMs}), ${value}, '')`,
      );
    put('run-0001', MESSAGES);
    expect(await verifyStored(ask, result)).toEqual([
      'humidity: the times of 2 devices are not those acknowledged: run-0001 has 201 until 200 ms instead of 200',
    ]);
    session.query(`ALTER TABLE sluice.readings DELETE WHERE ${of('run-0001', MESSAGES)} SETTINGS mutations_sync = 2`);
    put('run-0003', MESSAGES);
    expect(await verifyStored(ask, result)).toEqual([
      'humidity: the times of 1 devices are not those acknowledged: run-0003 has 200 until 200 ms instead of 200',
    ]);
  });

  it('sees a device and a metric that nobody has sent, wherever their names lie', async () => {
    const result = store('single');
    for (const [device, metric] of [
      ['run-', 'temperature'],
      ['run-0002-b', 'temperature'],
      ['run-~', 'constructor'],
    ])
      session.query(`INSERT INTO sluice.readings VALUES ('${device}', '${metric}', now64(3), 1, '')`);
    for (const sliceReadings of [1, 250, 1e6])
      expect(await verifyStored(ask, result, { sliceReadings })).toEqual([
        'temperature: 2 readings are stored that were never sent',
        expect.stringMatching(/^temperature: the sum is/),
        'nobody has sent: constructor, run-, run-0002-b, run-~',
      ]);
    for (const other of ['run', 'run.', 'runner-0001', 'other-0001'])
      session.query(`INSERT INTO sluice.readings VALUES ('${other}', 'temperature', now64(3), 1, '')`);
    expect(await verifyStored(ask, result)).toHaveLength(3);
  });

  it('keeps what it has seen when the time is over, or a slice cannot be read', async () => {
    const result = store('object');
    session.query(
      `ALTER TABLE sluice.readings DELETE WHERE device = 'run-0001' AND metric = 'pressure' AND ts < fromUnixTimestamp64Milli(${BASE_MS + 2}) SETTINGS mutations_sync = 2`,
    );
    const missing =
      'pressure: the times of 1 devices are not those acknowledged: run-0001 has 198 until 199 ms instead of 200';
    let nowMs = 0;
    const slow: Ask = (sql, settings) => {
      nowMs += 40_000;
      return ask(sql, settings);
    };
    const options = { sliceReadings: 1, withinMs: 60_000, clock: { nowMs: () => nowMs } };
    expect(await verifyStored(slow, result, options)).toEqual([
      '1 of 3 devices were not verified within 60 s',
      missing,
    ]);
    const broken: Ask = (sql, settings) =>
      sql.includes("device >= 'run-0002'") ? Promise.reject(new Error('Timeout exceeded\nmore')) : ask(sql, settings);
    expect(await verifyStored(broken, result, { sliceReadings: 1 })).toEqual([
      'run-0002 to run-0002 could not be verified: Timeout exceeded',
      missing,
    ]);
  });

  it('reads with FINAL only the series that have too many', async () => {
    const result = store('object');
    session.query(`INSERT INTO sluice.readings SELECT * FROM sluice.readings WHERE ${AN_ONE}`);
    const asked: string[] = [];
    const noted: Ask = (sql, settings) => {
      asked.push(sql);
      return ask(sql, settings);
    };
    expect(await verifyStored(noted, result, { sliceReadings: 1 })).toEqual([]);
    const finals = asked.filter((sql) => sql.includes('FINAL'));
    expect(finals).toHaveLength(1);
    expect(finals[0]).toContain("device IN ('run-0002') AND metric IN ('temperature')");
  });

  it('counts distinct times exactly, as a set does', async () => {
    const result = store('single');
    const offsets = fc.array(
      fc.oneof(fc.nat(300), fc.integer({ min: 65_000, max: 66_000 }), fc.integer({ min: 2 ** 32 - 5, max: 2 ** 40 })),
      { minLength: 1, maxLength: 200 },
    );
    await fc.assert(
      fc.asyncProperty(offsets, async (list) => {
        session.query('TRUNCATE TABLE sluice.readings');
        const rows = list.map((at) => `('run-0001', 'temperature', fromUnixTimestamp64Milli(${BASE_MS + at}), 1, '')`);
        session.query(`INSERT INTO sluice.readings VALUES ${rows.join(',')}`);
        const said = await verifyStored(ask, { ...result, connections: 1 });
        const [last, distinct] = [Math.max(...list), new Set(list).size];
        expect(said.at(-1)).toBe(
          `temperature: the times of 1 devices are not those acknowledged: run-0001 has ${distinct} until ${last} ms instead of ${MESSAGES}`,
        );
      }),
      { numRuns: 30 },
    );
  });
});

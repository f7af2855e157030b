import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Session } from 'chdb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BlastResult } from '../device-sim/blast.ts';
import { expectMessages, expectNothing, PacketRing, type PayloadName } from '../device-sim/blast-payload.ts';
import { type Ask, verifyStored } from './verify.ts';

/** The real engine, with the columns that the verification reads. */
let folder = '';
let session: Session;
const ask: Ask = async <Row>(sql: string): Promise<Row[]> =>
  session
    .query(sql, 'JSONEachRow')
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
    const device = `run-000${d + 1}`;
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
  return { expected, devicePrefix: 'run', baseMs: BASE_MS, unacknowledged: 0 } as BlastResult;
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
      '1 messages in quarantine, none was broken',
    ]);
  });

  it('allows what was sent and not acknowledged to be stored or not', async () => {
    const result = store('object');
    const open = { ...result, unacknowledged: 4, expected: expectNothing('object') };
    expectMessages(open.expected, 'object', 0, 0, MESSAGES - 4);
    for (const d of [1, 2]) expectMessages(open.expected, 'object', d * 131, 0, MESSAGES);
    expect(await verifyStored(ask, open)).toEqual([]);
    session.query(
      `ALTER TABLE sluice.readings DELETE WHERE device = 'run-0001' AND ts >= fromUnixTimestamp64Milli(${BASE_MS + 195}) SETTINGS mutations_sync = 2`,
    );
    expect(await verifyStored(ask, open)).toEqual(
      ['temperature', 'humidity', 'pressure'].map((m) => `${m}: 1 readings are missing`),
    );
  });
});

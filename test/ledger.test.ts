import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import type { Audit } from '../cli/audit/balance.ts';
import type { Trace } from '../cli/audit/trace.ts';
import { blast } from '../device-sim/blast.ts';
import { openLmdbLog } from '../log/lmdb.ts';
import { frameKey } from '../log/lmdb-codec.ts';
import { openWritableEnv } from '../log/lmdb-env.ts';
import { mapBytes } from '../log/lmdb-topic.ts';
import { encodeIdentity, FrameBuilder, FrameReader } from '../model/frame.ts';
import { encodeClaim, LEDGER_TOPIC, MINUTE_MS } from '../model/ledger.ts';
import { TELEMETRY } from '../model/topics.ts';
import { openStore } from '../store/clickhouse.ts';
import { readCredentials } from '../store/embedded/credentials.ts';
import { eventually, kill9, type Program, startProgram } from './program.ts';

/** The ledger against the real program: it balances through kills of every role, and each kind of loss is found where it was made. */

const config = `
version: 1
ledger:
  flushMs: 500ms
log:
  tickMs: 200ms
  partitions: 2
processors:
  checkpointMs: 500ms
  idleMs: 2s
derived:
  - name: spread
    expression: metrics.pressure - metrics.temperature
windows:
  - name: 10s
    sizeMs: 10s
`;

let program: Program | undefined;
afterEach(async () => {
  await program?.remove();
  program = undefined;
});

const main = join(import.meta.dirname, '../dist/cli/main.js');

/** Runs a command of the program against the one that runs; resolves with its answer and exit code. */
async function command<Answer>(p: Program, ...args: string[]): Promise<{ answer: Answer; code: number }> {
  const settings = ['--config', join(p.dataDir, '../sluice.yaml'), '--data', p.dataDir];
  const at = ['--clickhouse-http', new URL(p.clickhouseUrl).host, '--json'];
  const done = await promisify(execFile)(process.execPath, [main, ...args, ...settings, ...at]).then(
    ({ stdout }) => ({ stdout, code: 0 }),
    (error: { stdout: string; stderr: string; code: number }) => {
      if (error.code !== 2) throw new Error(error.stderr);
      return error;
    },
  );
  return { answer: JSON.parse(done.stdout) as Answer, code: done.code };
}

/**
 * An audit that has counted `messages` and `readings` of theirs at least, and looked at their rows after that: what comes in between the
 * two is looked up one by one. What was sent twice is among the messages only.
 */
function auditOf(p: Program, messages: number, readings: number, ...args: string[]) {
  return eventually(`an audit of ${messages} messages and ${readings} readings`, async () => {
    const done = await command<Audit>(p, 'audit', ...args);
    const { totals } = done.answer;
    const counted = totals.logged >= messages && totals.readings - totals.duplicates >= readings;
    return counted && totals.rowsReadings >= readings ? done : null;
  });
}

/** As the store's owner, who may change what is there. */
async function change(p: Program, ...statements: string[]): Promise<void> {
  const store = openStore({ url: p.clickhouseUrl, ...readCredentials(join(p.dataDir, 'store')) });
  for (const statement of statements) await store.command(statement);
  await store.close();
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

it('balances after every role was killed, and while messages come', async () => {
  program = await startProgram({ config });
  const p = program;
  const published = blast({
    url: p.mqttUrl,
    connections: 10,
    messages: 40_000,
    ratePerSecond: 12_000,
    reconnect: true,
    drainMs: 60_000,
  });
  for (const roles of [
    ['processor', 'gateway'],
    ['door', 'store'],
  ]) {
    await pause(700);
    const before = await p.pids();
    for (const role of roles) kill9(before.get(role)!);
    await eventually(`another ${roles.join(' and ')}`, async () => {
      const now = await p.pids();
      return roles.every((role) => now.has(role) && now.get(role) !== before.get(role));
    });
  }
  const during = await eventually('an audit while messages come', () => command<Audit>(p, 'audit'));
  expect(during.answer.findings).toEqual([]);
  const { acknowledged, expected } = await published;
  const { answer, code } = await auditOf(p, acknowledged, expected.readings, '--read-log');
  expect(answer).toMatchObject({ balanced: true, findings: [], recounted: 0, notNarrowed: 0 });
  expect(code).toBe(0);
  const { totals } = answer;
  // What was in flight when the door died was sent again, and may be on the log twice.
  expect(totals.acknowledged).toBeGreaterThanOrEqual(acknowledged);
  expect(totals.decoded + totals.quarantined).toBe(totals.acknowledged);
  expect(totals.rowsReadings).toBe(expected.readings);
  expect(totals.stored + totals.duplicates).toBe(totals.readings);
  expect(answer.logRead).toBe(totals.logged);
  // Derived readings are beside those that were sent: one for each message, and right, whatever was killed.
  const [derived] = await p.query<Record<string, string>>(
    `SELECT count() AS n, countIf(spread != pressure - temperature) AS wrong FROM (
       SELECT anyIf(value, metric = 'spread') AS spread, anyIf(value, metric = 'pressure') AS pressure,
         anyIf(value, metric = 'temperature') AS temperature
       FROM sluice.readings FINAL GROUP BY device, ts HAVING countIf(metric = 'spread' AND bitAnd(flags, 2) = 2) = 1)`,
  );
  expect(Number(derived.n) * 3).toBe(expected.readings);
  expect(Number(derived.wrong)).toBe(0);
}, 240_000);

it('names what was taken away, added, or never arrived', async () => {
  program = await startProgram({ config });
  const p = program;
  const messages = 2000;
  await blast({ url: p.mqttUrl, connections: 4, messages });
  // The door tells each second what it has received, so that may come after the messages.
  const clean = await eventually('what the door says of all of them', async () => {
    const done = await auditOf(p, messages, messages * 3);
    return done.answer.totals.received >= messages ? done : null;
  });
  expect(clean.answer).toMatchObject({ balanced: true, findings: [] });
  expect(clean.answer.totals).toMatchObject({ received: messages, acknowledged: messages, unclaimed: 0, missing: 0 });

  // One reading removed, and one that no message gave.
  const [row] = await p.query<Record<string, string>>(
    "SELECT device, metric, toString(ts) AS ts, partition AS p, offset AS o FROM sluice.readings WHERE metric = 'humidity' ORDER BY device, ts LIMIT 1 OFFSET 100",
  );
  await change(
    p,
    `ALTER TABLE readings DELETE WHERE device = '${row.device}' AND metric = 'humidity' AND ts = '${row.ts}' SETTINGS mutations_sync = 2`,
    `INSERT INTO readings SELECT * REPLACE ('invented' AS metric) FROM readings WHERE device = 'blast-0002' ORDER BY offset, index LIMIT 1`,
  );
  const changed = await command<Audit>(p, 'audit');
  expect(changed.code).toBe(2);
  expect(changed.answer.findings).toHaveLength(2);
  const lost = changed.answer.findings.find((f) => f.device === row.device);
  const [offset, partition] = [Number(row.o), Number(row.p)];
  expect(lost).toMatchObject({ hop: 'processor → readings', partition, offsetFirst: offset, offsetNext: offset + 1 });
  const added = changed.answer.findings.find((f) => f.device === 'blast-0002');
  expect(added).toMatchObject({ hop: 'processor → readings', found: added!.expected + 1 });
  expect(added!.detail).toContain('invented');
  const other = await command<Audit>(p, 'audit', '--device', 'blast-0003');
  expect(other.answer).toMatchObject({ balanced: true });

  // One row that lies there twice counts once, and is nothing to report.
  await change(p, "INSERT INTO readings SELECT * FROM readings WHERE device = 'blast-0003' LIMIT 1");
  expect((await command<Audit>(p, 'audit', '--device', 'blast-0003')).answer.balanced).toBe(true);

  const trace = await command<Trace>(p, 'trace', row.device, `${row.ts.replace(' ', 'T')}Z`);
  expect(trace.answer.messages[0]).toMatchObject({ partition, offset });
  expect(trace.answer.messages[0].rows.map((r) => r.metric)).toEqual(['pressure', 'spread', 'temperature']);
  expect(trace.answer.messages[0].frame).toMatchObject({ topic: `devices/${row.device}/telemetry` });
  await eventually('the window has closed', async () => {
    const later = await command<Trace>(p, 'trace', row.device, `${row.ts.replace(' ', 'T')}Z`);
    return later.answer.rollups.some((r) => r.metric === 'temperature');
  });
  expect((await command<Trace>(p, 'trace', row.device, '2001-01-01')).code).toBe(2);

  // A door that says it acknowledged three messages which are not on the log, and a frame that is taken out of the log.
  await p.stop();
  const { offset: gone, device } = await takeFrameOut(p, partition);
  const nowMs = Date.now();
  const log = await openLmdbLog({ dir: join(p.dataDir, 'log'), partitions: 2, writes: [TELEMETRY], mapBytesMax });
  const claim = encodeClaim({ door: 'another', n: 1, rows: [[Math.floor(nowMs / MINUTE_MS), 'lost-1', 3, 0]] });
  const frame = new FrameBuilder();
  frame.append(nowMs, encodeIdentity('', LEDGER_TOPIC), claim, 0, claim.length);
  await log.append(TELEMETRY, 1, frame.finish());
  await log.close();
  await p.restart();
  const missing = await eventually('the claim is counted', async () => {
    const done = await command<Audit>(p, 'audit', '--device', 'lost-1');
    return done.answer.totals.missing > 0 ? done : null;
  });
  expect(missing.code).toBe(2);
  expect(missing.answer.findings).toMatchObject([
    { hop: 'door → log', partition: 1, device: 'lost-1', expected: 3, found: 0 },
  ]);
  const read = await command<Audit>(p, 'audit', '--device', device, '--read-log');
  expect(read.answer.findings.filter((f) => f.hop === 'log → processor')).toMatchObject([
    { partition, device, offsetFirst: gone, offsetNext: gone + 1 },
  ]);
}, 240_000);

const mapBytesMax = 1 << 30;

/** Removes the largest frame of a partition from the files of the log, as no part of the program would. */
async function takeFrameOut(p: Program, partition: number): Promise<{ offset: number; device: string }> {
  const log = await openLmdbLog({ dir: join(p.dataDir, 'log'), partitions: 2, writes: [], mapBytesMax });
  const frames = await log.read(TELEMETRY, partition, 0, 1 << 24);
  await log.close();
  const { offset, bytes } = frames.reduce((a, b) => (b.bytes.length > a.bytes.length ? b : a));
  const reader = new FrameReader();
  reader.reset(bytes);
  reader.next();
  const env = openWritableEnv(join(p.dataDir, 'log', TELEMETRY), mapBytes(mapBytesMax));
  await env.commit([], [frameKey(partition, offset)]);
  await env.close();
  return { offset, device: reader.device() };
}

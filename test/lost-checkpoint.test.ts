import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openLmdbLog } from '../log/lmdb.ts';
import { partitionOf } from '../model/partition.ts';
import { TELEMETRY } from '../model/topics.ts';
import { eventually, type Program, startProgram } from './program.ts';

/**
 * All checkpoints are gone and the log has kept nothing of what was before: registry, open alarms and what partitions know of each
 * other come back from the store and from the topics (docs/reliability.md).
 */

const PARTITIONS = 2;
const NAMES = ['pump-1', 'pump-2', 'pump-3', 'pump-4', 'pump-5', 'pump-6'];
const inPartition = (partition: number) => NAMES.filter((name) => partitionOf(name, PARTITIONS) === partition);
const [HOT, OTHER] = inPartition(0);
const [DOWN] = inPartition(1);

const config = `
version: 1
log: { partitions: ${PARTITIONS}, tickMs: 200 }
alarms:
  - { name: hot, metric: t, above: { device: t_max, default: 30 }, clear: 26, severity: major, inhibitedBy: [down] }
  - { name: down, metric: up, below: 1, clear: 1, severity: critical }
`;

interface Row {
  id: string;
  rule: string;
  device: string;
  life: string;
  suppressed: string;
  acked_by: string;
  raises: number;
}

let program: Program;
let client: MqttClient;

beforeAll(async () => {
  program = await startProgram({ config });
}, 90_000);

afterAll(async () => {
  await client?.endAsync(true);
  await program?.remove();
});

const connect = async () => {
  await client?.endAsync(true);
  client = await connectAsync(program.mqttUrl, { clientId: 'lost-test' });
};

const publish = (device: string, values: object) =>
  client.publishAsync(`devices/${device}/telemetry`, JSON.stringify(values), { qos: 1 });

async function ask(method: string, path: string, body: object): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${program.httpUrl}${path}`, { method, headers, body: JSON.stringify(body) });
  expect(answer.status).toBe(202);
}

const rows = () =>
  program.query<Row>(
    'SELECT id, rule, device, life, suppressed, acked_by, raises FROM sluice.alarms FINAL ORDER BY rule DESC, device',
  );

/** Removes all frames of telemetry, as retention does with old ones. */
async function expire(): Promise<void> {
  const log = await openLmdbLog({
    dir: join(program.dataDir, 'log'),
    partitions: PARTITIONS,
    writes: [TELEMETRY],
    retention: { [TELEMETRY]: { ageMs: 1, bytesMax: null } },
    mapBytesMax: 16 * 2 ** 30,
    onWarning: () => undefined,
  });
  await log.retain();
  for (const partition of [0, 1]) {
    const { first, next } = await log.bounds(TELEMETRY, partition);
    expect(first).toBe(next);
    expect(next).toBeGreaterThan(0);
  }
  await log.close();
}

it('goes on with the registry, open alarms and what other partitions have told, when checkpoints and old frames are gone', async () => {
  await connect();
  for (const device of [HOT, DOWN, OTHER]) {
    await ask('PUT', `/api/devices/${device}`, { site: 'north', thresholds: { t_max: device === OTHER ? 50 : 35 } });
  }
  await eventually('the registry', async () => {
    const [{ n }] = await program.query<{ n: string }>(
      "SELECT count() AS n FROM sluice.devices FINAL WHERE site = 'north'",
    );
    return Number(n) === 3;
  });
  await publish(HOT, { t: 40 });
  const [{ id }] = await eventually('the alarm', async () => {
    const all = await rows();
    return all.length === 1 && all;
  });
  await ask('POST', `/api/alarms/${id}/ack`, { by: 'ann', comment: 'seen' });
  await publish(DOWN, { up: 0 });
  const before = await eventually('an alarm that the other partition mutes', async () => {
    const all = await rows();
    return all.length === 2 && all[0].suppressed !== '' && all[0].acked_by === 'ann' && all;
  });
  expect(before[0]).toMatchObject({ id, rule: 'hot', device: HOT, suppressed: 'inhibited by down' });

  await program.stop();
  await rm(join(program.dataDir, 'checkpoints'), { recursive: true });
  await expire();
  await program.restart();
  await connect();

  // The alarm is the one that was there; the other device's own limit is known.
  await publish(OTHER, { t: 45 });
  await publish(HOT, { t: 41 });
  await eventually('these readings', async () => {
    const [{ n }] = await program.query<{ n: string }>(
      'SELECT count() AS n FROM sluice.readings WHERE value IN (41, 45)',
    );
    return Number(n) === 2;
  });
  await publish(DOWN, { up: 1 });
  const unmuted = await eventually('the mute to end', async () => {
    const all = await rows();
    return all.some(({ rule, life }) => rule === 'down' && life === 'normal') && all[0].suppressed === '' && all;
  });
  expect(unmuted).toHaveLength(2);
  expect(unmuted[0]).toMatchObject({ id, device: HOT, life: 'acknowledged', acked_by: 'ann', raises: 1 });

  await publish(HOT, { t: 20 });
  await eventually('the end', async () => (await rows()).every(({ life }) => life === 'normal'));
  const events = await program.query<{ transition: string; version: number }>(
    `SELECT transition, version FROM sluice.alarm_events FINAL WHERE id = '${id}' ORDER BY version`,
  );
  expect(events.map(({ transition }) => transition)).toEqual([
    'raised',
    'acknowledged',
    'suppressed',
    'unsuppressed',
    'cleared',
  ]);
  expect(program.output()).toContain('recovers a lost checkpoint');
}, 120_000);

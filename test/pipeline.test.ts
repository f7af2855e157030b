import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, type Program, startProgram } from './program.ts';

const config = `
version: 1
windows:
  - name: 1s
    kind: tumbling
    sizeMs: 1s
    outOfOrderMs: 0ms
    allowedLatenessMs: 10s
alarms:
  - name: too-hot
    kind: threshold
    metric: temperature
    above: 80
    clear: 75
    forMs: 2s
    severity: major
    message: '{device} is at {value}'
`;

describe('the whole pipeline, embedded', () => {
  let program: Program;
  let client: MqttClient;

  beforeAll(async () => {
    program = await startProgram({ config });
    client = await connectAsync(program.mqttUrl, { clientId: 'tester' });
  }, 240_000);

  afterAll(async () => {
    await client?.endAsync(true);
    await program?.remove();
  });

  const publish = (device: string, payload: unknown) =>
    client.publishAsync(
      `devices/${device}/telemetry`,
      typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : JSON.stringify(payload),
      { qos: 1 },
    );

  it('brings every payload shape to the readings', async () => {
    await publish('shapes', { temperature: 21.5 });
    await publish('shapes', {
      ts: 1_700_000_000_000,
      temperature: 1,
      on: true,
      note: 'ok',
      nothing: null,
      a: { b: 2 },
    });
    await publish('shapes', { ts: 1_700_000_001, values: { temperature: 2 } });
    await publish('shapes', [
      { ts: '2023-11-14T22:13:22Z', temperature: 3 },
      { ts: 1_700_000_003_000_000, temperature: 4 },
    ]);
    const rows = await eventually('eight readings', async () => {
      const found = await program.query<{ metric: string; ts: string; value: number | null; text: string }>(
        `SELECT metric, toString(toUnixTimestamp64Milli(ts)) AS ts, value, text FROM sluice.readings FINAL WHERE device = 'shapes' ORDER BY ts, metric`,
      );
      return found.length === 8 && found;
    });
    const timed = rows.slice(0, 7).map((r) => [r.ts, r.metric, r.text === '' ? r.value : r.text]);
    expect(timed).toEqual([
      ['1700000000000', 'a.b', 2],
      ['1700000000000', 'note', 'ok'],
      ['1700000000000', 'on', 1],
      ['1700000000000', 'temperature', 1],
      ['1700000001000', 'temperature', 2],
      ['1700000002000', 'temperature', 3],
      ['1700000003000', 'temperature', 4],
    ]);
    expect(rows[7]).toMatchObject({ metric: 'temperature', value: 21.5 });
    expect(Math.abs(Number(rows[7].ts) - Date.now())).toBeLessThan(60_000);
  });

  it('counts a redelivery once', async () => {
    for (let i = 0; i < 3; i++) await publish('twice', { ts: 1_700_000_000_000, level: 5 });
    await publish('twice', { ts: 1_700_000_060_000, level: 6 });
    const [row] = await eventually('both readings and the rollup of the first', async () => {
      const found = await program.query<{ n: string; rolled: string }>(
        `SELECT (SELECT count() FROM sluice.readings FINAL WHERE device = 'twice') AS n,
                (SELECT sum(count) FROM sluice.rollups FINAL WHERE device = 'twice' AND start = fromUnixTimestamp64Milli(1700000000000)) AS rolled`,
      );
      return Number(found[0].n) === 2 && Number(found[0].rolled) > 0 && found;
    });
    expect(Number(row.rolled)).toBe(1);
  });

  it('puts what cannot be decoded into quarantine with its reason and its bytes', async () => {
    const bad: [string, string | Buffer][] = [
      ['bad-json', '{"temperature":'],
      ['bad-utf8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
      ['bad-number', '{"temperature":1e999}'],
      ['bad-nan', '{"temperature":NaN}'],
      ['bad-ts', '{"ts":-1,"temperature":1}'],
      ['bad-year', '{"ts":"9999-01-01T00:00:00Z","temperature":1}'],
      ['bad-depth', `${'{"a":'.repeat(200)}1${'}'.repeat(200)}`],
      ['bad-keys', JSON.stringify(Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, i])))],
      ['bad-text', JSON.stringify({ note: 'x'.repeat(1_000_000) })],
      ['bad-shape', '42'],
    ];
    for (const [device, payload] of bad) await publish(device, payload);
    await publish('proto', '{"__proto__":1,"constructor":2,"temperature":3}');
    const rows = await eventually('all of them in quarantine', async () => {
      const found = await program.query<{ device: string; reason: string; bytes: string }>(
        `SELECT device, reason, toString(length(payload)) AS bytes FROM sluice.quarantine FINAL WHERE startsWith(device, 'bad-')`,
      );
      return found.length === bad.length && found;
    });
    for (const [device, payload] of bad) {
      const row = rows.find((r) => r.device === device)!;
      expect(row.reason, device).not.toBe('');
      expect(Number(row.bytes), device).toBe(Buffer.byteLength(payload));
    }
    const proto = await eventually('the harmless one among the readings', async () => {
      const found = await program.query<{ metric: string; value: number }>(
        `SELECT metric, value FROM sluice.readings FINAL WHERE device = 'proto' ORDER BY metric`,
      );
      return found.length === 3 && found;
    });
    expect(proto).toEqual([
      { metric: '__proto__', value: 1 },
      { metric: 'constructor', value: 2 },
      { metric: 'temperature', value: 3 },
    ]);
  });

  it('raises an alarm once and clears it once, to MQTT subscribers and in the table', async () => {
    const events: { type: string; data: { state: string; value: number } }[] = [];
    await client.subscribeAsync('alarms/boiler/#', { qos: 1 });
    client.on('message', (topic, payload) => {
      if (topic === 'alarms/boiler/too-hot') events.push(JSON.parse(payload.toString()));
    });
    const t0 = 1_700_000_000_000;
    const values = [70, 81, 82, 83, 90, 78, 74, 70];
    for (const [i, temperature] of values.entries()) await publish('boiler', { ts: t0 + i * 1000, temperature });
    await eventually('both transitions at the subscriber', async () => events.length >= 2);
    expect(events.map((e) => [e.type, e.data.value])).toEqual([
      ['com.sluice.alarm.raised', 83],
      ['com.sluice.alarm.cleared', 74],
    ]);
    const rows = await eventually('the alarm in the table', async () => {
      const found = await program.query<{ state: string; rule: string }>(
        `SELECT state, rule FROM sluice.alarms FINAL WHERE device = 'boiler'`,
      );
      return found[0]?.state === 'cleared' && found;
    });
    expect(rows.length).toBe(1);
  });

  it('stops cleanly in the middle of a window and goes on after a second start as if nothing had been', async () => {
    const t0 = 1_700_000_100_000;
    for (let i = 0; i < 5; i++) await publish('halves', { ts: t0 + i * 100, level: i });
    await client.endAsync();
    expect(await program.stop()).toBe(0);
    await program.restart();
    client = await connectAsync(program.mqttUrl, { clientId: 'tester' });
    for (let i = 5; i < 10; i++) await publish('halves', { ts: t0 + i * 100, level: i });
    await publish('halves', { ts: t0 + 5000, level: 0 });
    const [row] = await eventually('the rollup over both halves', async () => {
      const found = await program.query<Record<string, unknown>>(
        `SELECT toUInt32(count) AS count, sum, min, max, avg, first, last, revision FROM sluice.rollups FINAL
         WHERE device = 'halves' AND start = fromUnixTimestamp64Milli(${t0})`,
      );
      return found.length > 0 && found;
    });
    expect(row).toEqual({ count: 10, sum: 45, min: 0, max: 9, avg: 4.5, first: 0, last: 9, revision: 1 });
    const [kept] = await program.query<{ n: string }>(
      `SELECT count() AS n FROM sluice.readings FINAL WHERE device = 'boiler'`,
    );
    expect(Number(kept.n)).toBe(8);
  }, 240_000);
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { appendStats, doorStats, INFO, openParts, type Parts, processorStats, until } from './gateway.fixture.ts';
import { type Gateway, startGateway } from './gateway.ts';
import { FINAL_ROWS_MAX } from './series.ts';

/** The gateway's answers over HTTP, with a real log and a real store. */

let parts: Parts;
let gateway: Gateway;
const T0 = Date.now() - 600_000;

beforeAll(async () => {
  parts = await openParts();
  const minute = Array.from({ length: 60 }, (_, s): [number, number] => [T0 + s * 1000, 20 + (s % 7)]);
  await parts.insert('pump-1', 'temperature', minute);
  await parts.insert('pump-1', 'temperature', minute.slice(0, 5)); // A redelivery.
  await parts.insert('pump-1', 'firmware', [[T0, 0, 'v2']]);
  for (const n of [2, 3, 4]) await parts.insert(`pump-${n}`, 'flow', [[T0 + n * 1000, n]]);
  await parts.insert('o/brien é', 'flow', [[T0, 1]]);
  gateway = await startGateway(parts.options());
});

afterAll(async () => {
  await gateway?.close();
  await parts?.close();
});

async function get(path: string): Promise<{ status: number; headers: Headers; body: never }> {
  const answer = await fetch(gateway.url + path);
  const text = await answer.text();
  const json = (answer.headers.get('content-type') ?? '').includes('json');
  return { status: answer.status, headers: answer.headers, body: (json ? JSON.parse(text) : text) as never };
}

async function failedQueries(): Promise<number> {
  const { body } = await get('/metrics');
  const [, value] = /^sluice_gateway_query_failures_total (\d+)/m.exec(body as string)!;
  return Number(value);
}

describe('readiness and health', () => {
  it('says why it is not ready, then is ready, then shows the roles', async () => {
    expect(await get('/ready')).toMatchObject({
      status: 503,
      body: {
        ready: false,
        reasons: [expect.stringMatching(/^door: no record/), expect.stringMatching(/^processor: no record/)],
      },
    });
    const nowMs = Date.now();
    await appendStats(parts, doorStats(nowMs - 4_000, 0, false));
    await appendStats(parts, processorStats(nowMs - 4_000, 0));
    await until(async () => {
      const { body } = await get('/ready');
      expect(body).toMatchObject({ reasons: ['door: does not take MQTT connections yet'] });
    });
    for (let s = 3; s >= 0; s--) {
      await appendStats(parts, doorStats(nowMs - s * 1_000, (4 - s) * 100));
      await appendStats(parts, processorStats(nowMs - s * 1_000, (4 - s) * 100));
    }
    await until(async () => expect((await get('/ready')).status).toBe(200));
    const health = await get('/health');
    expect(health).toMatchObject({ status: 200, body: { state: 'ok' } });
    expect((health.body as { roles: { role: string }[] }).roles.map((r) => r.role)).toEqual([
      'door',
      'processor',
      'store',
      'gateway',
    ]);
  });

  it('shows the rates of each hop, the lag, and what the store counts', async () => {
    await until(async () => {
      const { body } = await get('/api/overview?seconds=10');
      expect(body).toMatchObject({
        rates: { received: 100, acknowledged: 100, processed: 100, stored: 300 },
        lagMs: 250,
        lagFrames: 4,
        connections: 2,
        counts: { devices: 5, alarmsOpen: 0, quarantined: 0 },
        info: INFO,
      });
      expect((body as { history: { received: unknown[] } }).history.received).toHaveLength(10);
    });
  });

  it('gives Prometheus what it needs', async () => {
    const { status, body, headers } = await get('/metrics');
    expect(status).toBe(200);
    expect(headers.get('content-type')).toContain('text/plain');
    expect(body).toContain('sluice_door_messages_received_total{instance="door-1"} 400');
    expect(body).toContain('sluice_processor_lag_seconds{instance="processor-1"} 0.25');
    expect(body).toContain('sluice_role_up{role="door",instance="door-1"} 1');
  });
});

describe('queries', () => {
  it('list devices by pages and by search', async () => {
    const first = await get('/api/devices?limit=3');
    expect(first.body).toMatchObject({
      devices: [{ device: 'o/brien é' }, { device: 'pump-1', metrics: 2 }, { device: 'pump-2' }],
      next: 'pump-2',
    });
    expect((await get('/api/devices?limit=3&after=pump-2')).body).toMatchObject({
      devices: [{ device: 'pump-3', lastSeenMs: T0 + 3_005 }, { device: 'pump-4' }],
      next: null,
    });
    expect((await get('/api/devices?search=MP-3')).body).toMatchObject({ devices: [{ device: 'pump-3' }] });
    expect((await get(`/api/devices?search=${encodeURIComponent("' OR 1=1 --")}`)).body).toEqual({
      devices: [],
      next: null,
    });
  });

  it('show a device with the newest value of each metric, whatever its name', async () => {
    expect((await get('/api/devices/pump-1')).body).toMatchObject({
      lastSeenMs: T0 + 59_005,
      metrics: [
        { metric: 'firmware', value: null, text: 'v2' },
        { metric: 'temperature', value: 20 + (59 % 7), tsMs: T0 + 59_000 },
      ],
    });
    expect((await get(`/api/devices/${encodeURIComponent('o/brien é')}`)).status).toBe(200);
    expect(await get('/api/devices/nobody')).toMatchObject({ status: 404, body: { code: 'DEVICE_UNKNOWN' } });
  });

  it('give a series raw when it is short: each reading once, in order, a redelivery once', async () => {
    const range = `from=${T0}&to=${T0 + 60_000}`;
    const { body } = await get(`/api/devices/pump-1/series?metric=temperature&${range}`);
    const answer = body as { kind: string; series: { t: number[]; v: number[]; throughOffset: number }[] };
    expect(answer.kind).toBe('raw');
    expect(answer.series[0].t).toEqual(Array.from({ length: 60 }, (_, s) => T0 + s * 1000));
    expect(answer.series[0].v.slice(0, 8)).toEqual([20, 21, 22, 23, 24, 25, 26, 20]);
    expect(answer.series[0].throughOffset).toBe(1_064);
  });

  it('give a series in buckets when it is long, and the same as one would count by hand', async () => {
    const range = `from=${T0}&to=${T0 + 60_000}`;
    const { body } = await get(`/api/devices/pump-1/series?metric=temperature&${range}&points=12`);
    const answer = body as {
      kind: string;
      stepMs: number;
      series: { t: number[]; v: number[]; min: number[]; max: number[]; count: number[] }[];
    };
    expect(answer).toMatchObject({ kind: 'buckets', stepMs: 5_000, exact: true });
    const want = new Map<number, number[]>();
    for (let s = 0; s < 60; s++) {
      const start = Math.floor((T0 + s * 1000) / 5_000) * 5_000;
      want.set(start, [...(want.get(start) ?? []), 20 + (s % 7)]);
    }
    const [series] = answer.series;
    expect(series.t).toEqual([...want.keys()]);
    expect(series.min).toEqual([...want.values()].map((v) => Math.min(...v)));
    expect(series.max).toEqual([...want.values()].map((v) => Math.max(...v)));
    expect(series.count).toEqual([...want.values()].map((v) => v.length));
    for (const [i, v] of [...want.values()].entries())
      expect(series.v[i]).toBeCloseTo(v.reduce((a, b) => a + b) / v.length);
  });

  it('leave out of a series what was replaced by text, which is no value of it any more', async () => {
    const at = (s: number): [number, number] => [T0 + s * 1000, s];
    await parts.insert(
      'switch',
      'state',
      Array.from({ length: 30 }, (_, s) => at(s)),
    );
    await parts.insert('switch', 'state', [
      [T0, 0, 'off'],
      [T0 + 1000, 0, 'off'],
    ]);
    const ask = async (points: number) =>
      (await get(`/api/devices/switch/series?metric=state&from=${T0}&to=${T0 + 60_000}&points=${points}`)).body as {
        kind: string;
        series: { v: number[]; count?: number[] }[];
      };
    const raw = await ask(100);
    expect(raw).toMatchObject({ kind: 'raw', series: [{ v: Array.from({ length: 28 }, (_, n) => n + 2) }] });
    const buckets = await ask(10);
    expect(buckets.kind).toBe('buckets');
    expect(buckets.series[0].count!.reduce((a, b) => a + b)).toBe(28);
  });

  it('give a series that is too long for FINAL as it lies in the table, and say so', async () => {
    const rows = FINAL_ROWS_MAX + 100_000;
    await parts.writer.command(
      `INSERT INTO readings (device, metric, ts, value, received, \`partition\`, \`offset\`, \`index\`)
       SELECT 'long', 'flow', fromUnixTimestamp64Milli(${T0 - 86_400_000} + number), number % 10, fromUnixTimestamp64Milli(${T0}), 0, 5, 0 FROM numbers(${rows})`,
    );
    const failures = await failedQueries();
    const { body } = await get(`/api/devices/long/series?metric=flow&from=${T0 - 86_400_000}&to=${T0}&points=10`);
    const answer = body as { kind: string; exact: boolean; series: { count: number[]; throughOffset: number }[] };
    expect(answer).toMatchObject({ kind: 'buckets', exact: false });
    expect(answer.series[0].count.reduce((a, b) => a + b)).toBe(rows);
    expect(answer.series[0].throughOffset).toBe(5);
    expect(await failedQueries()).toBe(failures);
  });

  it('show alarms, quarantine and rollups by their newest version', async () => {
    const at = (ms: number) => `fromUnixTimestamp64Milli(${ms})`;
    const alarm = "'hot', 'pump-1', 'temperature', 'major'";
    await parts.writer.command(
      `INSERT INTO alarms (id, rule, device, metric, severity, state, raised_at, cleared_at, value, message, version, \`partition\`, \`offset\`, \`index\`) VALUES
       ('a1', ${alarm}, 'raised', ${at(T0)}, NULL, 31, 'too hot', 1, 0, 1, 0), ('a2', ${alarm}, 'raised', ${at(T0 + 1000)}, NULL, 32, 'too hot', 1, 0, 2, 0),
       ('a1', ${alarm}, 'cleared', ${at(T0)}, ${at(T0 + 5000)}, 29, 'too hot', 2, 0, 3, 0)`,
    );
    const payload = '7BFF'.padEnd(1200, '41');
    await parts.writer.command(
      `INSERT INTO quarantine (device, topic, received, reason, payload, \`partition\`, \`offset\`, \`index\`) VALUES ('pump-1', 't', ${at(T0)}, 'not JSON', unhex('${payload}'), 0, 7, 0)`,
    );
    await parts.writer.command(
      `INSERT INTO rollups (window, device, metric, start, end, count, sum, min, max, avg, first, last, revision, \`partition\`) VALUES
       ('1m', 'pump-1', 'temperature', ${at(T0)}, ${at(T0 + 60_000)}, 60, 1, 1, 1, 1, 1, 1, 1, 0), ('1m', 'pump-1', 'temperature', ${at(T0)}, ${at(T0 + 60_000)}, 61, 2, 2, 2, 2, 2, 2, 2, 0)`,
    );
    await parts.writer.command(
      `INSERT INTO rollups (window, device, metric, start, end, count, revision, phase, extra, label) VALUES
       ('1m', 'pump-1', 'temperature', ${at(T0 - 60_000)}, ${at(T0)}, 60, 1, 'final', map(), ''),
       ('runs', 'pump-1', 'temperature', ${at(T0)}, ${at(T0 + 9_000)}, 5, 2, 'early', map('p99.9', 7.25, 'le_inf', 5), 'on'),
       ('runs', 'pump-1', 'temperature', ${at(T0 + 1)}, ${at(T0 + 1)}, 0, 3, 'corrected', map(), '')`,
    );
    expect((await get('/api/alarms')).body).toMatchObject({
      alarms: [{ id: 'a2', state: 'raised', raisedMs: T0 + 1000, clearedMs: null }],
    });
    expect((await get('/api/alarms?state=all&device=pump-1')).body).toMatchObject({
      alarms: [{ id: 'a1', state: 'cleared', clearedMs: T0 + 5000, version: 2 }, { id: 'a2' }],
    });
    expect((await get('/api/alarms?state=all&device=pump-9')).body).toEqual({ alarms: [] });
    const quarantined = (await get('/api/quarantine')).body as { messages: { payload: string }[] };
    expect(quarantined).toMatchObject({ messages: [{ reason: 'not JSON', payloadBytes: 600 }] });
    expect(quarantined.messages[0].payload).toMatch(/^\{\uFFFDA+$/);
    expect((await get(`/api/devices/pump-1/rollups?from=${T0 - 1}`)).body).toMatchObject({
      rollups: [
        { window: '1m', count: 61, revision: 2, phase: 'final', extra: {}, label: '' },
        { window: 'runs', count: 5, phase: 'early', extra: { 'p99.9': 7.25, le_inf: 5 }, label: 'on' },
      ],
    });
    const newest = await get(`/api/devices/pump-1/rollups?from=${T0 - 60_000}&newest=true`);
    expect((newest.body as { rollups: { startMs: number }[] }).rollups.map((r) => r.startMs)).toEqual([T0, T0]);
  });

  it.each([
    ['/api/devices?limit=0', 400, 'INPUT_INVALID'],
    ['/api/devices/pump-1/series', 400, 'INPUT_INVALID'],
    ['/api/devices/pump-1/series?metric=a&from=9&to=5', 400, 'INPUT_INVALID'],
    ['/api/alarms?state=shut', 400, 'INPUT_INVALID'],
    ['/api/events?device=pump-1', 400, 'INPUT_INVALID'],
    ['/api/nothing', 404, 'NOT_FOUND'],
    ['/api/devices/%ff', 400, 'REQUEST_REFUSED'],
  ])('answer %s with a problem document', async (path, status, code) => {
    const answer = await get(path);
    expect(answer).toMatchObject({ status, body: { status, code, detail: expect.stringMatching(/./) } });
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
  });
});

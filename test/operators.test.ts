import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashPassword } from '../ingest/passwords.ts';
import { eventually, kill9, type Program, startProgram } from './program.ts';

/** What operators see of the real program: health of each role, metrics as documented, doctor, and logs without secrets. */

const root = fileURLToPath(new URL('..', import.meta.url));
const main = join(root, 'dist/cli/main.js');
const ROLES = ['door', 'processor', 'store', 'gateway'] as const;
type RoleName = (typeof ROLES)[number];

const PASSWORD = 'pw-kX7vQ2';
const GUESS = 'guess-Zt4mW9';
const PAYLOAD = 'payload-Hn3bR8';

interface Metric {
  type: string;
  help: string;
  labels: Set<string>;
  samples: { name: string; labels: Record<string, string>; value: number }[];
}

/** Reads the text format (https://prometheus.io/docs/instrumenting/exposition_formats/) and fails on what does not belong to it. */
function readMetrics(text: string): Map<string, Metric> {
  const found = new Map<string, Metric>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const comment = /^# (HELP|TYPE) ([a-z_0-9]+) (.+)$/.exec(line);
    if (comment) {
      const [, kind, name, rest] = comment;
      const metric = found.get(name) ?? { type: '', help: '', labels: new Set(), samples: [] };
      if (kind === 'HELP') metric.help = rest;
      else metric.type = rest;
      found.set(name, metric);
      continue;
    }
    const sample = /^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (sample === null) throw new Error(`not a line of the text format: ${line}`);
    const [, name, inner = '', value] = sample;
    const labels = Object.fromEntries(
      [...inner.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g)].map((m) => [m[1], m[2]]),
    );
    const metric = found.get(name) ?? found.get(name.replace(/_(bucket|sum|count)$/, ''));
    if (metric === undefined) throw new Error(`a sample before its HELP and TYPE: ${line}`);
    for (const label of Object.keys(labels)) if (label !== 'le') metric.labels.add(label);
    metric.samples.push({ name, labels, value: value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value) });
  }
  return found;
}

/** The rules of `promtool check metrics` and of https://prometheus.io/docs/practices/naming/. */
function lint(metrics: Map<string, Metric>): string[] {
  const wrong: string[] = [];
  for (const [name, { type, help, labels, samples }] of metrics) {
    const say = (what: string): void => void wrong.push(`${name}: ${what}`);
    if (help === '') say('no help');
    if (!['counter', 'gauge', 'histogram', 'summary'].includes(type)) say(`type ${type}`);
    if (type === 'counter' && !name.endsWith('_total')) say('a counter ends in _total');
    if (type !== 'counter' && name.endsWith('_total')) say('only counters end in _total');
    if (/_(bucket|count|sum)$/.test(name)) say('a suffix that histograms have');
    if (/_(ms|millis|milliseconds|minutes|hours|kb|kib|mb|mib|percent)(_|$)/.test(name)) say('not in base units');
    if (/_(counter|gauge|histogram|summary)(_|$)/.test(name)) say('the type in its name');
    if (type === 'histogram' && !/_(seconds|bytes)$/.test(name)) say('a histogram without a unit');
    for (const label of labels) {
      if (!/^[a-z][a-z_]*$/.test(label)) say(`label ${label}`);
      if (['device', 'client', 'remote', 'metric', 'job'].includes(label)) say(`a label for each ${label}`);
      if (name.includes(`_by_${label}`)) say('the label in its name');
    }
    const seen = new Set<string>();
    for (const sample of samples) {
      const key = `${sample.name} ${JSON.stringify(sample.labels)}`;
      if (seen.has(key)) say(`twice: ${key}`);
      seen.add(key);
      // The library's own mean of the event loop's delay is no number before it has a sample.
      if (Number.isNaN(sample.value) && !name.startsWith('sluice_nodejs_')) say(`no number: ${key}`);
      if (type === 'counter' && sample.value < 0) say(`negative: ${key}`);
    }
    if (type === 'histogram') wrong.push(...lintBuckets(name, samples));
  }
  return wrong;
}

function lintBuckets(name: string, samples: Metric['samples']): string[] {
  const wrong: string[] = [];
  const series = new Map<string, { le: number; value: number }[]>();
  const keyOf = ({ le: _, ...rest }: Record<string, string>): string => JSON.stringify(rest);
  for (const { name: sample, labels, value } of samples) {
    if (!sample.endsWith('_bucket')) continue;
    const le = labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.le);
    series.set(keyOf(labels), [...(series.get(keyOf(labels)) ?? []), { le, value }]);
  }
  for (const [key, buckets] of series) {
    for (const [i, bucket] of buckets.entries()) {
      if (i > 0 && (bucket.le <= buckets[i - 1].le || bucket.value < buckets[i - 1].value)) {
        wrong.push(`${name}: buckets do not grow: ${key}`);
      }
    }
    const count = samples.find((s) => s.name === `${name}_count` && keyOf(s.labels) === key);
    const last = buckets[buckets.length - 1];
    if (last.le !== Number.POSITIVE_INFINITY || last.value !== count?.value)
      wrong.push(`${name}: +Inf is not the count`);
    if (!samples.some((s) => s.name === `${name}_sum` && keyOf(s.labels) === key)) wrong.push(`${name}: no sum`);
  }
  return wrong;
}

const documented = new Map(
  [
    ...readFileSync(join(root, 'docs/metrics.md'), 'utf8').matchAll(
      /^\| `(sluice_\w+)`\s*\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|/gm,
    ),
  ].map(([, name, type, unit, labels, help]) => [
    name,
    {
      type: type.trim(),
      unit: unit.trim(),
      labels: [...labels.matchAll(/`(\w+)`/g)].map((m) => m[1]).sort(),
      help: help.trim(),
    },
  ]),
);

function freePorts(count: number): Promise<number[]> {
  return Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<number>((resolve) => {
          const server = createServer().listen(0, '127.0.0.1', () => {
            const address = server.address();
            server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
          });
        }),
    ),
  );
}

describe('operators see', () => {
  let program: Program;
  const urls = {} as Record<RoleName, string>;

  const get = async (url: string): Promise<{ status: number; body: { state?: string; reasons: string[] } }> => {
    const answer = await fetch(url);
    return { status: answer.status, body: (await answer.json()) as { state?: string; reasons: string[] } };
  };
  const metricsOf = async (url: string): Promise<Map<string, Metric>> => {
    const answer = await fetch(`${url}/metrics`);
    expect(answer.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    return readMetrics(await answer.text());
  };
  const doctor = async (): Promise<{ code: number; checks: { name: string; state: string; what: string }[] }> => {
    const { dataDir } = program;
    const host = (url: string): string => new URL(url).host;
    const args = ['doctor', '--json', '--config', join(dataDir, '..', 'sluice.yaml'), '--data', dataDir];
    args.push('--mqtt', host(program.mqttUrl), '--http', host(program.httpUrl));
    args.push('--clickhouse-http', host(program.clickhouseUrl));
    const ran = await promisify(execFile)(process.execPath, [main, ...args]).catch(
      (error: { stdout: string; code: number }) => error,
    );
    const { checks } = JSON.parse(ran.stdout) as { checks: { name: string; state: string; what: string }[] };
    return { code: 'code' in ran ? ran.code : 0, checks };
  };

  beforeAll(async () => {
    const ports = await freePorts(4);
    const health = ROLES.map((role, i) => `${role}: "127.0.0.1:${ports[i]}"`).join(', ');
    for (const [i, role] of ROLES.entries()) urls[role] = `http://127.0.0.1:${ports[i]}`;
    const config = `
version: 1
health: { ${health} }
logging: { level: debug, format: json }
mqtt: { connectionsMax: 500 }
store: { memoryBytesMax: 512MiB }
windows: [{ name: 1s, sizeMs: 1s, outOfOrderMs: 0ms, allowedLatenessMs: 1s }]
access:
  anonymous: loopback
  users: [{ name: pump-1, passwordHash: "${await hashPassword(PASSWORD)}", device: pump-1 }]
`;
    program = await startProgram({ config });
    const client = await connectAsync(program.mqttUrl, { clientId: 'pump-1', username: 'pump-1', password: PASSWORD });
    for (let i = 0; i < 20; i++) {
      const payload = JSON.stringify({ ts: 1_700_000_000_000 + i * 1000, temperature: i });
      await client.publishAsync('devices/pump-1/telemetry', payload, { qos: 1 });
    }
    await client.publishAsync('devices/pump-1/telemetry', `{"pin": ${PAYLOAD}`, { qos: 1 });
    await client.endAsync();
    for (let i = 0; i < 5; i++) {
      const refused = connectAsync(program.mqttUrl, {
        clientId: 'pump-1',
        username: 'pump-1',
        password: GUESS,
        reconnectPeriod: 0,
      });
      await expect(refused).rejects.toThrow();
    }
    await eventually('the messages in the metrics of the gateway', async () => {
      const metrics = await metricsOf(program.httpUrl);
      return metrics.get('sluice_processor_messages_quarantined_total')?.samples[0]?.value === 1;
    });
  }, 240_000);

  afterAll(async () => {
    await program?.remove();
  });

  it('each role answer for itself', async () => {
    for (const role of ROLES) {
      const health = await get(`${urls[role]}/health`);
      expect([health.status, health.body], role).toMatchObject([200, { role }]);
      expect(health.body.state, `${role}: ${health.body.reasons}`).not.toBe('down');
      expect(await get(`${urls[role]}/ready`), role).toEqual({ status: 200, body: { ready: true, reasons: [] } });
      expect((await fetch(`${urls[role]}/nothing`)).status).toBe(404);
      expect((await fetch(`${urls[role]}/health`, { method: 'POST' })).status).toBe(405);
    }
  });

  it('every metric documented, and none that is not there', async () => {
    const all = await metricsOf(program.httpUrl);
    expect([...all.keys()].sort()).toEqual([...documented.keys()].sort());
    for (const [name, { type, help }] of all)
      expect({ name, type, help }).toMatchObject({ name, ...pick(documented.get(name)) });
    for (const role of ROLES) {
      const own = await metricsOf(urls[role]);
      for (const [name, { type, labels }] of own) {
        const row = documented.get(name);
        expect(row?.type, `${role}: ${name}`).toBe(type);
        if (!/^sluice_(nodejs|process)_/.test(name) && labels.size > 0)
          expect([...labels].sort(), name).toEqual(row?.labels);
      }
      // What the gateway tells of a role, the role tells of itself.
      const prefix = `sluice_${role}_`;
      if (role === 'gateway') continue;
      const told = [...all].filter(([n, m]) => n.startsWith(prefix) && m.labels.has('instance')).map(([n]) => n);
      expect(told.length, role).toBeGreaterThan(5);
      for (const name of told) expect([...own.keys()], role).toContain(name);
    }
    for (const [name, { unit }] of documented) {
      expect(unit, name).toBe(/_(seconds|bytes)(_total)?$/.exec(name)?.[1] ?? '');
    }
  });

  it('metrics by the conventions of Prometheus', async () => {
    for (const url of [program.httpUrl, ...Object.values(urls)]) expect(lint(await metricsOf(url)), url).toEqual([]);
  });

  it('what really happened', async () => {
    const door = await eventually('the last refusal in the metrics, which are at most a second old', async () => {
      const found = await metricsOf(urls.door);
      return found.get('sluice_door_authentication_failures_total')?.samples[0]?.value === 5 && found;
    });
    const one = (metrics: Map<string, Metric>, name: string, labels = {}): number | undefined =>
      metrics
        .get(name.replace(/_(count|sum)$/, ''))
        ?.samples.find((s) => s.name === name && Object.entries(labels).every(([k, v]) => s.labels[k] === v))?.value ??
      metrics.get(name)?.samples[0]?.value;
    expect(one(door, 'sluice_door_messages_acknowledged_total')).toBe(21);
    expect(one(door, 'sluice_door_acknowledgement_duration_seconds_count')).toBe(21);
    expect(one(door, 'sluice_door_connections_max')).toBe(500);
    expect(one(door, 'sluice_log_append_duration_seconds_count')).toBeGreaterThan(0);
    const processor = await eventually('all readings stored, which inserts do once a second', async () => {
      const found = await metricsOf(urls.processor);
      return (one(found, 'sluice_processor_readings_stored_total') ?? 0) >= 20 && found;
    });
    expect(one(processor, 'sluice_processor_readings_stored_total')).toBe(20);
    expect(one(processor, 'sluice_processor_insert_duration_seconds_count', { table: 'readings' })).toBeGreaterThan(0);
    const gateway = await metricsOf(urls.gateway);
    expect(one(gateway, 'sluice_role_up', { role: 'store' })).toBe(1);
    const reasons = door.get('sluice_door_refusals_total')?.samples.map((s) => s.labels.reason);
    expect(reasons?.length).toBeGreaterThan(0);
  });

  it('a doctor that finds nothing wrong with a running program', async () => {
    const { code, checks } = await doctor();
    expect(checks.filter((c) => c.state === 'fail')).toEqual([]);
    expect(code).toBeLessThan(2);
    const whats = Object.fromEntries(checks.map((c) => [c.name, c.what]));
    expect(whats['log.layout']).toContain('8 partitions');
    expect(whats['log.appends']).toMatch(/ago; process \d+ writes it/);
    expect(whats['data.fsync']).toContain('a flush to disk takes');
    expect(whats['store.tables']).toContain('newest version');
    expect(whats['port.mqtt.listen']).toContain('taken by Sluice itself');
    for (const role of ROLES) expect(Object.keys(whats)).toContain(`role.${role}`);
  });

  it('a killed role counted by the supervisor, and the reasons of one that is stopped', async () => {
    const pids = await program.pids();
    kill9(pids.get('door') as number);
    await eventually('the restart in the metrics', async () => {
      const restarts = (await metricsOf(urls.gateway)).get('sluice_supervisor_restarts_total')?.samples ?? [];
      return restarts.some((s) => s.labels.role === 'door' && s.labels.reason === 'signal SIGKILL' && s.value === 1);
    });
    await eventually('the door again', async () => (await fetch(`${urls.door}/ready`)).status === 200);
    // A store that hangs: the processor says so by itself, with how long and how many wait.
    const store = (await program.pids()).get('store') as number;
    process.kill(store, 'SIGSTOP');
    try {
      const client = await connectAsync(program.mqttUrl, { clientId: 'pump-2' });
      await client.publishAsync('devices/pump-2/telemetry', '{"temperature":1}', { qos: 1 });
      await client.endAsync();
      const reasons = await eventually('the reason at the processor', async () => {
        const { body } = await get(`${urls.processor}/health`);
        return body.state === 'degraded' && body.reasons.join().includes('the store has not') && body.reasons;
      });
      expect(reasons.join()).toMatch(
        /the store has not answered for [\d.]+ s; \d+ inserts wait: check that ClickHouse/,
      );
    } finally {
      process.kill(store, 'SIGCONT');
    }
    await eventually('the processor well again', async () => {
      const { body } = await get(`${urls.processor}/health`);
      return !body.reasons.join().includes('store');
    });
  }, 240_000);

  it('logs without secrets, and a doctor for what was stopped', async () => {
    expect(await program.stop()).toBe(0);
    const output = program.output();
    expect(output).toContain('client refused');
    for (const secret of [PASSWORD, GUESS, PAYLOAD, 'scrypt$16384', '"pin"']) expect(output).not.toContain(secret);
    const lines = output.split('\n').filter((line) => line.startsWith('{'));
    for (const line of lines)
      expect(Object.keys(JSON.parse(line) as object)).toEqual(expect.arrayContaining(['level', 'time', 'role', 'msg']));
    const { code, checks } = await doctor();
    expect(checks.filter((c) => c.state === 'fail')).toEqual([]);
    expect(code).toBeLessThan(2);
    const whats = Object.fromEntries(checks.map((c) => [c.name, c.what]));
    expect(whats['log.appends']).toContain('no process writes it now');
    expect(whats['log.replay']).toMatch(/after a crash now \d+ frames are replayed/);
    expect(whats.checkpoints).toContain('all whole');
    expect(whats['port.mqtt.listen']).toContain('is free');
  }, 240_000);
});

function pick(row: { type: string; help: string } | undefined): { type?: string; help?: string } {
  return { type: row?.type, help: row?.help };
}

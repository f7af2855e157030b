import { execFile } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type BlastResult, blast } from './blast.ts';
import { startBroker, type TestBroker } from './broker.fixture.ts';

const brokers: TestBroker[] = [];
async function broker(options: Parameters<typeof startBroker>[0] = {}): Promise<TestBroker> {
  const made = await startBroker(options);
  brokers.push(made);
  return made;
}
afterEach(async () => {
  for (const b of brokers.splice(0)) await b.stop();
});

const WAIT = { timeout: 100_000, interval: 5 };

/** What the broker was given, added up as the result says it. A message that came twice counts once. */
function received({ messages }: TestBroker): { readings: number; sums: Record<string, number>; doubles: number } {
  const seen = new Set<string>();
  const sums: Record<string, number> = {};
  let doubles = 0;
  for (const { client, topic, payload } of messages) {
    expect(topic).toBe(`devices/${client}/telemetry`);
    const value = JSON.parse(payload.toString());
    for (const { ts, ...values } of Array.isArray(value) ? value : [value]) {
      for (const [metric, v] of Object.entries(values)) {
        const key = `${client} ${metric} ${ts}`;
        if (seen.has(key)) doubles++;
        else if (typeof v === 'number') sums[metric] = (sums[metric] ?? 0) + v;
        seen.add(key);
      }
    }
  }
  return { readings: seen.size, sums, doubles };
}

const sumsOf = ({ expected }: BlastResult) =>
  Object.fromEntries(Object.entries(expected.numbers).map(([m, n]) => [m, n.sum]));

describe('blast', () => {
  it.each([
    { payload: 'object', qos: 1 as const, connections: 7, messages: 20_001 },
    { payload: 'array10', qos: 1 as const, connections: 3, messages: 2_000 },
    { payload: 'strings', qos: 0 as const, connections: 5, messages: 10_000 },
    { payload: 'single', qos: 0 as const, connections: 1, messages: 10_000, window: 1 },
    { payload: 'object', qos: 2 as const, connections: 5, messages: 5_000 },
    // More than 65,535 messages of one connection: packet identifiers start again.
    { payload: 'single', qos: 1 as const, connections: 1, messages: 70_000 },
  ])('counts what the broker got: $payload, QoS $qos, $connections connections', async (options) => {
    const b = await broker();
    const result = await blast({ url: b.url, ...options });
    expect(result.acknowledged).toBe(options.messages);
    expect(result.unacknowledged + result.acksUnexpected + result.closed.length).toBe(0);
    const got = received(b);
    expect(b.messages.length).toBe(options.messages);
    expect(got.doubles).toBe(0);
    expect(got.readings).toBe(result.expected.readings);
    expect(got.sums).toEqual(sumsOf(result));
    expect(result.acknowledgedByConnection.reduce((a, n) => a + n, 0)).toBe(options.messages);
    expect(b.clients.size).toBe(options.connections);
    if (options.qos === 1) expect(result.pubackLatency?.count).toBe(options.messages);
  });

  it('keeps to a rate, and counts latency from when a message was due', async () => {
    const b = await broker();
    const result = await blast({ url: b.url, connections: 4, durationMs: 600, ratePerSecond: 2000 });
    expect(result.acknowledged).toBeGreaterThan(1000);
    expect(result.acknowledged).toBeLessThanOrEqual(1204);
    expect(result.unacknowledged).toBe(0);

    // A broker that holds its acknowledgements back for a while: everything that was due meanwhile shows it.
    const stalled = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        socket.write(Buffer.from([0x20, 2, 0, 0]));
        let held: number[] = [];
        let at = 0;
        const release = () => {
          const out = Buffer.alloc(held.length * 4);
          for (const [i, id] of held.entries()) out.set([0x40, 2, id >> 8, id & 255], i * 4);
          held = [];
          socket.write(out);
        };
        const until = Date.now() + 300;
        let bytes = 0;
        socket.on('data', (chunk) => {
          bytes += chunk.length;
          for (; (at + 1) * 108 <= bytes; at++) held.push(at + 1);
          if (Date.now() > until) release();
        });
        setTimeout(release, 310);
      });
    });
    await new Promise<void>((resolve) => stalled.listen(0, '127.0.0.1', resolve));
    const { port } = stalled.address() as { port: number };
    const late = await blast({
      url: `mqtt://127.0.0.1:${port}`,
      connections: 1,
      window: 10,
      durationMs: 600,
      ratePerSecond: 1000,
    });
    stalled.close();
    // With a window of 10 only ten messages were on their way while nothing was acknowledged, yet a third of all were held up.
    expect(late.pubackLatency!.count).toBe(late.acknowledged);
    expect(late.pubackLatency!.p90Ms).toBeGreaterThan(100);
  });

  it('tells what was acknowledged when the broker goes away', async () => {
    const b = await broker();
    const running = blast({ url: b.url, connections: 4, durationMs: 5_000, drainMs: 200 });
    await vi.waitUntil(() => new Set(b.messages.map((m) => m.client)).size === 4, WAIT);
    await b.stop();
    const result = await running;
    expect(result.closed.length).toBe(4);
    expect(result.acknowledged).toBeGreaterThan(0);
    expect(result.unacknowledged).toBe(result.sent - result.acknowledged);
    const got = received(b);
    expect(got.readings).toBeGreaterThanOrEqual(result.expected.readings);
  });

  it('connects again and sends again what was not acknowledged', async () => {
    const b = await broker({ loseAcks: (n) => n % 3001 === 0 });
    const result = await blast({ url: b.url, connections: 3, messages: 20_000, window: 64, reconnect: true });
    expect(result.acknowledged).toBe(20_000);
    expect(result.closed.length).toBeGreaterThan(3);
    expect(result.resent).toBeGreaterThan(0);
    const got = received(b);
    expect(got.readings).toBe(result.expected.readings);
    expect(got.sums).toEqual(sumsOf(result));
    expect(got.doubles).toBeGreaterThan(0);
  });

  it('tries one connection at a time while the broker is away', async () => {
    const b = await broker();
    const options = { connections: 3, messages: 6_000, ratePerSecond: 5_000, window: 64, reconnect: true };
    const running = blast({ url: b.url, ...options });
    await vi.waitUntil(() => new Set(b.messages.map((m) => m.client)).size === 3, WAIT);
    await b.stop();
    await new Promise((resolve) => setTimeout(resolve, 900));
    await b.start();
    const result = await running;
    expect(result.acknowledged).toBe(6_000);
    // One loss for each, however often it tried in between; and no more sent again than was on its way.
    expect(result.closed.length).toBe(3);
    expect(result.resent).toBeLessThanOrEqual(3 * 64);
  });

  it('takes acknowledgements in any order, and counts wrong ones', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      let ids: number[] = [];
      let bytes = -1;
      let at = 0;
      socket.on('data', (chunk) => {
        if (bytes < 0) {
          bytes = 0;
          socket.write(Buffer.from([0x20, 2, 0, 0]));
          return;
        }
        bytes += chunk.length;
        for (; (at + 1) * 108 <= bytes; at++) ids.push(at + 1);
        for (const id of ids.reverse()) socket.write(Buffer.from([0x40, 2, id >> 8, id & 255]));
        if (ids.length > 0) socket.write(Buffer.from([0x40, 2, 0xff, 0xf0])); // an id that was never used
        ids = [];
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const result = await blast({ url: `mqtt://127.0.0.1:${port}`, connections: 1, messages: 1000, window: 32 });
    server.close();
    expect(result.acknowledged).toBe(1000);
    expect(result.acksUnexpected).toBeGreaterThan(0);
  });

  it('says why it cannot start', async () => {
    await expect(blast({ url: 'mqtt://127.0.0.1:1', messages: 1 })).rejects.toThrow(/ECONNREFUSED/);
    await expect(blast({ url: 'http://x', messages: 1 })).rejects.toThrow(/cannot blast at/);
    await expect(blast({ url: 'mqtt://127.0.0.1:1' })).rejects.toThrow(/without an end/);
    const b = await broker({ password: 'right' });
    await expect(blast({ url: b.url, messages: 1, username: 'u', password: 'wrong' })).rejects.toThrow(/refused/);
    expect((await blast({ url: b.url, messages: 10, username: 'u', password: 'right' })).acknowledged).toBe(10);
  });

  it('runs as a process of its own', async () => {
    const b = await broker();
    const main = fileURLToPath(new URL('../dist/device-sim/blast-main.js', import.meta.url));
    const options = { url: b.url, connections: 2, messages: 500 };
    const { stdout } = await promisify(execFile)(process.execPath, [main, JSON.stringify(options)]);
    const result = JSON.parse(stdout) as BlastResult;
    expect(result.acknowledged).toBe(500);
    expect(received(b).sums).toEqual(sumsOf(result));
  });
});

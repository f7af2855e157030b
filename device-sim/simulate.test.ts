import { afterEach, describe, expect, it, vi } from 'vitest';
import { startBroker, type TestBroker } from './broker.fixture.ts';
import { Fleet, type PublishEvent } from './fleet.ts';
import { type SimulateProgress, simulate } from './simulate.ts';

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
const START_MS = Date.UTC(2026, 5, 1, 12);

/** The publishes of a plan within a time. */
function planned(options: ConstructorParameters<typeof Fleet>[0], durationMs: number): PublishEvent[] {
  const events: PublishEvent[] = [];
  for (const event of new Fleet(options).events(START_MS)) {
    if (event.atMs >= START_MS + durationMs) break;
    if (event.kind === 'publish') events.push(event);
  }
  return events;
}

describe('simulate', () => {
  it('publishes the plan, each device as itself, faster than the clock when asked', async () => {
    const b = await broker();
    const fleet = { scenario: 'vehicles', devices: 8, seed: 4 };
    const result = await simulate({ url: b.url, ...fleet, startMs: START_MS, durationMs: 60_000, speed: 200 });
    const plan = planned(fleet, 60_000);
    expect(result.published).toBe(plan.length);
    expect(result.acknowledged).toBe(plan.length);
    expect(result.readings).toBe(plan.reduce((sum, e) => sum + e.readings, 0));
    const devices = new Fleet(fleet).devices;
    for (const [index, { id }] of devices.entries()) {
      const sent = plan.filter((e) => e.device === index).map((e) => e.payload);
      const got = b.messages.filter((m) => m.client === id).map((m) => m.payload.toString());
      expect(got).toEqual(sent);
    }
    expect(new Set(b.messages.map((m) => m.topic))).toEqual(new Set(devices.map((d) => `devices/${d.id}/telemetry`)));
  });

  it('keeps its own pace, and stops when told', async () => {
    const b = await broker();
    const stop = new AbortController();
    const seen: SimulateProgress[] = [];
    const before = Date.now();
    const running = simulate({
      url: b.url,
      scenario: 'greenhouse',
      devices: 10,
      rateHz: 10,
      signal: stop.signal,
      onProgress: (progress) => {
        seen.push({ ...progress });
        if (progress.acknowledged > 80) stop.abort();
      },
    });
    const result = await running;
    const seconds = (Date.now() - before) / 1000;
    expect(result.published).toBeGreaterThan(80);
    expect(result.published).toBeLessThanOrEqual(10 * 10 * (seconds + 1));
    expect(result.acknowledged).toBe(result.published);
    expect(seen.some((p) => p.connected === 10)).toBe(true);
    for (const { payload } of b.messages) {
      const { ts } = JSON.parse(payload.toString());
      expect(ts).toBeGreaterThanOrEqual(before);
      expect(ts).toBeLessThanOrEqual(Date.now());
    }
  });

  it('sends again what was not acknowledged when the broker went away and came back', async () => {
    const b = await broker({ loseAcks: (n) => n % 97 === 0 && n < 1500 });
    const fleet = { scenario: 'factory', devices: 6, seed: 4, rateHz: 5 };
    const running = simulate({ url: b.url, ...fleet, startMs: START_MS, durationMs: 60_000, speed: 30 });
    await vi.waitUntil(() => new Set(b.messages.map((m) => m.client)).size === 6 && b.messages.length > 300, WAIT);
    await b.stop();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await b.start();
    const result = await running;
    const plan = planned(fleet, 60_000);
    expect(result.acknowledged).toBe(plan.length);
    expect(result.reconnects).toBeGreaterThan(6);
    expect(result.trouble).not.toBeNull();
    // Everything arrived, some of it twice; in order for each device when repeats are passed over.
    for (const [index, { id }] of new Fleet(fleet).devices.entries()) {
      const sent = plan.filter((e) => e.device === index).map((e) => String(e.payload));
      const got = [...new Set(b.messages.filter((m) => m.client === id).map((m) => m.payload.toString()))];
      expect(got).toEqual(sent);
    }
    expect(b.messages.length).toBeGreaterThan(plan.length);
  });

  it('buffers while a device has lost its connection, and catches up; every trouble arrives', async () => {
    const b = await broker();
    const troubles = {
      drop: 0.9,
      dropMsMax: 10_000,
      late: 0.1,
      lateMsMax: 2_000,
      duplicate: 0.1,
      broken: 0.1,
      clockJump: 0.05,
    };
    const fleet = { scenario: 'greenhouse', devices: 5, seed: 8, rateHz: 4, troubles };
    const result = await simulate({ url: b.url, ...fleet, startMs: START_MS, durationMs: 120_000, speed: 60 });
    const plan = planned(fleet, 120_000);
    expect(result.acknowledged).toBe(plan.length);
    expect(result.reconnects).toBeGreaterThan(0);
    expect(result.broken).toBe(plan.filter((e) => e.broken !== null).length);
    expect(result.duplicates).toBe(plan.filter((e) => e.duplicate).length);
    expect(result.late).toBe(plan.filter((e) => e.late).length);
    const count = (list: string[]) => list.reduce((m, s) => m.set(s, (m.get(s) ?? 0) + 1), new Map<string, number>());
    const hex = (payload: string | Buffer) => Buffer.from(payload).toString('hex');
    const got = count(b.messages.map((m) => `${m.client} ${hex(m.payload)}`));
    const devices = new Fleet(fleet).devices;
    for (const [key, times] of count(plan.map((e) => `${devices[e.device].id} ${hex(e.payload)}`))) {
      expect(got.get(key) ?? 0).toBeGreaterThanOrEqual(times);
    }
  });

  it('holds the time of a fast fleet while too much waits, and never reads from the future', async () => {
    const b = await broker();
    const result = await simulate({
      url: b.url,
      scenario: 'factory',
      devices: 20,
      durationMs: 120_000,
      speed: 10_000,
      pendingMax: 50,
    });
    expect(result.acknowledged).toBe(result.published);
    expect(result.published).toBe(20 * 120);
    for (const { payload } of b.messages) expect(JSON.parse(payload.toString()).ts).toBeLessThanOrEqual(Date.now());
  });

  it('gives credentials, and says what a refusal was', async () => {
    const b = await broker({ password: 'secret' });
    const options = { url: b.url, scenario: 'factory', devices: 2, durationMs: 1000, startMs: START_MS, speed: 100 };
    const right = await simulate({ ...options, credentials: (device) => ({ username: device, password: 'secret' }) });
    expect(right.acknowledged).toBe(2);
    const stop = new AbortController();
    const wrong = await simulate({
      ...options,
      credentials: { username: 'u', password: 'no' },
      signal: stop.signal,
      onProgress: ({ trouble }) => {
        if (trouble !== null) stop.abort();
      },
    });
    expect(wrong.acknowledged).toBe(0);
    expect(wrong.pending).toBe(2);
    expect(wrong.trouble).toMatch(/refused|authorized/i);
  });
});

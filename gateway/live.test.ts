import { request } from 'node:http';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { alarmEventOf } from '../model/alarm.fixture.ts';
import { encodeCloudEvent } from '../model/cloudevent.ts';
import { ALARMS } from '../model/topics.ts';
import { openStore } from '../store/clickhouse.ts';
import type { Store } from '../store/store.ts';
import { bind, openParts, type Parts, readEvents, until } from './gateway.fixture.ts';
import { type Gateway, startGateway } from './gateway.ts';

/** The event stream, and what surrounds the answers, with a real log and a real store. */

let parts: Parts;
let gateway: Gateway;
const T0 = Date.now() - 600_000;

beforeAll(async () => {
  parts = await openParts();
  await parts.insert('pump-1', 'temperature', [[T0, 20]]);
  gateway = await startGateway(parts.options());
});

afterAll(async () => {
  await gateway?.close();
  await parts?.close();
});

describe('live events', () => {
  it('tell the stats each second, and alarms as they come', async () => {
    const event = alarmEventOf({ id: 'live-1', device: 'pump-1', severity: 'critical', raisedMs: T0, value: 99 });
    const all = await readEvents(
      `${gateway.url}/api/events`,
      (seen) => seen.some((e) => e.event === 'alarm') && seen.filter((e) => e.event === 'stats').length >= 2,
      async () => {
        await parts.append(ALARMS, encodeCloudEvent(event));
      },
    );
    expect(all.find((e) => e.event === 'alarm')!.data).toMatchObject({ id: 'live-1', severity: 'critical' });
    expect(all.filter((e) => e.event === 'stats')[1].data).toMatchObject({ info: { version: '1.2.3' } });

    // Who comes after it, as a page does that opens its stream anew, is told of it all the same.
    const later = await readEvents(`${gateway.url}/api/events`, (seen) => seen.some((e) => e.event === 'alarm'));
    expect(later.find((e) => e.event === 'alarm')!.data).toMatchObject({ id: 'live-1' });
  });

  it('follow the readings of a device: the newest frame, then each new reading once, of the metrics asked for', async () => {
    await parts.insert('live-1', 'flow', [[T0 - 1000, 0]]);
    await parts.insert('live-1', 'flow', [[T0, 1]]);
    const seen = (all: { event: string; data: never }[]) =>
      all
        .filter((e) => e.event === 'readings')
        .flatMap((e) => (e.data as { readings: { m: string; v: number }[] }).readings);
    const all = await readEvents(
      `${gateway.url}/api/events?device=live-1&metric=flow&metric=level`,
      (so) => seen(so).length >= 5,
      async () => {
        await parts.insert('live-1', 'flow', [[T0 + 1000, 2]]);
        await parts.insert('live-1', 'other', [[T0 + 1000, 77]]);
        await parts.insert('live-1', 'level', [[T0 + 2000, 3]]);
        parts.sameFrame(); // The rest of the same frame comes in a block of its own.
        await parts.insert('live-1', 'flow', [[T0 + 2000, 4]]);
        await parts.insert('live-1', 'flow', [[T0 - 90_000, 5]]); // Late by its own time: still new.
      },
    );
    expect(
      seen(all)
        .map((r) => `${r.m} ${r.v}`)
        .toSorted(),
    ).toEqual(['flow 1', 'flow 2', 'flow 4', 'flow 5', 'level 3']);
  });

  it('ask the store once for all who watch a device', async () => {
    let queries = 0;
    const counting: Store = {
      ...bind(parts.reader),
      query: (sql, params, opts) => {
        if (sql.includes('offset >= {cursor')) queries++;
        return parts.reader.query(sql, params, opts);
      },
    };
    const own = await startGateway(parts.options({ store: counting }));
    const aborts = Array.from({ length: 5 }, () => new AbortController());
    try {
      await Promise.all(
        aborts.map((a) => fetch(`${own.url}/api/events?device=pump-1&metric=temperature`, { signal: a.signal })),
      );
      await until(async () => expect(queries).toBeGreaterThanOrEqual(2));
      expect(queries).toBeLessThanOrEqual(4);
      expect(await (await fetch(`${own.url}/metrics`)).text()).toContain('sluice_gateway_streams 5');
    } finally {
      for (const a of aborts) a.abort();
      await own.close();
    }
  });
});

describe('the server', () => {
  it('serves the page with headers that keep it to itself', async () => {
    const page = await fetch(`${gateway.url}/`);
    expect(page.status).toBe(200);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(page.headers.get('x-content-type-options')).toBe('nosniff');
    expect(page.headers.get('cache-control')).toBe('no-cache');
    expect((await fetch(`${gateway.url}/assets/a-123.js`)).headers.get('cache-control')).toContain('immutable');
    expect((await fetch(`${gateway.url}/..%2f..%2fetc/passwd`)).status).toBeGreaterThanOrEqual(400);
  });

  it('takes GET only, and no foreign host name', async () => {
    expect((await fetch(`${gateway.url}/api/devices`, { method: 'POST', body: 'x' })).status).toBe(405);
    const status = await new Promise<number>((resolve, reject) => {
      const r = request(`${gateway.url}/api/overview`, { headers: { host: 'evil.example' } }, (answer) => {
        answer.resume();
        resolve(answer.statusCode!);
      });
      r.on('error', reject);
      r.end();
    });
    expect(status).toBe(403);
  });

  it('says where it cannot listen, and what to do', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    const { port } = blocker.address() as { port: number };
    await expect(startGateway(parts.options({ http: { host: '127.0.0.1', port } }))).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: expect.stringContaining(`127.0.0.1:${port}`),
      remedy: expect.stringContaining('--http'),
    });
    await new Promise((resolve) => blocker.close(resolve));
  });

  it('goes on without the store, and says so', async () => {
    const away = openStore({ url: 'http://127.0.0.1:9' });
    const own = await startGateway(parts.options({ store: away }));
    try {
      const devices = await fetch(`${own.url}/api/devices`);
      expect(devices.status).toBe(503);
      expect(devices.headers.get('retry-after')).toBe('2');
      expect(await devices.json()).toMatchObject({ code: 'STORE_UNAVAILABLE' });
      expect(await (await fetch(`${own.url}/api/overview`)).json()).toMatchObject({ counts: null, state: 'down' });
      expect((await fetch(`${own.url}/health`)).status).toBe(503);
    } finally {
      await own.close();
      await away.close();
    }
  });

  it('closes at once while pages are open, and twice without harm', async () => {
    const own = await startGateway(parts.options());
    const stream = await fetch(`${own.url}/api/events`);
    await Promise.all([own.close(), own.close()]);
    await expect(stream.text()).resolves.toContain('event: stats');
    await expect(fetch(`${own.url}/ready`)).rejects.toThrow();
  });
});

import { expect, it } from 'vitest';
import type { Findings } from '../gateway/reasons.ts';
import { ManualClock } from '../model/clock.ts';
import { silentLogger } from '../model/logger.ts';
import { openHealthListener } from './health-listener.ts';

const address = { host: '127.0.0.1', port: 0 };

it('answers from before the role is open until after it has drained', async () => {
  const clock = new ManualClock(0);
  const listener = await openHealthListener({ role: 'door', address, clock, logger: silentLogger });
  const get = async (path: string): Promise<[number, unknown]> => {
    const answer = await fetch(listener.url + path);
    const text = await answer.text();
    return [answer.status, text.startsWith('{') ? JSON.parse(text) : text];
  };
  try {
    clock.advance(40_000);
    expect(await get('/health')).toEqual([
      200,
      { role: 'door', state: 'opening', reasons: [expect.stringContaining('40 s: see its log')] },
    ]);
    expect(await get('/ready')).toMatchObject([503, { ready: false }]);
    expect(await get('/metrics')).toEqual([503, '# opening\n']);

    let findings: Findings = { down: [], degraded: [] };
    listener.observe({
      findings: () => findings,
      metrics: () => ({ contentType: 'text/plain', text: async () => 'sluice_x 1\n' }),
    });
    expect(await get('/health')).toEqual([200, { role: 'door', state: 'ok', reasons: [] }]);
    expect(await get('/ready')).toEqual([200, { ready: true, reasons: [] }]);
    expect(await get('/metrics')).toEqual([200, 'sluice_x 1\n']);
    findings = { down: [], degraded: ['slow'] };
    expect(await get('/health')).toEqual([200, { role: 'door', state: 'degraded', reasons: ['slow'] }]);
    expect((await get('/ready'))[0]).toBe(200);
    findings = { down: ['broken'], degraded: ['slow'] };
    expect(await get('/health')).toEqual([503, { role: 'door', state: 'down', reasons: ['broken', 'slow'] }]);
    expect(await get('/ready')).toEqual([503, { ready: false, reasons: ['broken'] }]);

    listener.draining();
    expect(await get('/health')).toMatchObject([200, { state: 'draining' }]);
    expect(await get('/ready')).toMatchObject([503, { ready: false }]);
  } finally {
    await listener.close();
  }
  await expect(fetch(`${listener.url}/health`)).rejects.toThrow();
});

it('tells that its address is taken, with the setting to change', async () => {
  const first = await openHealthListener({ role: 'door', address, clock: new ManualClock(0), logger: silentLogger });
  try {
    const port = Number(new URL(first.url).port);
    const second = openHealthListener({
      role: 'gateway',
      address: { host: '127.0.0.1', port },
      clock: new ManualClock(0),
      logger: silentLogger,
    });
    await expect(second).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      remedy: expect.stringContaining('health.gateway'),
    });
  } finally {
    await first.close();
  }
});

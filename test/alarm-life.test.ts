import { connectAsync, type MqttClient } from 'mqtt';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserIsThere, startBrowser } from './browser.ts';
import { eventually, kill9, type Program, startProgram } from './program.ts';

/** What operators do to alarms, through the whole program: over HTTP while roles are killed, and on the page. */

const config = `
version: 1
alarms:
  - name: too-hot
    metric: temperature
    above: 80
    clear: 75
    severity: critical
    ackRequired: true
    message: '{device} is at {value}'
  - name: flood
    metric: pressure
    above: 10
    group: {by: rule, times: 2, withinMs: 10m}
`;

interface Listed {
  id: string;
  device: string;
  life: string;
  version: number;
  ackedBy: string;
}

let program: Program;
let client: MqttClient;
/** CloudEvents that a subscriber has heard. */
const heard: { id: string; type: string; subject: string; data: { by: string } }[] = [];

beforeAll(async () => {
  program = await startProgram({ config });
  client = await connectAsync(program.mqttUrl, { clientId: 'operator-test', clean: false });
  client.on('message', (_topic, payload) => heard.push(JSON.parse(payload.toString())));
  await client.subscribeAsync('alarms/#', { qos: 1 });
}, 240_000);

afterAll(async () => {
  await client?.endAsync(true);
  await program?.remove();
});

const publish = (device: string, payload: object) =>
  client.publishAsync(`devices/${device}/telemetry`, JSON.stringify(payload), { qos: 1 });

async function ask<T>(path: string, body?: object): Promise<T | null> {
  const headers = { 'content-type': 'application/json' };
  const request = body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) };
  try {
    const answer = await fetch(`${program.httpUrl}${path}`, request);
    return answer.ok ? ((await answer.json()) as T) : null;
  } catch {
    return null;
  }
}

async function listed(device: string): Promise<Listed | null> {
  const answer = await ask<{ alarms: Listed[] }>(`/api/alarms?state=all&device=${device}`);
  return answer?.alarms[0] ?? null;
}

const lives = (device: string, life: string) =>
  eventually(`${device} is ${life}`, async () => {
    const alarm = await listed(device);
    return alarm?.life === life ? alarm : null;
  });

describe('an alarm', () => {
  it.each(['processor', 'door', 'gateway'])(
    'is acknowledged once over HTTP, though the %s is killed and the request is sent again',
    async (role) => {
      const device = `pump-${role}`;
      await publish(device, { temperature: 95 });
      const { id } = await lives(device, 'unacknowledged');
      const body = { by: 'ann', comment: 'on my way', operation: `op-${role}` };
      if (role !== 'gateway') await ask(`/api/alarms/${id}/ack`, body);
      kill9((await program.pids()).get(role) as number);
      // Whoever had no answer asks again, with the same name of the operation.
      await eventually('an answer', () => ask(`/api/alarms/${id}/ack`, body));
      const acknowledged = await lives(device, 'acknowledged');
      expect(acknowledged).toMatchObject({ ackedBy: 'ann', version: 2 });

      const detail = await ask<{ history: { transition: string; by: string; comment: string }[] }>(`/api/alarms/${id}`);
      expect(detail?.history.map(({ transition, by, comment }) => [transition, by, comment])).toEqual([
        ['raised', '', ''],
        ['acknowledged', 'ann', 'on my way'],
      ]);
      const stored = await fetch(
        `${program.clickhouseUrl}/?query=${encodeURIComponent(
          `SELECT count(), uniqExact(version) FROM sluice.alarm_events FINAL WHERE id = '${id}'`,
        )}`,
      );
      expect((await stored.text()).trim()).toBe('2\t2');
    },
    240_000,
  );

  it('waits to be acknowledged after it has cleared, and is then over', async () => {
    await publish('pump-r', { temperature: 95 });
    const { id } = await lives('pump-r', 'unacknowledged');
    await publish('pump-r', { temperature: 50 });
    await lives('pump-r', 'returned');
    await ask(`/api/alarms/${id}/ack`, { by: 'bob' });
    await lives('pump-r', 'normal');
    await eventually('the events', async () => heard.filter((event) => event.subject === 'pump-r').length === 3);
    expect(heard.filter((event) => event.subject === 'pump-r').map((event) => [event.id, event.type])).toEqual([
      [`${id}-1`, 'com.sluice.alarm.raised'],
      [`${id}-2`, 'com.sluice.alarm.cleared'],
      [`${id}-3`, 'com.sluice.alarm.acknowledged'],
    ]);
  });

  it('is not heard of while its device is out of service, and is when that ends', async () => {
    const rule = '/api/rules/too-hot/devices/pump-o';
    await ask(`${rule}/out-of-service`, { by: 'bob', comment: 'sensor is being replaced' });
    await lives('pump-o', 'out-of-service');
    await publish('pump-o', { temperature: 120 });
    await eventually('its raise', async () => ((await listed('pump-o'))?.version ?? 0) >= 2);
    await ask(`${rule}/in-service`, { by: 'bob' });
    await lives('pump-o', 'unacknowledged');
    await eventually('the events', async () => heard.filter((event) => event.subject === 'pump-o').length >= 2);
    expect(heard.filter((event) => event.subject === 'pump-o').map((event) => event.type)).toEqual([
      'com.sluice.alarm.out-of-service',
      'com.sluice.alarm.in-service',
    ]);
  });
});

describe.skipIf(!browserIsThere())('the page', () => {
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    browser = await startBrowser();
    page = await (await browser.newContext({ viewport: { width: 1440, height: 1000 } })).newPage();
    await page.goto(program.httpUrl);
  }, 240_000);

  afterAll(async () => {
    await browser?.close();
  });

  const row = (device: string) => page.locator('.alarm', { hasText: device });

  it('acknowledges by keyboard, once it knows who asks, and shows what an alarm has been through', async () => {
    await publish('press-1', { temperature: 90 });
    await row('press-1').getByRole('button', { name: 'Acknowledge' }).press('Enter');
    // Nobody has said who he is: the cursor stands where he does.
    await page.keyboard.type('ann');
    await page.keyboard.press('Tab');
    await page.keyboard.type('looking at it');
    await row('press-1').locator('[data-action="acknowledge"]').press('Enter');
    await page.locator('.alarm[data-life="acknowledged"]', { hasText: 'press-1' }).waitFor();
    await eventually('the history', async () => {
      const lines = await row('press-1').locator('.alarm-timeline li').allTextContents();
      return lines.length === 2 && lines[0].includes('acknowledged by ann') && lines[0].includes('looking at it');
    });
    expect(await row('press-1').locator('.alarm-timeline li').nth(1).textContent()).toContain('temperature 90');
    await row('press-1').getByRole('button', { name: 'Close' }).click();

    // The name is remembered, so the next one takes one key.
    await publish('press-2', { temperature: 90 });
    await row('press-2').getByRole('button', { name: 'Acknowledge' }).press('Enter');
    await page.locator('.alarm[data-life="acknowledged"]', { hasText: 'press-2' }).waitFor();
    expect((await lives('press-2', 'acknowledged')).ackedBy).toBe('ann');
  });

  it('shelves an alarm for a time, and brings it back', async () => {
    await publish('press-3', { temperature: 90 });
    await row('press-3').getByRole('button', { name: 'Details' }).click();
    await row('press-3').getByRole('combobox').selectOption('10 min');
    await row('press-3').getByRole('button', { name: 'Shelve for' }).click();
    await row('press-3').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Shelved' }).click();
    await page.locator('.alarm[data-life="shelved"]', { hasText: 'press-3' }).waitFor();
    await row('press-3').getByRole('button', { name: 'Unshelve' }).click();
    await row('press-3').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: /^Open/ }).click();
    await page.locator('.alarm[data-life="unacknowledged"]', { hasText: 'press-3' }).waitFor();
  });

  it('shows a flood as one line, and its members when asked', async () => {
    await Promise.all(Array.from({ length: 30 }, (_, n) => publish(`flood-${n}`, { pressure: 20 })));
    const flood = page.locator('.alarm-flood');
    await flood.waitFor();
    expect(await flood.count()).toBe(1);
    expect(await flood.textContent()).toMatch(/\d+ alarms of rule flood, grouped/);
    const before = await page.locator('.alarm').count();
    await flood.getByRole('button', { name: 'Show them' }).click();
    await eventually('its members', async () => (await page.locator('.alarm').count()) > before);
    const wide = async () =>
      page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
    expect(await wide()).toBe(0);
    await page.setViewportSize({ width: 390, height: 844 });
    expect(await wide()).toBe(0);
  }, 240_000);
});

import { connectAsync, type MqttClient } from 'mqtt';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { browserIsThere, startBrowser } from './browser.ts';
import { eventually, type Program, startProgram } from './program.ts';

/** The page in a real browser, served by the real program. */

const config = `
version: 1
windows:
  - { name: 5s, sizeMs: 5s, metrics: [pressure], aggregates: [stddev, rate, p99.9, { histogram: [5] }] }
alarms:
  - name: too-hot
    metric: temperature
    above: 80
    clear: 75
    forMs: 0ms
    severity: critical
    message: '{device} is at {value}'
`;

/** Runs in the page: how many pixels of the chart have the line's green; null while there are few. */
const COUNT_COLOURED = `(() => {
  const canvas = document.querySelector('.chart canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let coloured = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200 && data[i + 1] - data[i] > 60) coloured++;
  return coloured > 50 ? coloured : null;
})()`;

describe.skipIf(!browserIsThere())('the page', () => {
  let program: Program;
  let client: MqttClient;
  let browser: Browser;
  let context: BrowserContext | undefined;
  /** Addresses that a page asked for outside of the program, and errors of its scripts. */
  let strays: string[] = [];

  beforeAll(async () => {
    [program, browser] = await Promise.all([startProgram({ config }), startBrowser()]);
    client = await connectAsync(program.mqttUrl, { clientId: 'tester' });
  }, 240_000);

  afterAll(async () => {
    await browser?.close();
    await client?.endAsync(true);
    await program?.remove();
  });

  afterEach(async () => {
    await context?.close();
    context = undefined;
    expect(strays).toEqual([]);
  });

  async function open(
    hash = '',
    options: { colorScheme?: 'dark' | 'light'; width?: number; height?: number } = {},
  ): Promise<Page> {
    const { width = 1440, height = 900, colorScheme = 'light' } = options;
    context = await browser.newContext({ viewport: { width, height }, colorScheme });
    strays = [];
    const page = await context.newPage();
    page.on('request', (request) => {
      if (!request.url().startsWith(program.httpUrl)) strays.push(request.url());
    });
    page.on('pageerror', (error) => strays.push(error.message));
    await page.goto(`${program.httpUrl}/${hash}`);
    return page;
  }

  const publish = (device: string, payload: object) =>
    client.publishAsync(`devices/${device}/telemetry`, JSON.stringify(payload), { qos: 1 });

  it('tells a newcomer how to publish the first reading, and shows it when it comes', async () => {
    const page = await open();
    const command = page.locator('.first-steps code').first();
    await command.waitFor();
    const { host, port } = new URL(program.mqttUrl.replace('mqtt:', 'http:'));
    expect(await command.textContent()).toContain(`-h ${host.split(':')[0]} -p ${port}`);
    await page.locator('.alarms .notice', { hasText: 'No open alarms' }).waitFor();
    await page.locator('.quarantine .notice', { hasText: 'Every message could be decoded' }).waitFor();

    await publish('pump-1', { temperature: 21.5, flow: 3 });
    await page.locator('.device-list button', { hasText: 'pump-1' }).waitFor();
    await page.locator('.chart[data-metric="temperature"][data-points="1"]').waitFor();
    expect(await page.locator('.first-steps').count()).toBe(0);
  });

  it('joins history and what comes live in one chart, each reading once', async () => {
    for (let i = 0; i < 5; i++) await publish('pump-2', { ts: Date.now() - 10_000 + i * 1000, temperature: 20 + i });
    await eventually('five readings', async () => {
      const [row] = await program.query<{ n: number }>(
        "SELECT count() AS n FROM sluice.readings WHERE device = 'pump-2'",
      );
      return Number(row.n) === 5;
    });
    const page = await open('#device=pump-2&metric=temperature&range=5m');
    await page.locator('.chart[data-points="5"]').waitFor();
    for (let i = 0; i < 3; i++) await publish('pump-2', { ts: Date.now() - 3_000 + i * 1000, temperature: 30 + i });
    await page.locator('.chart[data-points="8"]').waitFor();
    expect(await page.locator('.chart .chart-value').textContent()).toBe('32');
    expect(await page.locator('.chip[data-metric="temperature"] output').textContent()).toBe('32');
    // The browser comes back after an interruption: nothing twice, nothing missing.
    await page.reload();
    await page.locator('.chart[data-points="8"]').waitFor();
  });

  it('draws nothing but what the canvas holds: the line is there', async () => {
    const page = await open('#device=pump-2&metric=temperature&range=5m');
    await page.locator('.chart[data-points="8"] canvas').waitFor();
    const drawn = await eventually('a drawn line', () => page.evaluate<number | null>(COUNT_COLOURED));
    expect(drawn).toBeGreaterThan(50);
  });

  it('shows an alarm when it is raised, and takes it away when it clears', async () => {
    const page = await open('#device=pump-3&range=5m');
    await publish('pump-3', { temperature: 95 });
    const alarm = page.locator('.alarm[data-state="raised"]', { hasText: 'pump-3' });
    await alarm.waitFor();
    expect(await alarm.textContent()).toContain('pump-3 is at 95');
    expect(await alarm.textContent()).toContain('critical');
    await eventually('the count in the title', async () => (await page.title()) === '(1) Sluice');

    await publish('pump-3', { temperature: 60 });
    await alarm.waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Recent' }).click();
    await page.locator('.alarm[data-state="cleared"]', { hasText: 'pump-3' }).waitFor();
    expect(await page.title()).toBe('Sluice');
  });

  it('shows what is in quarantine with its reason', async () => {
    const page = await open();
    await client.publishAsync('devices/pump-9/telemetry', '{broken', { qos: 1 });
    const row = page.locator('.quarantine-list li', { hasText: 'pump-9' });
    await row.waitFor();
    expect(await row.locator('code').textContent()).toBe('{broken');
    expect((await row.locator('.quarantine-reason').textContent())?.length).toBeGreaterThan(3);
  });

  it('has a table of percentiles and the like where a window computes them', async () => {
    const startMs = Math.floor(Date.now() / 5000) * 5000 - 10_000;
    for (const [ms, pressure] of [
      [0, 4],
      [1000, 8],
      [12_000, 1],
    ]) {
      const payload = JSON.stringify({ ts: startMs + ms, pressure });
      await client.publishAsync('devices/press/telemetry', payload, { qos: 1 });
    }
    await eventually('the rollup', async () => {
      const [row] = await program.query<{ n: string }>(
        "SELECT count() AS n FROM sluice.rollups WHERE device = 'press'",
      );
      return row.n !== '0';
    });
    const page = await open('#device=press');
    const cells = page.locator('.aggregates tbody tr').first().locator('td');
    await cells.nth(5).waitFor();
    expect((await page.locator('.aggregates thead th').allTextContents()).join(' ')).toBe(
      'metric since stddev rate p99.9 le_5 le_inf',
    );
    expect((await cells.allTextContents()).slice(1)).toEqual(['2.8284', '4', '4.0148', '1', '2']);
  });

  it('is dark or light as the system says, until the reader chooses; the choice is remembered', async () => {
    const page = await open('', { colorScheme: 'dark' });
    const background = () => page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
    const dark = await background();
    await page.emulateMedia({ colorScheme: 'light' });
    await eventually('the light colours', async () => (await background()) !== dark);
    await page.getByRole('button', { name: 'Switch to dark' }).click();
    expect(await background()).toBe(dark);
    await page.reload();
    expect(await background()).toBe(dark);
  });

  it('is worked by keyboard, and its address leads back to the same view', async () => {
    const page = await open();
    await page.locator('.device-list button').first().waitFor();
    await page.getByRole('searchbox', { name: 'Search devices' }).focus();
    await page.keyboard.type('pump-2');
    await eventually('one device', async () => (await page.locator('.device-list button').count()) === 1);
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.locator('.device-title', { hasText: 'pump-2' }).waitFor();
    await page.getByRole('button', { name: '1 h', exact: true }).click();
    expect(new URL(page.url()).hash).toContain('device=pump-2');
    expect(new URL(page.url()).hash).toContain('range=1h');
    await page.reload();
    await page.locator('.device-title', { hasText: 'pump-2' }).waitFor();
    expect(await page.getByRole('button', { name: '1 h', exact: true }).getAttribute('aria-pressed')).toBe('true');
  });

  it('fits a phone: nothing is wider than the screen', async () => {
    const page = await open('#device=pump-2&metric=temperature', { width: 390, height: 844 });
    await page.locator('.chart canvas').first().waitFor();
    const wide = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
    expect(wide).toBe(0);
  });

  it('says when a device is not known, and when a role is away, and gets over it', async () => {
    const page = await open('#device=nobody');
    await page.locator('.charts .notice.error', { hasText: 'nobody' }).waitFor();
    const pids = await program.pids();
    process.kill(pids.get('gateway')!, 'SIGKILL');
    await page.locator('.banner', { hasText: 'Connection to Sluice lost' }).waitFor();
    expect(await page.locator('.connection').textContent()).toBe('Reconnecting');
    await page.locator('.banner').waitFor({ state: 'hidden' });
    await eventually('live again', async () => (await page.locator('.connection').textContent()) === 'Live');
  });

  it('tells what is said of a device, filters by it, and changes it in place', async () => {
    await publish('told', { level: 1 });
    await publish('untold', { level: 1 });
    const page = await open('#device=told');
    await page.locator('.entry .mark').waitFor();
    await page.getByRole('button', { name: 'Describe' }).click();
    await page.getByLabel('Site', { exact: true }).fill('north');
    await page.getByLabel('Tags', { exact: true }).fill('line=a, floor=2');
    await page.getByLabel('Thresholds', { exact: true }).fill('level_max=7.5');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.locator('.entry .fact', { hasText: 'north' }).waitFor();
    const filter = page.getByLabel('Filter devices');
    await filter.waitFor({ timeout: 20_000 });
    await filter.selectOption('site north');
    await expect.poll(() => page.locator('.device-list .device-name').allTextContents()).toEqual(['toldnorth']);
    await filter.selectOption('unknown');
    await page.locator('.device-list button', { hasText: 'untold' }).locator('.mark').waitFor();
    expect(await page.locator('.device-list .device-name', { hasText: 'north' }).count()).toBe(0);
    await page.setViewportSize({ width: 390, height: 800 });
    await expect.poll(() => page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390);
  });
});

/**
 * Makes docs/page.png: the page with a running fleet, 1440 x 900.
 *
 *     npm run build && node docs/screenshot.mjs [SECONDS] [light|dark]
 *
 * Starts the program on free ports with a folder of its own, lets 300 machines of a factory publish for SECONDS (default 310: the five
 * minutes that the chart shows), takes the picture with Debian's Chromium, and removes everything again.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const seconds = Number(process.argv[2] ?? 310);
const colorScheme = process.argv[3] === 'dark' ? 'dark' : 'light';
const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const config = fileURLToPath(new URL('../sluice.example.yaml', import.meta.url));
const picture = fileURLToPath(new URL('./page.png', import.meta.url));

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function freeAddress() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}

function run(...args) {
  return spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
}

async function untilReady(url) {
  for (let tries = 0; tries < 120; tries++) {
    const answer = await fetch(`${url}/ready`).catch(() => null);
    if (answer?.ok) return;
    await sleep(500);
  }
  throw new Error('the program did not become ready within a minute');
}

const dir = await mkdtemp(join(tmpdir(), 'sluice-picture-'));
const [mqtt, http, clickhouse] = [await freeAddress(), await freeAddress(), await freeAddress()];
const listen = ['--mqtt', mqtt, '--http', http, '--clickhouse-http', clickhouse];
const program = run('start', '--config', config, '--data', dir, ...listen);
let fleet = null;
try {
  await untilReady(`http://${http}`);
  const shape = ['--devices', '300', '--rate-hz', '2', '--troubles', 'broken=0.00002', '--quiet'];
  fleet = run('simulate', 'factory', '--url', `mqtt://${mqtt}`, ...shape);
  await sleep(seconds * 1000);
  // Somebody is at work: one alarm acknowledged, one shelved.
  const open = (await (await fetch(`http://${http}/api/alarms`)).json()).alarms;
  const ask = (alarm, what, body) =>
    fetch(`http://${http}/api/alarms/${alarm.id}/${what}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ by: 'ann', ...body }),
    });
  if (open.length > 1) await ask(open[1], 'ack', { comment: 'on my way' });
  if (open.length > 3) await ask(open[3], 'shelve', { comment: 'bearing is on order', forMs: 3_600_000 });
  const { alarms } = await (await fetch(`http://${http}/api/alarms`)).json();
  const { devices } = await (await fetch(`http://${http}/api/devices?limit=1`)).json();
  const hash = new URLSearchParams({ device: alarms[0]?.device ?? devices[0].device, range: '5m' });
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu'],
  });
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme });
  await page.goto(`http://${http}/#${hash}`);
  await sleep(8_000);
  await page.screenshot({ path: picture });
  await browser.close();
  console.log(picture);
} finally {
  fleet?.kill('SIGTERM');
  program.kill('SIGTERM');
  if (program.exitCode === null) await new Promise((resolve) => program.once('exit', resolve));
  await rm(dir, { recursive: true, force: true });
}

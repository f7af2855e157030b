import { setTimeout as sleep } from 'node:timers/promises';
import { query } from './clickhouse.ts';
import { startProgram } from './program.ts';
import type { PagesResult } from './result.ts';
import { deviceName, type Filled, fillReadings, METRICS, openWriter, PERIOD_MS } from './store-process.ts';

const DEVICES = 1000;
const ROWS_MAX = 100_000_000;
const EACH = 12;
const MERGES_MS = 20_000;
const HOUR_MS = 3_600_000;

/** Fills a table and asks the gateway what the page asks, one question at a time as one person would. */
export async function pageQueries(folder: string, secondsMax: number): Promise<PagesResult> {
  const program = await startProgram('lmdb', folder);
  const store = openWriter(program.storeUrl, program.dataDir);
  try {
    const steps = Math.ceil(ROWS_MAX / (DEVICES * METRICS.length));
    const filled = await fillReadings(store, DEVICES, Date.now() - steps * PERIOD_MS, ROWS_MAX, secondsMax);
    await merged(program.storeUrl);
    const [{ bytes, rows }] = await query<{ bytes: number; rows: number }>(
      program.storeUrl,
      "SELECT sum(bytes_on_disk) AS bytes, sum(rows) AS rows FROM system.parts WHERE active AND database = 'sluice' AND table = 'readings'",
    );
    const all: number[] = [];
    const queries: PagesResult['queries'] = [];
    for (const { name, path } of questions(filled)) {
      const times: number[] = [];
      for (let n = 0; n < EACH; n++) times.push(await timed(`${program.httpUrl}${path(n)}`));
      all.push(...times);
      queries.push({ name, count: EACH, p50Ms: at(times, 0.5), p95Ms: at(times, 0.95), maxMs: Math.max(...times) });
    }
    return {
      readings: filled.rows,
      series: DEVICES * METRICS.length,
      insertedPerSecond: filled.rows / filled.seconds,
      bytesPerReading: Number(bytes) / Math.max(1, Number(rows)),
      queries,
      p95Ms: at(all, 0.95),
    };
  } finally {
    await store.close();
    await program.stop();
  }
}

interface Question {
  name: string;
  path(n: number): string;
}

/** What the page asks when it is opened, when a device is chosen, and when its range is changed. Each time another device. */
function questions({ fromMs, toMs }: Filled): Question[] {
  const device = (n: number) => deviceName((n * 7919) % DEVICES);
  const metrics = METRICS.map((metric) => `metric=${metric}`).join('&');
  const series = (name: string, spanMs: number): Question => ({
    name: `chart of ${name}, 3 metrics`,
    path: (n) => `/api/devices/${device(n)}/series?${metrics}&from=${toMs - spanMs}&to=${toMs}&points=800`,
  });
  return [
    { name: 'overview', path: () => '/api/overview?seconds=120' },
    { name: 'a device', path: (n) => `/api/devices/${device(n)}` },
    { name: 'open alarms', path: () => '/api/alarms?state=open&limit=100' },
    series('an hour', HOUR_MS),
    series('a day', Math.min(24 * HOUR_MS, toMs - fromMs)),
    series('all', toMs - fromMs),
  ];
}

async function timed(url: string): Promise<number> {
  const beforeMs = performance.now();
  const answer = await fetch(url);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${text.slice(0, 200)}`);
  return performance.now() - beforeMs;
}

/** Waits until no merge runs, or a while. */
async function merged(storeUrl: string): Promise<void> {
  const untilMs = Date.now() + MERGES_MS;
  for (let quiet = 0; quiet < 3 && Date.now() < untilMs; await sleep(500)) {
    const [{ n }] = await query<{ n: number }>(storeUrl, 'SELECT count() AS n FROM system.merges');
    quiet = Number(n) === 0 ? quiet + 1 : 0;
  }
}

/** The smallest value that the given part of all is not above. */
function at(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)];
}

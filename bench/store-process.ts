import { join } from 'node:path';
import type { SeriesNames } from '../store/blocks.ts';
import { ReadingsBlock } from '../store/blocks.ts';
import { openStore } from '../store/clickhouse.ts';
import { readCredentials } from '../store/embedded/credentials.ts';
import type { Store } from '../store/store.ts';

/** Fills `readings` of a running store as the processors do: by Native blocks, sorted, some on the wire at once. */

export const METRICS = ['temperature', 'humidity', 'pressure'] as const;
/** From one reading of a series to the next. */
export const PERIOD_MS = 10_000;
const BLOCK_ROWS = 300_000;
const IN_FLIGHT = 2;

/** The store's client with the program's own credentials; `dataDir` is that of the program. */
export function openWriter(url: string, dataDir: string): Store {
  return openStore({ url, ...readCredentials(join(dataDir, 'store')), insertsInFlightMax: IN_FLIGHT });
}

export interface Filled {
  rows: number;
  seconds: number;
  devices: number;
  fromMs: number;
  toMs: number;
}

/** Inserts until `rowsMax` rows are there or the time is over. Event time goes on from `fromMs`, PERIOD_MS a step of all devices. */
export async function fillReadings(
  store: Store,
  devices: number,
  fromMs: number,
  rowsMax: number,
  secondsMax: number,
): Promise<Filled> {
  const names: SeriesNames = {
    device: (series) => deviceName(Math.floor(series / METRICS.length)),
    metric: (series) => METRICS[series % METRICS.length],
  };
  const builder = new ReadingsBlock(names, 0);
  const inserts = new Set<Promise<void>>();
  const startMs = performance.now();
  let rows = 0;
  let block = 0;
  let step = 0;
  while (rows < rowsMax && performance.now() - startMs < secondsMax * 1000) {
    for (; builder.rows < BLOCK_ROWS; step++) addStep(builder, devices, fromMs + step * PERIOD_MS, step);
    rows += builder.rows;
    const insert = store.insert('readings', builder.finish(), { token: `bench-${fromMs}-${block++}` });
    const done = insert.finally(() => inserts.delete(done));
    inserts.add(done);
    if (inserts.size >= IN_FLIGHT) await Promise.race(inserts);
  }
  await Promise.all(inserts);
  const seconds = (performance.now() - startMs) / 1000;
  return { rows, seconds, devices, fromMs, toMs: fromMs + step * PERIOD_MS };
}

export function deviceName(device: number): string {
  return `pump-${String(device).padStart(5, '0')}`;
}

/** One reading of each series: slow waves with a little noise, two decimals. */
function addStep(builder: ReadingsBlock, devices: number, tsMs: number, step: number): void {
  for (let series = 0; series < devices * METRICS.length; series++) {
    const noise = Math.imul(step * 31 + series, 0x9e3779b1) >>> 26;
    const value = Math.round((20 + 10 * Math.sin((step + series) / 360)) * 100 + noise) / 100;
    builder.add(series, tsMs, value, '', tsMs, step, series, false);
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { Fleet } from '../../device-sim/fleet.ts';
import { fleetFrames } from '../../device-sim/fleet-frames.ts';
import { SCENARIOS } from '../../device-sim/scenario.ts';
import { caughtUp } from '../catch-up.ts';
import { query } from '../clickhouse.ts';
import { count, markdownTable } from '../table.ts';

/** Bytes on disk of what the simulated fleets measure, which is like what real ones do: noise, slow waves, states, texts. */
export interface ScenarioResult {
  scenarios: {
    name: string;
    about: string;
    devices: number;
    readings: number;
    bytesPerReading: number;
    parts: number;
    /** Those that take most, in bytes a reading. */
    columns: { name: string; bytesPerReading: number }[];
  }[];
}

const DEVICES = 200;
const PARTITIONS = 8;
/** One reading a second of each device, an hour and a half: about 4 million readings of each scenario. */
const SPAN_MS = 5_400_000;
const FROM_MS = 1_760_000_000_000;
const FRAME_MS = 10_000;
const MERGES_MS = 30_000;
const COLUMNS_SHOWN = 4;

export async function measureScenarios(folder: string): Promise<{ result: ScenarioResult }> {
  const scenarios: ScenarioResult['scenarios'] = [];
  for (const { name, about } of SCENARIOS.values()) {
    const fleet = () => new Fleet({ scenario: name, devices: DEVICES });
    const span = { fromMs: FROM_MS, toMs: FROM_MS + SPAN_MS, partitions: PARTITIONS, frameMs: FRAME_MS };
    const readings = readingsOf(fleet(), span.fromMs, span.toMs);
    const { program } = await caughtUp(folder, { partitions: PARTITIONS, readings }, fleetFrames(fleet(), span));
    try {
      scenarios.push({ name, about, devices: DEVICES, readings, ...(await afterMerges(program.storeUrl)) });
    } finally {
      await program.stop();
    }
  }
  return { result: { scenarios } };
}

function readingsOf(fleet: Fleet, fromMs: number, toMs: number): number {
  let readings = 0;
  for (const event of fleet.events(fromMs)) {
    if (event.atMs >= toMs) break;
    if (event.kind === 'publish') readings += event.readings;
  }
  return readings;
}

/** Waits until the store merges nothing for a moment, and looks at what is there. */
async function afterMerges(storeUrl: string) {
  const untilMs = Date.now() + MERGES_MS;
  for (let quiet = 0; quiet < 4 && Date.now() < untilMs; await sleep(500)) {
    const [{ n }] = await query<{ n: number }>(storeUrl, 'SELECT count() AS n FROM system.merges');
    quiet = Number(n) === 0 ? quiet + 1 : 0;
  }
  const of = "active AND database = 'sluice' AND table = 'readings'";
  const [{ bytes, rows, parts }] = await query<{ bytes: number; rows: number; parts: number }>(
    storeUrl,
    `SELECT sum(bytes_on_disk) AS bytes, sum(rows) AS rows, count() AS parts FROM system.parts WHERE ${of}`,
  );
  const columns = await query<{ name: string; bytes: number }>(
    storeUrl,
    `SELECT name, sum(data_compressed_bytes) AS bytes FROM system.columns
     WHERE database = 'sluice' AND table = 'readings' GROUP BY name ORDER BY bytes DESC LIMIT ${COLUMNS_SHOWN}`,
  );
  const each = (n: number) => Number(n) / Math.max(1, Number(rows));
  return {
    bytesPerReading: each(bytes),
    parts: Number(parts),
    columns: columns.map((column) => ({ name: column.name, bytesPerReading: each(column.bytes) })),
  };
}

export function scenarioSection({ scenarios }: ScenarioResult): string {
  const rows = scenarios.map((s) => [
    s.name,
    count(s.devices),
    count(s.readings),
    count(s.parts),
    s.bytesPerReading.toFixed(2),
    s.columns.map((c) => `${c.name} ${c.bytesPerReading.toFixed(2)}`).join(', '),
  ]);
  return markdownTable(['scenario', 'devices', 'readings', 'parts', 'bytes/reading', 'most of it'], rows, 1);
}

/** Over all scenarios, each by its readings. */
export function bytesOfScenarios({ scenarios }: ScenarioResult): number {
  const readings = scenarios.reduce((sum, s) => sum + s.readings, 0);
  return scenarios.reduce((sum, s) => sum + s.bytesPerReading * s.readings, 0) / Math.max(1, readings);
}

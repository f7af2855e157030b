import { type CatchUp, caughtUp, cpuOfCatchUp, memoryOfCatchUp } from '../catch-up.ts';
import { fitted } from '../growth.ts';
import { count, markdownTable } from '../table.ts';
import { framesOf } from './fleet-of-frames.ts';

/** How the cost of the whole program from the log on grows with the fleet and with what is asked: one thing at a time. */
export interface GrowthResult {
  points: GrowthPoint[];
}

export interface GrowthPoint extends Shape {
  /** What is different from the others. */
  along: Along;
  run: CatchUp;
}

type Along = 'devices' | 'metrics' | 'partitions' | 'windows' | 'rules';

interface Shape {
  devices: number;
  metrics: number;
  partitions: number;
  windows: number;
  rules: number;
}

const BASE: Shape = { devices: 1000, metrics: 3, partitions: 8, windows: 1, rules: 0 };
const SIDES: Record<Along, readonly number[]> = {
  devices: [1000, 10_000, 100_000, 1_000_000],
  metrics: [1, 3, 10, 30],
  partitions: [1, 8, 64],
  windows: [0, 1, 2, 5],
  rules: [0, 10, 100],
};
/** Of each point; more where each device is to be heard at least MESSAGES_MIN times. */
const READINGS = 5_000_000;
const MESSAGES_MIN = 3;
const WINDOW_SIZES = ['1m', '10s', '5m', '1h', '1d'];

export async function measureGrowth(folder: string): Promise<{ result: GrowthResult }> {
  const done = new Map<string, CatchUp>();
  const points: GrowthPoint[] = [];
  for (const [along, values] of Object.entries(SIDES) as [Along, readonly number[]][]) {
    for (const value of values) {
      const shape = { ...BASE, [along]: value };
      const key = JSON.stringify(shape);
      const run = done.get(key) ?? (await measureShape(folder, shape));
      done.set(key, run);
      points.push({ ...shape, along, run });
      console.error(`  ${along} ${count(value)}: ${count(run.readingsPerSecond)} readings/s`);
    }
  }
  return { result: { points } };
}

async function measureShape(folder: string, shape: Shape): Promise<CatchUp> {
  const messages = Math.max(Math.ceil(READINGS / shape.metrics), shape.devices * MESSAGES_MIN);
  const options = { settings: settingsOf(shape), partitions: shape.partitions, readings: messages * shape.metrics };
  const { program, run } = await caughtUp(folder, options, framesOf({ ...shape, messages }));
  await program.stop();
  return run;
}

/** Lines of a sluice.yaml. No rule ever fires. */
function settingsOf({ partitions, windows, rules, metrics }: Shape): string {
  const window = (size: string) => `  - { name: ${size}, sizeMs: ${size} }\n`;
  const rule = (i: number) => `  - { name: rule-${i}, metric: metric_${i % metrics}, above: ${5000 + i} }\n`;
  return [
    `log: { partitions: ${partitions} }\n`,
    windows === 0 ? 'windows: []\n' : `windows:\n${WINDOW_SIZES.slice(0, windows).map(window).join('')}`,
    rules === 0 ? '' : `alarms:\n${Array.from({ length: rules }, (_, i) => rule(i)).join('')}`,
  ].join('');
}

/** What a message costs, told by how much of one thing there is. */
const LINES: Record<Along, { what: string; x(value: number): number; perMessage: boolean }> = {
  devices: { what: 'ten times as many devices (from 1,000)', x: (v) => Math.log10(v / 1000), perMessage: false },
  metrics: { what: 'a metric in the message', x: (v) => v, perMessage: true },
  partitions: { what: 'twice as many partitions (from 1)', x: Math.log2, perMessage: false },
  windows: { what: 'a window', x: (v) => v, perMessage: false },
  rules: { what: 'a rule that does not fire', x: (v) => v, perMessage: false },
};

export interface GrowthLine {
  along: Along;
  what: string;
  /** 'message' or 'reading': what the µs are of. */
  of: 'message' | 'reading';
  base: number;
  each: number;
  fit: number;
}

/** Straight lines of least squares through the CPU of processor and store. */
export function growthLines({ points }: GrowthResult): GrowthLine[] {
  return (Object.keys(LINES) as Along[]).flatMap((along) => {
    const { what, x, perMessage } = LINES[along];
    const own = points.filter((point) => point.along === along);
    if (own.length < 3) return [];
    const line = fitted(own.map((p) => ({ x: x(p[along]), y: cpuOf(p.run) * (perMessage ? p.metrics : 1) })));
    return [{ along, what, of: perMessage ? ('message' as const) : ('reading' as const), ...line }];
  });
}

function cpuOf(run: CatchUp): number {
  return cpuOfCatchUp(run, 'processor') + cpuOfCatchUp(run, 'store');
}

export function growthSection(result: GrowthResult): string {
  const rows = result.points.map((point) => [
    point.along,
    count(point[point.along]),
    count(point.run.readingsPerSecond),
    cpuOfCatchUp(point.run, 'processor').toFixed(2),
    cpuOfCatchUp(point.run, 'store').toFixed(2),
    (memoryOfCatchUp(point.run, 'processor') / 1e6).toFixed(0),
    (memoryOfCatchUp(point.run, 'store') / 1e6).toFixed(0),
  ]);
  const lines = growthLines(result).map((g) => [g.what, g.of, g.base.toFixed(2), g.each.toFixed(3), g.fit.toFixed(2)]);
  const table = markdownTable(
    ['along', 'how many', 'readings/s', 'processor, µs/reading', 'store, µs/reading', 'processor, MB', 'store, MB'],
    rows,
    1,
  );
  return `${table}\n\n${markdownTable(['each more of', 'CPU of a', 'µs without', 'µs more', 'R²'], lines, 2)}`;
}

import { setTimeout as sleep } from 'node:timers/promises';
import { query } from '../clickhouse.ts';
import { blastAndWait, oneRound } from '../pipeline-run.ts';
import { toSvg } from '../plots.ts';
import { residentBytes } from '../processes.ts';
import { startProgram } from '../program.ts';
import type { Round } from '../result.ts';
import { count, markdownTable, milliseconds } from '../table.ts';

/** More than a minute at full speed: whether rates hold, merges keep up, and memory stays. */
export interface SteadyResult {
  round: Round;
  points: SteadyPoint[];
  /** How long comparing what is stored with what was acknowledged took. Absent in older results. */
  verifySeconds?: number;
}

export interface SteadyPoint {
  /** From the beginning of the round, s. */
  atSeconds: number;
  rows: number;
  parts: number;
  /** Merges that ran at that moment. */
  merges: number;
  memoryBytes: { name: string; bytes: number }[];
}

const SECONDS = 75;
const WARM_UP_SECONDS = 3;
const EVERY_MS = 1000;
/** Rates are means over so long: rows come in blocks. */
const MEAN_SECONDS = 5;
const LOAD = { connections: 50, payload: 'object', qos: 1, ratePerSecond: null, rounds: 1 } as const;

export async function measureSteady(
  folder: string,
  seconds = SECONDS,
): Promise<{ result: SteadyResult; plots: Map<string, string> }> {
  const program = await startProgram('lmdb', folder);
  try {
    const load = { ...LOAD, seconds, warmUpSeconds: WARM_UP_SECONDS };
    await blastAndWait(program, load, 'warm', WARM_UP_SECONDS);
    const points: SteadyPoint[] = [];
    const startMs = performance.now();
    let over = false;
    // A look that fails is missing among the points, and ends nothing.
    const look = async () => {
      const point = await lookAt(program, (performance.now() - startMs) / 1000).catch(() => null);
      if (point !== null) points.push(point);
    };
    const watch = async () => {
      for (let n = 0; !over; n++) {
        await look();
        await sleep(Math.max(0, startMs + (n + 1) * EVERY_MS - performance.now()));
      }
      await look();
    };
    const watching = watch();
    let storedMs = Number.NaN;
    // Verifying comes after the last reading, and is no part of what is shown.
    const onStored = () => {
      over = true;
      storedMs = performance.now();
    };
    const round = await oneRound(program, load, 'steady', { onStored }).finally(() => {
      over = true;
    });
    const verifySeconds = (performance.now() - storedMs) / 1000;
    await watching;
    const last = points.findIndex(({ rows }) => rows === points.at(-1)?.rows);
    const result = { round, points: points.slice(0, last + 1), verifySeconds };
    return { result, plots: plotsOf(result) };
  } finally {
    await program.stop();
  }
}

type Program = Awaited<ReturnType<typeof startProgram>>;

async function lookAt(program: Program, atSeconds: number): Promise<SteadyPoint> {
  const [{ rows, parts, merges }] = await query<{ rows: number; parts: number; merges: number }>(
    program.storeUrl,
    `SELECT (SELECT count() FROM sluice.readings) AS rows,
       (SELECT count() FROM system.parts WHERE active AND database = 'sluice' AND table = 'readings') AS parts,
       (SELECT count() FROM system.merges) AS merges`,
  );
  const memoryBytes = program.sample().map(({ pid, name }) => ({ name, bytes: residentBytes(pid) }));
  return { atSeconds, rows: Number(rows), parts: Number(parts), merges: Number(merges), memoryBytes };
}

/** Readings stored in a second, as the mean of some seconds up to each look. */
export function ratesOf(points: readonly SteadyPoint[]): { x: number; y: number }[] {
  return points.flatMap((point) => {
    const before = points.findLast(({ atSeconds }) => atSeconds <= point.atSeconds - MEAN_SECONDS);
    if (before === undefined) return [];
    return [{ x: point.atSeconds, y: (point.rows - before.rows) / (point.atSeconds - before.atSeconds) }];
  });
}

function plotsOf({ points }: SteadyResult): Map<string, string> {
  const plots = new Map<string, string>();
  const x = 's';
  const memoryOf = (name: string) =>
    points.map((p) => ({ x: p.atSeconds, y: (p.memoryBytes.find((m) => m.name === name)?.bytes ?? 0) / 1e6 }));
  const rates = ratesOf(points);
  if (rates.length > 0)
    plots.set(
      'steady-rate.svg',
      toSvg({
        title: 'Readings stored, at full speed',
        x,
        y: 'a second',
        lines: [{ name: 'readings/s', points: rates }],
      }),
    );
  if (points.length > 0) {
    const parts = points.map((p) => ({ x: p.atSeconds, y: p.parts }));
    plots.set(
      'steady-parts.svg',
      toSvg({ title: 'Parts of the table', x, y: 'parts', lines: [{ name: 'parts', points: parts }] }),
    );
    const lines = ['processor', 'store', 'door'].map((name) => ({ name, points: memoryOf(name) }));
    plots.set('steady-memory.svg', toSvg({ title: 'Resident memory, at full speed', x, y: 'MB', lines }));
  }
  return plots;
}

export function steadySection({ round, points, verifySeconds }: SteadyResult): string {
  const rates = ratesOf(points);
  const third = Math.floor(points.length / 3);
  const rows = [points.slice(0, third), points.slice(third, 2 * third), points.slice(2 * third)]
    .filter((some) => some.length > 1)
    .map((some) => {
      const [first, last] = [some[0], some[some.length - 1]];
      const own = rates.filter(({ x }) => x >= first.atSeconds && x <= last.atSeconds).map(({ y }) => y);
      const memory = (p: SteadyPoint) => p.memoryBytes.reduce((sum, m) => sum + m.bytes, 0);
      return [
        `${first.atSeconds.toFixed(0)} to ${last.atSeconds.toFixed(0)} s`,
        count((last.rows - first.rows) / (last.atSeconds - first.atSeconds)),
        own.length === 0 ? '–' : count(Math.min(...own)),
        `${Math.min(...some.map((p) => p.parts))} to ${Math.max(...some.map((p) => p.parts))}`,
        (some.reduce((sum, p) => sum + p.merges, 0) / some.length).toFixed(1),
        (Math.max(...some.map(memory)) / 1e6).toFixed(0),
      ];
    });
  const all =
    `${count(round.messages)} messages in one go: ${count(round.ackedPerSecond)} acknowledged and ${count(round.storedPerSecond ?? 0)} stored a second ` +
    `(${count(round.readingsStoredPerSecond ?? 0)} readings), PUBACK p99 ${milliseconds(round.pubackP99Ms)}. ` +
    (round.problems.length === 0
      ? `All of it was verified by content${verifySeconds === undefined ? '' : `, in ${verifySeconds.toFixed(0)} s`}.`
      : `**${round.problems.join('; ')}**`);
  return `${all}\n\n${markdownTable(['time', 'readings stored/s', `lowest of ${MEAN_SECONDS} s`, 'parts', 'merges at a time', 'memory of all, MB'], rows, 1)}`;
}

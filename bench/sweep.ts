import { flushTimes } from './flushes.ts';
import type { Load } from './load.ts';
import { blastAndWait, oneRound } from './pipeline-run.ts';
import { PROBE_SETTINGS, probe } from './probe.ts';
import { startProgram } from './program.ts';
import type { SweepPoint } from './result.ts';

/** Seldom enough to take nothing from the program, often enough for a percentile. */
const FLUSHES_PER_SECOND = 50;

/**
 * Open loops at parts of the capacity, one after another on one program: how latency and cost grow with the load. Each fraction has
 * the blast and the marks of the probe at the same time, for the same seconds. `report` is given each point when it is there.
 */
export async function sweep(
  fractions: readonly number[],
  capacityPerSecond: number,
  load: Load,
  folder: string,
  report: (point: SweepPoint) => void,
): Promise<void> {
  const program = await startProgram('lmdb', folder, { settings: PROBE_SETTINGS });
  try {
    // The sweep's first point is not to pay for what is compiled at the beginning.
    await blastAndWait(program, { ...load, ratePerSecond: capacityPerSecond / 2 }, 'warm', load.warmUpSeconds);
    for (const fraction of fractions) {
      const ratePerSecond = Math.round(capacityPerSecond * fraction);
      const prefix = `at${Math.round(fraction * 1000)}`;
      const [round, marks, flush] = await Promise.all([
        oneRound(program, { ...load, ratePerSecond }, prefix, { others: true }),
        probe(program, load.seconds),
        flushTimes(folder, FLUSHES_PER_SECOND, load.seconds),
      ]);
      report({
        fraction,
        ratePerSecond,
        ackedPerSecond: round.ackedPerSecond,
        puback: round.puback ?? null,
        visible: marks.visible,
        alarm: marks.alarm,
        flush,
        processes: round.processes,
        problems: [...round.problems, ...marks.problems],
      });
    }
  } finally {
    await program.stop();
  }
}

import type { LatencySummary } from '../device-sim/latency.ts';
import { flushTimes } from './flushes.ts';
import type { Load } from './load.ts';
import { blastAndWait, oneRound } from './pipeline-run.ts';
import { PROBE_SETTINGS, type ProbeResult, probe } from './probe.ts';
import { type RunningProgram, startProgram } from './program.ts';
import { cpuOf, medianBy, type Round, type SweepPoint } from './result.ts';

/** Seldom enough to take nothing from the program, often enough for a percentile. */
const FLUSHES_PER_SECOND = 50;
/** A flush that took longer tells of a disk that stood still; now and then one waits that long for a core, with the data in memory too. */
const STOPPED_MS = 40;

/**
 * Open loops at parts of the capacity, one after another on one program: how latency and cost grow with the load. Each fraction has as
 * many rounds as the load says, with marks whose events a subscriber waits for, and one more in which their rows are asked for. What is
 * reported of the rounds is the median one, for each latency by its p99. `report` is given each point when it is there.
 *
 * A round with such a flush tells more of the machine than of the program. It is tried again, up to as many times as there are rounds, and left out as
 * long as there is one without; how many were left out is reported.
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
      report(await pointAt(program, { ...load, ratePerSecond }, fraction, folder));
    }
  } finally {
    await program.stop();
  }
}

interface Turn {
  round: Round;
  events: ProbeResult;
  flush: LatencySummary | null;
}

async function pointAt(
  program: RunningProgram,
  load: Load & { ratePerSecond: number },
  fraction: number,
  folder: string,
): Promise<SweepPoint> {
  const prefix = `at${Math.round(fraction * 1000)}`;
  const turns: Turn[] = [];
  const calm = () => turns.filter(({ flush }) => flush !== null && flush.maxMs <= STOPPED_MS);
  while (calm().length < load.rounds && turns.length < 2 * load.rounds) {
    const [round, events, flush] = await Promise.all([
      oneRound(program, load, `${prefix}-${turns.length}`, { others: true }),
      probe(program, load.seconds, 'events'),
      flushTimes(folder, FLUSHES_PER_SECOND, load.seconds),
    ]);
    turns.push({ round, events, flush });
  }
  const taken = calm().length > 0 ? calm() : turns;
  const [round, rows] = await Promise.all([
    oneRound(program, load, `${prefix}-rows`, { others: true }),
    probe(program, load.seconds, 'rows'),
  ]);
  const median = medianBy(
    taken.map((turn) => turn.round),
    ({ processes }) => cpuOf(processes),
  );
  return {
    fraction,
    ratePerSecond: load.ratePerSecond,
    ackedPerSecond: median.ackedPerSecond,
    puback: medianP99(taken.map((turn) => turn.round.puback)),
    visible: rows.latency,
    alarm: medianP99(taken.map((turn) => turn.events.latency)),
    flush: medianP99(taken.map((turn) => turn.flush)),
    processes: median.processes,
    rounds: { all: turns.length, taken: taken.length },
    problems: [
      ...turns.flatMap((turn) => [...turn.round.problems, ...turn.events.problems]),
      ...round.problems,
      ...rows.problems,
    ],
  };
}

function medianP99(latencies: readonly (LatencySummary | null | undefined)[]): LatencySummary | null {
  const measured = latencies.filter((latency) => latency !== null && latency !== undefined);
  return measured.length === 0 ? null : medianBy(measured, ({ p99Ms }) => p99Ms);
}

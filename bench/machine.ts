import { arch, availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LatencySummary } from '../device-sim/latency.ts';
import { systemClock } from '../model/clock.ts';
import { flushTimes } from './flushes.ts';
import { busyMsOfAllCores, type Quiet, untilQuiet } from './quiet.ts';

/** Where a result was made. Without it the figures say nothing. */
export interface Machine {
  cpu: string;
  cores: number;
  memoryBytes: number;
  system: string;
  node: string;
  /** Median time of writing 64 KiB and flushing it to disk, ms: what a durable acknowledgement waits for at least. */
  flushMs: number;
  /** All of it, while nothing else happens; absent in older results. */
  flushes?: LatencySummary;
  /** What else it did when the measuring began. Absent in older results. */
  others?: Quiet;
}

/** As often as a busy door flushes, for long enough to see a disk stand still that does so now and then. */
const FLUSHES_PER_SECOND = 200;
const FLUSH_SECONDS = 5;

/** Waits for a quiet machine first, for so long at most. `folder`: on the disk that the runs will use. */
export async function describeMachine(folder: string, patienceSeconds = 0): Promise<Machine> {
  const others = await untilQuiet(patienceSeconds, {
    clock: systemClock,
    sleep,
    busyMs: busyMsOfAllCores,
    say: (line) => console.error(line),
  });
  const flushes = (await flushTimes(folder, FLUSHES_PER_SECOND, FLUSH_SECONDS))!;
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    system: `${type()} ${release()} ${arch()}`,
    node: process.version,
    flushMs: flushes.p50Ms,
    flushes,
    others,
  };
}

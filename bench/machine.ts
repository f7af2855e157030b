import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { arch, availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../model/clock.ts';
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
  /** What else it did when the measuring began. Absent in older results. */
  others?: Quiet;
}

/** Waits for a quiet machine first, for so long at most. `folder`: on the disk that the runs will use. */
export async function describeMachine(folder: string, patienceSeconds = 0): Promise<Machine> {
  const others = await untilQuiet(patienceSeconds, {
    clock: systemClock,
    sleep,
    busyMs: busyMsOfAllCores,
    say: (line) => console.error(line),
  });
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    system: `${type()} ${release()} ${arch()}`,
    node: process.version,
    flushMs: medianFlushMs(folder),
    others,
  };
}

function medianFlushMs(folder: string): number {
  const own = mkdtempSync(join(folder, 'flush-'));
  const file = openSync(join(own, 'file'), 'w');
  const block = Buffer.alloc(64 * 1024, 1);
  const times: number[] = [];
  for (let i = 0; i < 41; i++) {
    const before = performance.now();
    writeSync(file, block);
    fdatasyncSync(file);
    times.push(performance.now() - before);
  }
  closeSync(file);
  rmSync(own, { recursive: true });
  return times.sort((a, b) => a - b)[20];
}

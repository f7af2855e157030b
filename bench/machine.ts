import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { arch, availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import { join } from 'node:path';

/** Where a result was made. Without it the figures say nothing. */
export interface Machine {
  cpu: string;
  cores: number;
  memoryBytes: number;
  system: string;
  node: string;
  /** Median time of writing 64 KiB and flushing it to disk, ms: what a durable acknowledgement waits for at least. */
  flushMs: number;
  /** Threads that ran or wanted to, on average of the minute before: what else the machine did. Absent in older results. */
  loadAverage?: number;
}

/** `folder`: on the disk that the runs will use. */
export function describeMachine(folder: string): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    system: `${type()} ${release()} ${arch()}`,
    node: process.version,
    flushMs: medianFlushMs(folder),
    loadAverage: loadavg()[0],
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

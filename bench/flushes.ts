import { mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LatencyRecorder, type LatencySummary } from '../device-sim/latency.ts';

const BYTES = 64 * 1024;
/** The file is written first, so that a flush is of its data alone, and not of the file system's own books. */
const FILE_BYTES = 64 * BYTES;

/**
 * What a flush to disk takes: 64 KiB written over, and flushed, `perSecond` times a second, in a file of its own below `folder`. No durable
 * acknowledgement is quicker, so it is measured beside whatever is acknowledged. Times count from when a write was due, so a disk that
 * stands still counts for all that would have come meanwhile. Null when nothing was flushed in `seconds`.
 */
export async function flushTimes(folder: string, perSecond: number, seconds: number): Promise<LatencySummary | null> {
  const own = await mkdtemp(join(folder, 'flush-'));
  const file = await open(join(own, 'file'), 'w');
  const block = Buffer.alloc(BYTES, 1);
  const times = new LatencyRecorder();
  try {
    for (let at = 0; at < FILE_BYTES; at += BYTES) await file.write(block, 0, BYTES, at);
    await file.sync();
    const startMs = performance.now();
    for (let n = 0; n < perSecond * seconds; n++) {
      const dueMs = startMs + (n * 1000) / perSecond;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      // A timer that is late is not the disk's doing.
      const fromMs = waitMs > 0 ? performance.now() : dueMs;
      await file.write(block, 0, BYTES, (n * BYTES) % FILE_BYTES);
      await file.datasync();
      times.record(performance.now() - fromMs, 1);
    }
    return times.summary();
  } finally {
    await file.close();
    await rm(own, { recursive: true, force: true });
  }
}

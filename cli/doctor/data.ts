import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fdatasyncSync,
  openSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { isNearlyFull } from '../../gateway/reasons.ts';
import { type Check, fail, inBytes, inTime, ok, type Patient, reasonOf, warn } from './check.ts';

/** The data folder: whether it can be written, whether there is room, and how long the disk takes to keep its word. */

const SYNCS = 20;
const SYNC_BYTES = 4096;
/** Type numbers of file systems that are gone after a restart (statfs(2)). */
const VOLATILE = new Map([
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
]);

export function checkData({ config }: Patient): Check[] {
  const dir = config.dataDir;
  const there = nearest(dir);
  const out = [checkFolder(dir, there)];
  if (out[0].state === 'fail') return out;
  const { bavail, blocks, bsize, type } = statfsSync(there);
  const embedded = config.log.kafka.brokers.length === 0;
  const held = sizeOf(join(dir, 'log', 'telemetry', 'data.mdb'));
  const wanted = embedded ? config.log.retention.bytesMax : 0;
  out.push(checkRoom(bavail * bsize, blocks * bsize, held, wanted));
  out.push(checkSync(measureSync(there), VOLATILE.get(type) ?? null, config.log.lingerMs));
  return out;
}

function checkFolder(dir: string, there: string): Check {
  const remedy = `run as the user that owns it, or \`chown\` it: ${there}`;
  try {
    if (!statSync(there).isDirectory()) return fail('data.folder', `${there} is a file`, 'choose another dataDir');
    accessSync(there, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    return fail('data.folder', `${there} cannot be written by this user: ${reasonOf(error)}`, remedy);
  }
  if (there !== dir) return ok('data.folder', `${dir} is not there yet and will be made`);
  const { uid, mode } = statSync(dir);
  const own = process.getuid?.();
  if (own !== undefined && uid !== own && own !== 0) {
    return warn('data.folder', `${dir} belongs to user ${uid}, and this is user ${own}`, remedy);
  }
  if ((mode & 0o002) !== 0) {
    return warn('data.folder', `${dir} can be written by every user of this machine`, `chmod o-w ${dir}`);
  }
  return ok('data.folder', `${dir} can be written`);
}

/** `held` is what the log's file takes already: it does not shrink, and is filled again. */
export function checkRoom(freeBytes: number, diskBytes: number, heldBytes: number, retentionBytes: number): Check {
  const what = `${inBytes(freeBytes)} of ${inBytes(diskBytes)} are free`;
  const remedy = 'free space, or lower log.retention.bytesMax and store.readingsTtlMs';
  if (freeBytes < 64 * 2 ** 20) return fail('data.disk', `the disk is full: ${what}`, remedy);
  if (isNearlyFull(freeBytes, diskBytes)) return warn('data.disk', `the disk is nearly full: ${what}`, remedy);
  const growth = Math.max(0, retentionBytes - heldBytes);
  if (growth > freeBytes) {
    return warn(
      'data.disk',
      `${what}, and the log may grow by ${inBytes(growth)} (log.retention.bytesMax ${inBytes(retentionBytes)}), besides the store`,
      remedy,
    );
  }
  return ok('data.disk', `${what}; the log may grow by ${inBytes(growth)}`);
}

/** What a flush costs, and so what a device waits for at least. */
export function checkSync(syncsMs: readonly number[], volatile: string | null, lingerMs: number): Check {
  const sorted = [...syncsMs].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  const slowest = sorted[sorted.length - 1];
  const what = `a flush to disk takes ${inTime(median)} (slowest of ${sorted.length}: ${inTime(slowest)}): a PUBACK takes that and up to log.lingerMs ${inTime(lingerMs)}`;
  if (volatile !== null) {
    return warn('data.fsync', `${what}; but this is ${volatile}, which a restart empties`, 'put dataDir on a disk');
  }
  const remedy = 'use an SSD with power-loss protection, and no network file system';
  if (median > 100) return warn('data.fsync', `${what}, which is very slow`, remedy);
  if (median > 20) return warn('data.fsync', `${what}, which is slow`, remedy);
  return ok('data.fsync', what);
}

/** Writes a small file of its own beside the data, flushes it some times, and removes it. */
function measureSync(dir: string): number[] {
  const path = join(dir, `.doctor-${process.pid}`);
  const fd = openSync(path, 'wx', 0o600);
  const block = Buffer.alloc(SYNC_BYTES, 1);
  try {
    return Array.from({ length: SYNCS }, (_, i) => {
      writeSync(fd, block, 0, block.length, i * SYNC_BYTES);
      const start = performance.now();
      fdatasyncSync(fd);
      return performance.now() - start;
    });
  } finally {
    closeSync(fd);
    rmSync(path, { force: true });
  }
}

/** The folder, or the first one above it that is there. */
function nearest(dir: string): string {
  return existsSync(dir) || dirname(dir) === dir ? dir : nearest(dirname(dir));
}

function sizeOf(path: string): number {
  // Sparse files take less than their length.
  return existsSync(path) ? statSync(path).blocks * 512 : 0;
}

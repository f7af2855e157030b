import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openLmdbLog } from '../log/lmdb.ts';
import { encodeIdentity, FrameBuilder } from '../model/frame.ts';
import { TELEMETRY, telemetryTopic } from '../model/topics.ts';
import { startProgram } from './program.ts';
import type { Limit } from './result.ts';
import { fillReadings, openWriter } from './store-process.ts';

/** What the log and the store can do at most when nothing else happens. The socket loop is measured like a peer. */

const FRAME_BYTES = 64 * 1024;
const PARTITIONS = 8;
/** Frames on their way: as many as the door has when it is busy. */
const IN_FLIGHT = 32;

/** Frames of 64 KiB of small messages, appended and flushed to disk as the door does it. */
export async function lmdbAppends(folder: string, seconds: number): Promise<Limit> {
  const dir = await mkdtemp(join(folder, 'limit-lmdb-'));
  const log = await openLmdbLog({ dir, partitions: PARTITIONS, writes: [TELEMETRY], mapBytesMax: 64 * 2 ** 30 });
  const { frame, messages } = exampleFrame();
  try {
    const startMs = performance.now();
    let frames = 0;
    const lane = async (first: number) => {
      for (let n = first; performance.now() - startMs < seconds * 1000; n++) {
        await log.append(TELEMETRY, n % PARTITIONS, frame);
        frames++;
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, (_, i) => lane(i)));
    const perSecond = (frames * messages * 1000) / (performance.now() - startMs);
    const megabytes = ((perSecond / messages) * frame.length) / 1e6;
    const about = `frames of 64 KiB, ${IN_FLIGHT} on their way, each flushed to disk (${megabytes.toFixed(0)} MB/s)`;
    return { name: 'LMDB appends', about, perSecond, unit: 'messages' };
  } finally {
    await log.close();
    await rm(dir, { recursive: true, force: true });
  }
}

/** The embedded engine takes sorted Native blocks into the program's own table, from one client that encodes them. */
export async function nativeInserts(folder: string, seconds: number): Promise<Limit> {
  const program = await startProgram('lmdb', folder);
  const store = openWriter(program.storeUrl, program.dataDir);
  try {
    const { rows, seconds: took } = await fillReadings(store, 1000, Date.now() - 86_400_000, 1e9, seconds);
    const about = 'sorted Native blocks of 300,000 rows into the table readings, encoding included';
    return { name: 'Native inserts', about, perSecond: rows / took, unit: 'readings' };
  } finally {
    await store.close();
    await program.stop();
  }
}

function exampleFrame(): { frame: Uint8Array; messages: number } {
  const builder = new FrameBuilder(FRAME_BYTES * 2);
  const identity = encodeIdentity('blast-0001', telemetryTopic('blast-0001'));
  const payload = Buffer.from('{"ts":1700000000000,"temperature":21.50,"humidity":40.25,"pressure":63.75}');
  let messages = 0;
  for (; builder.bytes < FRAME_BYTES; messages++)
    builder.append(1_700_000_000_000, identity, payload, 0, payload.length);
  return { frame: new Uint8Array(builder.finish()), messages };
}

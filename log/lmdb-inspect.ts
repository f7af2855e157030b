import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { SluiceError } from '../model/errors.ts';
import { chunkKey, decodeSlot, encodeSlot, slotKey } from './lmdb-checkpoint-codec.ts';
import { decodeFrameHeader, decodeLayout, decodePartition, frameKey, LAYOUT_KEY, partitionKey } from './lmdb-codec.ts';
import { type Env, openReadableEnv } from './lmdb-env.ts';
import { mapBytes } from './lmdb-topic.ts';
import { writerOf } from './writer-lock.ts';

/** What is in a topic's environment, looked at from outside: nothing is locked or changed, whoever writes it meanwhile. */
export interface TopicFacts {
  writerPid: number | null;
  /** 0 while it has not been laid out. */
  partitions: number;
  format: number;
  bytesHeld: number;
  fileBytes: number;
  /** By partition. */
  first: number[];
  next: number[];
  /** When the last frame of any partition was appended; 0 when there is none. */
  lastMs: number;
}

export interface CheckpointFacts {
  partition: number;
  offsetNext: number;
  stateBytes: number;
  /** Null when it was too large to look at whole. */
  isWhole: boolean | null;
  /** Whether there is an older one that is whole, when the newest is not. */
  hasOlder: boolean;
}

/**
 * Why a data file must not be opened, or null. LMDB maps the file and believes it: one that was cut short or overwritten ends the
 * process that reads it, and not with an error. Looked at are the two meta pages, in LMDB's format of mdb.c (MDB_meta, 64 bit):
 *
 *     page header 24   u32 magic   u32 version   u64 address   u64 mapsize   2 × 48 (u32 page size first)   u64 last page   u64 txn
 */
function damageOf(dir: string): string | null {
  const path = join(dir, 'data.mdb');
  if (!existsSync(path)) return null;
  const head = Buffer.alloc(Math.min(statSync(path).size, 2 * 65_536));
  const fd = openSync(path, 'r');
  try {
    readSync(fd, head, 0, head.length, 0);
  } finally {
    closeSync(fd);
  }
  if (head.length < META_BYTES || head.readUInt32LE(24) !== MAGIC) return `${path} does not begin as LMDB's files do`;
  const pageBytes = head.readUInt32LE(48);
  const metas = [0, pageBytes].filter((at) => at + META_BYTES <= head.length && head.readUInt32LE(at + 24) === MAGIC);
  if (metas.length < 2) return `${path} lacks one of its two meta pages`;
  const newest = metas.reduce((a, b) => (head.readBigUInt64LE(b + 152) > head.readBigUInt64LE(a + 152) ? b : a));
  const needed = (Number(head.readBigUInt64LE(newest + 144)) + 1) * pageBytes;
  // The size is taken after the meta pages, which a writer writes last; pages that were let go of at once may never be written.
  const bytes = statSync(path).size;
  return bytes < needed - SPARE_PAGES * pageBytes ? `${path} was cut short: ${bytes} bytes of ${needed}` : null;
}

const META_BYTES = 160;
const SPARE_PAGES = 4;
const MAGIC = 0xbeefc0de;

function openSound(dir: string, mapSize: number): Env | null {
  const damage = damageOf(dir);
  if (damage !== null) throw new SluiceError('LOG_UNAVAILABLE', damage, { remedy: 'check the disk' });
  return openReadableEnv(dir, mapSize);
}

/** Null when there is no such topic. Throws LOG_UNAVAILABLE when it cannot be read. */
export async function inspectTopic(logDir: string, topic: string, mapBytesMax: number): Promise<TopicFacts | null> {
  const dir = join(logDir, topic);
  const env = openSound(dir, mapBytes(mapBytesMax));
  if (env === null) return null;
  try {
    const layout = env.read((get) => get(LAYOUT_KEY));
    const { format, partitions } = layout === undefined ? { format: 0, partitions: 0 } : decodeLayout(layout);
    const states = Array.from({ length: partitions }, (_, p) =>
      env.read((get) => decodePartition(get(partitionKey(p)))),
    );
    return {
      writerPid: writerOf(dir),
      partitions,
      format,
      bytesHeld: states.reduce((sum, s) => sum + s.bytesNext - s.bytesFirst, 0),
      fileBytes: env.fileBytes(),
      first: states.map((s) => s.first),
      next: states.map((s) => s.next),
      lastMs: Math.max(0, ...states.map((s) => s.lastMs)),
    };
  } finally {
    await env.close();
  }
}

/** When a held frame was appended; null when it is not held. */
export async function appendedMsOf(
  logDir: string,
  topic: string,
  mapBytesMax: number,
  frames: readonly { partition: number; offset: number }[],
): Promise<(number | null)[]> {
  const env = openSound(join(logDir, topic), mapBytes(mapBytesMax));
  if (env === null) return frames.map(() => null);
  try {
    return frames.map(({ partition, offset }) => {
      const value = env.read((get) => get(frameKey(partition, offset)));
      return value === undefined ? null : decodeFrameHeader(value).appendedMs;
    });
  } finally {
    await env.close();
  }
}

/** Larger states are not read whole: they would take the machine's memory from the program. */
const WHOLE_BYTES_MAX = 256 * 2 ** 20;
/** As in log/lmdb-checkpoints.ts. */
const MAP_BYTES = 16 * 2 ** 30;

/** The newest checkpoint of each partition that has one; null when there are none at all. */
export async function inspectCheckpoints(dir: string): Promise<CheckpointFacts[] | null> {
  const env = openSound(dir, MAP_BYTES);
  if (env === null) return null;
  try {
    const layout = env.read((get) => get(LAYOUT_KEY));
    const { partitions } = layout === undefined ? { partitions: 0 } : decodeLayout(layout);
    const out: CheckpointFacts[] = [];
    for (let partition = 0; partition < partitions; partition++) {
      // Slot and chunks are read at one moment: a checkpoint that is replaced meanwhile is no damage.
      const found = env.read((get) => {
        const slots = [0, 1].flatMap((slot) => {
          const value = get(slotKey(partition, slot));
          return value?.length === 28 ? [decodeSlot(slot, value)] : [];
        });
        slots.sort((a, b) => b.sequence - a.sequence);
        const whole = slots.map((slot) => {
          if (slot.stateBytes > WHOLE_BYTES_MAX) return null;
          let crc = crc32(encodeSlot(slot).subarray(0, 24));
          let at = 0;
          for (let c = 0; at < slot.stateBytes; c++) {
            const chunk = get(chunkKey(partition, slot.slot, c));
            if (chunk === undefined || chunk.length === 0) return false;
            crc = crc32(chunk, crc);
            at += chunk.length;
          }
          return at === slot.stateBytes && crc === slot.crc;
        });
        return { slots, whole };
      });
      const [newest] = found.slots;
      if (newest === undefined) continue;
      const { offsetNext, stateBytes } = newest;
      out.push({ partition, offsetNext, stateBytes, isWhole: found.whole[0], hasOlder: found.whole[1] === true });
    }
    return out;
  } finally {
    await env.close();
  }
}

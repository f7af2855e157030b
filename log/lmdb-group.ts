import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { readU64, writeU64 } from './lmdb-codec.ts';
import { type Env, openReadableEnv, openWritableEnv } from './lmdb-env.ts';
import { takeWriterLock, type WriterLock } from './writer-lock.ts';

/**
 * Offsets that a consumer group committed. They are in an environment of the consumer's own, since an environment has one
 * writer and the topic's is the producer.
 *
 *     key                                value
 *     topic (UTF-8)  00  pppp            u64 offsetNext
 */
const MAP_BYTES = 16 << 20;

export class GroupOffsets {
  readonly #env: Env;
  readonly #lock: WriterLock;
  #pending = new Map<string, [Uint8Array, Uint8Array]>();
  #writing: Promise<void> | null = null;
  #closed = false;

  /** Opens the group for its one consumer. Throws LOG_LOCKED when another process consumes as this group. */
  static open(groupDir: string, group: string): GroupOffsets {
    const dir = pathOf(groupDir, group);
    mkdirSync(dir, { recursive: true });
    const lock = takeWriterLock(dir);
    return new GroupOffsets(openWritableEnv(dir, MAP_BYTES), lock);
  }

  private constructor(env: Env, lock: WriterLock) {
    this.#env = env;
    this.#lock = lock;
  }

  get(topic: string, partition: number): number | null {
    return offsetIn(this.#env, topic, partition);
  }

  /** Durable when resolved. Commits that come while one is being written go out together, the newest of each partition. */
  commit(topic: string, partition: number, offsetNext: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const value = new Uint8Array(8);
    writeU64(value, 0, offsetNext);
    this.#pending.set(`${topic}/${partition}`, [keyOf(topic, partition), value]);
    const next = (this.#writing ?? Promise.resolve()).catch(() => undefined).then(() => this.#write());
    this.#writing = next;
    return next;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing?.catch(() => undefined);
    await this.#env.close();
    this.#lock.release();
  }

  async #write(): Promise<void> {
    if (this.#pending.size === 0) return;
    const taken = this.#pending;
    this.#pending = new Map();
    try {
      await this.#env.commit([...taken.values()]);
    } catch (error) {
      // Whoever waits behind this write must not be told that his offset is durable: it is tried again.
      this.#pending = new Map([...taken, ...this.#pending]);
      throw error;
    }
  }
}

/** What a group has committed, for any process; null where it has nothing. */
export async function committedOffsets(
  groupDir: string,
  group: string,
  topic: string,
  partitions: number,
): Promise<(number | null)[]> {
  const env = openReadableEnv(pathOf(groupDir, group), MAP_BYTES);
  if (env === null) return new Array<null>(partitions).fill(null);
  try {
    return Array.from({ length: partitions }, (_, p) => offsetIn(env, topic, p));
  } finally {
    await env.close();
  }
}

function offsetIn(env: Env, topic: string, partition: number): number | null {
  const value = env.read((get) => get(keyOf(topic, partition)));
  return value === undefined ? null : readU64(value, 0);
}

function keyOf(topic: string, partition: number): Uint8Array {
  return Buffer.concat([Buffer.from(topic), Uint8Array.of(0, partition >>> 8, partition)]);
}

function pathOf(groupDir: string, group: string): string {
  return join(groupDir, encodeURIComponent(group));
}

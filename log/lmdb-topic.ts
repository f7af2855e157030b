import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, TimerHandle } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import { type Env, openReadableEnv, openWritableEnv } from './lmdb-env.ts';
import { checkLayout, TopicReader } from './lmdb-reader.ts';
import { Wake } from './lmdb-wake.ts';
import { type HeldOffsets, TopicWriter } from './lmdb-writer.ts';
import type { Retention } from './retention.ts';
import { takeWriterLock, type WriterLock } from './writer-lock.ts';

export type Warn = (message: string, values: Record<string, unknown>) => void;

export interface TopicOptions {
  dir: string;
  topic: string;
  partitions: number;
  mapBytesMax: number;
  clock: Clock;
  onWarning: Warn;
}

/** The map may be larger than what is held: pages that readers still see are not used again, and a commit needs room beside them. */
export function mapBytes(mapBytesMax: number): number {
  return Math.ceil((mapBytesMax * 1.25 + (64 << 20)) / (1 << 20)) * (1 << 20);
}

/** A topic's environment in this process: written here, or read while another process writes it. */
export class Topic {
  readonly name: string;
  readonly partitions: number;
  readonly wake: Wake;
  readonly #options: TopicOptions;
  readonly #dir: string;
  #env: Env | null = null;
  #reader: TopicReader | null = null;
  #writer: TopicWriter | null = null;
  #lock: WriterLock | null = null;
  #retentionTimer: TimerHandle | null = null;
  #closed = false;

  constructor(options: TopicOptions) {
    this.name = options.topic;
    this.partitions = options.partitions;
    this.#options = options;
    this.#dir = join(options.dir, options.topic);
    mkdirSync(this.#dir, { recursive: true });
    this.wake = new Wake(this.#dir, options.clock, options.onWarning);
  }

  /** Makes this process the writer. Rejects with LOG_LOCKED when another one is. */
  async own(retention: Retention, held: HeldOffsets | null, retentionCheckMs: number): Promise<void> {
    const { topic, partitions, mapBytesMax, clock, onWarning } = this.#options;
    this.#lock = takeWriterLock(this.#dir);
    this.#env = openWritableEnv(this.#dir, mapBytes(mapBytesMax));
    const writer = await TopicWriter.open({
      env: this.#env,
      topic,
      partitions,
      retention,
      held,
      mapBytesMax,
      clock,
      onCommit: () => this.wake.ring(),
    });
    this.#writer = writer;
    this.#reader = new TopicReader(this.#env, topic);
    this.wake.ring();
    const check = (): void => {
      this.#retentionTimer = clock.after(retentionCheckMs, () => {
        writer
          .retain()
          .catch((error: unknown) => onWarning('retention could not be checked', { topic, error: String(error) }))
          .finally(() => {
            if (!this.#closed) check();
          });
      });
    };
    if (retention.ageMs !== null || retention.bytesMax !== null) check();
  }

  /** Null as long as the writer has not created the topic. Throws LOG_LAYOUT. */
  reader(): TopicReader | null {
    if (this.#closed) throw new SluiceError('LOG_CLOSED', 'the log is closed');
    if (this.#reader !== null) return this.#reader;
    this.#env ??= openReadableEnv(this.#dir, mapBytes(this.#options.mapBytesMax));
    if (this.#env === null || !checkLayout(this.#env, this.name, this.partitions)) return null;
    this.#reader = new TopicReader(this.#env, this.name);
    return this.#reader;
  }

  get writer(): TopicWriter | null {
    return this.#writer;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#retentionTimer?.cancel();
    await this.#writer?.close();
    this.wake.close();
    await this.#env?.close();
    this.#lock?.release();
  }
}

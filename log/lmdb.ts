import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, systemClock } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import { follow, runAll } from './lmdb-follow.ts';
import { committedOffsets, GroupOffsets } from './lmdb-group.ts';
import { Pace } from './lmdb-pace.ts';
import { Topic, type Warn } from './lmdb-topic.ts';
import type { ConsumeOptions, Log, LogBounds, LogConsumer, LogFrame, LogTail, TailOptions } from './log.ts';
import { partitionsOf, type Retention } from './retention.ts';

export interface LmdbLogOptions {
  /** Topics are environments DIR/{topic}/. */
  dir: string;
  /** Partitions of every topic but those of stats, which have one. Fixed when a topic is created. */
  partitions: number;
  /** Topics that this process writes. Each has one writer; all processes may read it. */
  writes: readonly string[];
  /** For topics that this process writes; a topic that is not named keeps everything. */
  retention?: Readonly<Record<string, Retention>>;
  /** What one topic may hold; beyond it appends are refused with LOG_FULL. */
  mapBytesMax: number;
  /** Where groups that this process consumes as keep their offsets: DIR/groups when absent. */
  groupDir?: string;
  /** How often retention is checked, ms. */
  retentionCheckMs?: number;
  clock?: Clock;
  onWarning?: Warn;
}

/** The log on LMDB: one writing process for each topic, readers in any process of the same machine. */
export interface LmdbLog extends Log {
  /** Deletes now what retention no longer keeps, in the topics that this process writes. */
  retain(): Promise<void>;
  /** What a topic holds now, as it counts against mapBytesMax; null as long as it has not been created. */
  bytesHeld(topic: string): number | null;
}

/** Bytes that a tail reads at once. */
const TAIL_BYTES = 1 << 20;
/** A consumer looks for frames no more often than this: about as often as a busy door commits, or less often when its process is busy. */
const CONSUMER_PAUSES = { pauseMs: 5, pauseMaxMs: 15 };

/**
 * Opens the log. Rejects with LOG_LOCKED when another process writes one of `writes`, with LOG_LAYOUT when it was written
 * with another number of partitions.
 */
export async function openLmdbLog(options: LmdbLogOptions): Promise<LmdbLog> {
  const log = new LmdbEngine(options);
  try {
    await log.own();
  } catch (error) {
    await log.close();
    throw error;
  }
  return log;
}

class LmdbEngine implements LmdbLog {
  readonly partitions: number;
  readonly #options: LmdbLogOptions;
  readonly #clock: Clock;
  readonly #warn: Warn;
  readonly #groupDir: string;
  readonly #topics = new Map<string, Topic>();
  readonly #open = new Set<{ close(): Promise<void> }>();
  #closing: Promise<void> | null = null;

  constructor(options: LmdbLogOptions) {
    if (!Number.isInteger(options.partitions) || options.partitions < 1 || options.partitions > 0xffff) {
      throw new SluiceError('CONFIG_INVALID', `${options.partitions} partitions; there may be 1 to 65535`);
    }
    this.partitions = options.partitions;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#warn = options.onWarning ?? (() => undefined);
    this.#groupDir = options.groupDir ?? join(options.dir, 'groups');
    mkdirSync(options.dir, { recursive: true });
  }

  async own(): Promise<void> {
    for (const topic of this.#options.writes) {
      const retention = this.#options.retention?.[topic] ?? { ageMs: null, bytesMax: null };
      const { heldFor } = retention;
      const partitions = partitionsOf(topic, this.partitions);
      const held = heldFor === undefined ? null : () => committedOffsets(this.#groupDir, heldFor, topic, partitions);
      await this.#topic(topic).own(retention, held, this.#options.retentionCheckMs ?? 10_000);
    }
  }

  async append(topic: string, partition: number, frame: Uint8Array): Promise<number> {
    const t = this.#at(topic, partition);
    if (t.writer === null) {
      throw new SluiceError('LOG_NOT_WRITER', `this process does not write the topic ${topic}`, { values: { topic } });
    }
    return t.writer.append(partition, frame);
  }

  async read(topic: string, partition: number, offset: number, bytesMax: number): Promise<LogFrame[]> {
    return this.#at(topic, partition).reader()?.read(partition, offset, bytesMax) ?? [];
  }

  async bounds(topic: string, partition: number): Promise<LogBounds> {
    return this.#at(topic, partition).reader()?.bounds(partition) ?? { first: 0, next: 0 };
  }

  async offsetAt(topic: string, partition: number, timeMs: number): Promise<number> {
    return this.#at(topic, partition).reader()?.offsetAt(partition, timeMs) ?? 0;
  }

  async last(topic: string, partition: number): Promise<LogFrame | null> {
    return this.#at(topic, partition).reader()?.last(partition) ?? null;
  }

  async tail(topic: string, options: TailOptions): Promise<LogTail> {
    const t = this.#topic(topic);
    const abort = new AbortController();
    // The end is taken now, so that what is appended after this call is given whatever happens in between. A topic that
    // does not exist yet ends at 0.
    const ends = Array.from({ length: t.partitions }, (_, p) => t.reader()?.bounds(p).next ?? 0);
    const runs = ends.map((end, partition) => () => {
      return follow(t, {
        partition,
        from: async () => (options.from === undefined ? end : options.from(partition)),
        bytesMax: TAIL_BYTES,
        deliver: (frames) => options.onFrames(partition, frames),
        signal: abort.signal,
        onWarning: this.#warn,
        who: 'a tail',
      });
    });
    void runAll(runs, abort, options.onError);
    const tail = {
      close: async () => {
        abort.abort();
        this.#open.delete(tail);
      },
    };
    this.#open.add(tail);
    return tail;
  }

  async consume(topic: string, options: ConsumeOptions): Promise<LogConsumer> {
    const t = this.#topic(topic);
    const offsets = GroupOffsets.open(this.#groupDir, options.group);
    const abort = new AbortController();
    const all = Array.from({ length: t.partitions }, (_, p) => p);
    const pace = new Pace(CONSUMER_PAUSES);
    const run = (partition: number): Promise<void> =>
      follow(t, {
        partition,
        from: async () => (await options.onAssign(partition)) ?? offsets.get(topic, partition),
        bytesMax: options.bytesMax,
        deliver: (frames) => options.onBatch(partition, frames),
        signal: abort.signal,
        onWarning: this.#warn,
        who: `group ${options.group}`,
        pace,
      });
    void runAll(
      all.map((partition) => () => run(partition)),
      abort,
      options.onError,
    );
    let closing: Promise<void> | null = null;
    const close = async (): Promise<void> => {
      abort.abort();
      await Promise.allSettled(all.map((partition) => options.onRevoke(partition)));
      await offsets.close();
      this.#open.delete(consumer);
    };
    const consumer = {
      commit: (partition: number, offsetNext: number) => offsets.commit(topic, partition, offsetNext),
      close: () => {
        closing ??= close();
        return closing;
      },
    };
    this.#open.add(consumer);
    return consumer;
  }

  async committed(group: string, topic: string): Promise<(number | null)[]> {
    return committedOffsets(this.#groupDir, group, topic, this.#topic(topic).partitions);
  }

  async retain(): Promise<void> {
    await Promise.all([...this.#topics.values()].map((t) => t.writer?.retain()));
  }

  bytesHeld(topic: string): number | null {
    const t = this.#topic(topic);
    const reader = t.reader();
    if (reader === null) return null;
    let bytes = 0;
    for (let p = 0; p < t.partitions; p++) {
      const { bytesFirst, bytesNext } = reader.state(p);
      bytes += bytesNext - bytesFirst;
    }
    return bytes;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#open].map((part) => part.close()));
    await Promise.all([...this.#topics.values()].map((t) => t.close()));
  }

  #at(topic: string, partition: number): Topic {
    const t = this.#topic(topic);
    if (!Number.isInteger(partition) || partition < 0 || partition >= t.partitions) {
      throw new SluiceError('LOG_TOPIC_UNKNOWN', `topic ${topic} has no partition ${partition}`, {
        values: { topic, partition, partitions: t.partitions },
        remedy: `use a partition from 0 to ${t.partitions - 1}`,
      });
    }
    return t;
  }

  #topic(name: string): Topic {
    if (this.#closing !== null) throw new SluiceError('LOG_CLOSED', 'the log is closed');
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      if (!/^[a-zA-Z0-9._-]+$/.test(name) || name.startsWith('.') || name === 'groups') {
        throw new SluiceError('LOG_TOPIC_UNKNOWN', `${JSON.stringify(name)} cannot be the name of a topic`, {
          remedy: 'use letters, digits, dots, dashes and underscores',
        });
      }
      topic = new Topic({
        dir: this.#options.dir,
        topic: name,
        partitions: partitionsOf(name, this.partitions),
        mapBytesMax: this.#options.mapBytesMax,
        clock: this.#clock,
        onWarning: this.#warn,
      });
      this.#topics.set(name, topic);
    }
    return topic;
  }
}

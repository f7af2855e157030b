import type { ConsumeOptions, Log, LogBounds, LogConsumer, LogFrame, LogTail, TailOptions } from '../log/log.ts';
import type { SluiceError } from '../model/errors.ts';
import { FrameReader, TICK_TOPIC } from '../model/frame.ts';
import { TELEMETRY } from '../model/topics.ts';

export interface LoggedMessage {
  partition: number;
  receivedMs: number;
  device: string;
  topic: string;
  payload: string;
}

interface HeldAppend {
  topic: string;
  partition: number;
  frame: Uint8Array;
  resolve(offset: number): void;
  reject(error: Error): void;
}

/**
 * A log in memory whose appends can be held back and failed on command, so that a test decides when something is durable.
 * A frame counts as being on the log when its append resolves.
 */
export class MemoryLog implements Log {
  readonly partitions: number;
  /** While true, appends wait for `release` or `fail`. */
  holding = false;
  /** The next appends are rejected with these, in order. */
  failures: SluiceError[] = [];
  appends = 0;
  readonly held: HeldAppend[] = [];
  readonly #frames = new Map<string, LogFrame[]>();
  readonly #tails: { topic: string; options: TailOptions }[] = [];

  constructor(partitions = 4) {
    this.partitions = partitions;
  }

  append(topic: string, partition: number, frame: Uint8Array): Promise<number> {
    this.appends++;
    const failure = this.failures.shift();
    if (failure !== undefined) return Promise.reject(failure);
    return new Promise((resolve, reject) => {
      const append = { topic, partition, frame, resolve, reject };
      if (this.holding) this.held.push(append);
      else setImmediate(() => this.#settle(append));
    });
  }

  /** Makes the held appends durable, oldest first; all of them unless told how many. */
  release(count = this.held.length): void {
    for (const append of this.held.splice(0, count)) this.#settle(append);
  }

  fail(error: SluiceError, count = this.held.length): void {
    for (const append of this.held.splice(0, count)) append.reject(error);
  }

  #settle({ topic, partition, frame, resolve }: HeldAppend): void {
    const frames = this.#of(topic, partition);
    const logged = { partition, offset: frames.length, appendedMs: Date.now(), bytes: frame.slice() };
    frames.push(logged);
    for (const tail of this.#tails) if (tail.topic === topic) void tail.options.onFrames(partition, [logged]);
    resolve(logged.offset);
  }

  #of(topic: string, partition: number): LogFrame[] {
    const key = `${topic} ${partition}`;
    const frames = this.#frames.get(key) ?? [];
    this.#frames.set(key, frames);
    return frames;
  }

  /** The frames of one partition, in order. */
  framesOf(partition: number, topic = TELEMETRY): readonly LogFrame[] {
    return this.#of(topic, partition);
  }

  frames(topic = TELEMETRY): LogFrame[] {
    return Array.from({ length: this.partitions }, (_, p) => this.#of(topic, p)).flat();
  }

  /** All messages on the log, ticks apart, in order within each partition. */
  messages(topic = TELEMETRY): LoggedMessage[] {
    return this.#read(topic).filter((m) => m.topic !== TICK_TOPIC);
  }

  ticks(): LoggedMessage[] {
    return this.#read(TELEMETRY).filter((m) => m.topic === TICK_TOPIC);
  }

  #read(topic: string): LoggedMessage[] {
    const reader = new FrameReader();
    const out: LoggedMessage[] = [];
    for (const { partition, bytes } of this.frames(topic)) {
      reader.reset(bytes);
      while (reader.next()) {
        const payload = Buffer.from(reader.payload()).toString('latin1');
        out.push({
          partition,
          receivedMs: reader.receivedMs,
          device: reader.device(),
          topic: reader.topic(),
          payload,
        });
      }
    }
    return out;
  }

  async read(topic: string, partition: number, offset: number): Promise<LogFrame[]> {
    return this.#of(topic, partition).slice(offset);
  }

  async bounds(topic: string, partition: number): Promise<LogBounds> {
    return { first: 0, next: this.#of(topic, partition).length };
  }

  async offsetAt(topic: string, partition: number): Promise<number> {
    return this.#of(topic, partition).length;
  }

  async last(topic: string, partition: number): Promise<LogFrame | null> {
    return this.#of(topic, partition).at(-1) ?? null;
  }

  async tail(topic: string, options: TailOptions): Promise<LogTail> {
    const tail = { topic, options };
    for (let partition = 0; partition < this.partitions; partition++) {
      const frames = this.#of(topic, partition);
      const from = options.from === undefined ? frames.length : await options.from(partition);
      if (from < frames.length) await options.onFrames(partition, frames.slice(from));
    }
    this.#tails.push(tail);
    return { close: async () => void this.#tails.splice(this.#tails.indexOf(tail), 1) };
  }

  /** Ends all tails with an error, as an engine does that did not get over it. */
  breakTails(error: Error): void {
    for (const tail of this.#tails.splice(0)) tail.options.onError(error);
  }

  /** What each group committed, by group, topic and partition. */
  readonly commits = new Map<string, number>();

  /** One member has all partitions. A batch is one frame; a handler that rejects ends the consumer. */
  async consume(topic: string, options: ConsumeOptions): Promise<LogConsumer> {
    const key = (partition: number): string => `${options.group} ${topic} ${partition}`;
    const queues = new Map<number, Promise<void>>();
    const starts = new Map<number, number>();
    for (let partition = 0; partition < this.partitions; partition++) {
      starts.set(partition, (await options.onAssign(partition)) ?? this.commits.get(key(partition)) ?? 0);
    }
    let closed = false;
    const tail = await this.tail(topic, {
      from: (partition) => starts.get(partition) ?? 0,
      onError: options.onError,
      onFrames: (partition, frames) => {
        const give = async (): Promise<void> => {
          for (const frame of frames) if (!closed) await options.onBatch(partition, [frame]);
        };
        queues.set(partition, (queues.get(partition) ?? Promise.resolve()).then(give).catch(options.onError));
      },
    });
    return {
      commit: async (partition, offsetNext) => void this.commits.set(key(partition), offsetNext),
      close: async () => {
        closed = true;
        await tail.close();
      },
    };
  }

  async committed(group: string, topic: string): Promise<(number | null)[]> {
    return Array.from({ length: this.partitions }, (_, p) => this.commits.get(`${group} ${topic} ${p}`) ?? null);
  }

  async close(): Promise<void> {}
}

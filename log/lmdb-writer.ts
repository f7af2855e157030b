import type { Clock } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import {
  encodeLayout,
  encodePartition,
  FRAME_HEADER_BYTES,
  frameKey,
  LAYOUT_KEY,
  type PartitionState,
  partitionKey,
  storedBytes,
  writeFrame,
} from './lmdb-codec.ts';
import type { Env } from './lmdb-env.ts';
import { checkLayout, TopicReader } from './lmdb-reader.ts';
import type { Retention } from './retention.ts';

/** What one commit takes at most (a single larger frame is taken alone). It is also what is copied before the flush. */
const COMMIT_BYTES_MAX = 8 << 20;
const COMMIT_FRAMES_MAX = 2048;
/** Frames that one commit deletes at most, so that appends never wait long for retention. */
const DELETE_FRAMES_MAX = 512;

interface Pending {
  partition: number;
  frame: Uint8Array;
  resolve: (offset: number) => void;
  reject: (error: Error) => void;
}

/** For each partition the first offset that somebody still needs; null where he has not begun. */
export type HeldOffsets = () => Promise<readonly (number | null)[]>;

export interface TopicWriterOptions {
  env: Env;
  topic: string;
  partitions: number;
  retention: Retention;
  /** What retention must not delete; null when nobody holds anything. */
  held: HeldOffsets | null;
  mapBytesMax: number;
  clock: Clock;
  /** After each commit. */
  onCommit: () => void;
}

/**
 * Writes one topic. One commit is in flight at a time; what is appended meanwhile waits and goes into the next one, so
 * that the cost of a flush is shared by as many frames as came during the last. Deletions for retention ride along, a
 * bounded number with each commit.
 */
export class TopicWriter {
  readonly #env: Env;
  readonly #options: TopicWriterOptions;
  readonly #reader: TopicReader;
  readonly #states: PartitionState[] = [];
  #queue: Pending[] = [];
  #queueBytes = 0;
  #heldBytes = 0;
  /** Frames are copied here behind their headers; in use by the commit in flight only. */
  #arena: Uint8Array = new Uint8Array(0);
  #running: Promise<void> | null = null;
  /** For each partition the offset that retention deletes up to. */
  readonly #deleteTo: number[] = [];
  #closed = false;

  static async open(options: TopicWriterOptions): Promise<TopicWriter> {
    const { env, topic, partitions } = options;
    if (!checkLayout(env, topic, partitions)) await env.commit([[LAYOUT_KEY, encodeLayout(partitions)]]);
    return new TopicWriter(options);
  }

  private constructor(options: TopicWriterOptions) {
    this.#env = options.env;
    this.#options = options;
    this.#reader = new TopicReader(options.env, options.topic);
    for (let p = 0; p < options.partitions; p++) {
      const state = this.#reader.state(p);
      this.#states.push(state);
      this.#deleteTo.push(state.first);
      this.#heldBytes += state.bytesNext - state.bytesFirst;
    }
  }

  append(partition: number, frame: Uint8Array): Promise<number> {
    const { topic, mapBytesMax } = this.#options;
    if (this.#closed) return Promise.reject(new SluiceError('LOG_CLOSED', `topic ${topic} is closed`));
    const bytes = storedBytes(frame.length);
    if (bytes > mapBytesMax) {
      return Promise.reject(
        new SluiceError('FRAME_TOO_LARGE', `a frame of ${frame.length} bytes does not fit into the log of ${topic}`, {
          values: { topic, frameBytes: frame.length, mapBytesMax },
          remedy: 'raise log.mapBytesMax, or send smaller messages',
        }),
      );
    }
    if (this.#heldBytes + this.#queueBytes + bytes > mapBytesMax) {
      this.retain().catch(() => undefined); // The next append tells when it could not.
      return Promise.reject(
        new SluiceError('LOG_FULL', `topic ${topic} holds ${this.#heldBytes} of at most ${mapBytesMax} bytes`, {
          values: { topic, heldBytes: this.#heldBytes, mapBytesMax },
        }),
      );
    }
    this.#queueBytes += bytes;
    return new Promise((resolve, reject) => {
      this.#queue.push({ partition, frame, resolve, reject });
      this.#run();
    });
  }

  /** Marks what retention no longer keeps, and deletes it with the next commits. Resolves when it is gone. */
  async retain(): Promise<void> {
    if (this.#closed) return;
    const { retention, clock, partitions } = this.#options;
    const held = (await this.#options.held?.()) ?? null;
    if (this.#closed) return;
    for (let p = 0; p < partitions; p++) {
      const state = this.#states[p];
      let to = state.first;
      if (retention.ageMs !== null) to = Math.max(to, this.#reader.offsetAt(p, clock.nowMs() - retention.ageMs));
      if (retention.bytesMax !== null) {
        const surplus = state.bytesNext - state.bytesFirst - Math.floor(retention.bytesMax / partitions);
        if (surplus > 0) to = Math.max(to, this.#reader.offsetAfterBytes(p, surplus));
      }
      if (held !== null) to = Math.min(to, held[p] ?? state.first);
      // A frame that was appended after the look is not judged by it.
      this.#deleteTo[p] = Math.max(this.#deleteTo[p], Math.min(to, state.next));
    }
    if (!this.#hasDeletions()) return;
    while (this.#hasDeletions()) {
      this.#run();
      await this.#running;
    }
    // LMDB takes freed pages into use again one transaction later; with a full disk no append would get that far.
    await this.#env.commit([[LAYOUT_KEY, encodeLayout(partitions)]]);
  }

  /** Waits for what was appended, and stops. */
  async close(): Promise<void> {
    this.#closed = true;
    // A run that ends with work left is followed by another one.
    while (this.#running !== null) await this.#running;
  }

  #run(): void {
    this.#running ??= this.#commitAll().finally(() => {
      this.#running = null;
      if (this.#hasWork()) this.#run();
    });
  }

  #hasWork(): boolean {
    return this.#queue.length > 0 || this.#hasDeletions();
  }

  #hasDeletions(): boolean {
    return this.#deleteTo.some((to, p) => to > this.#states[p].first);
  }

  async #commitAll(): Promise<void> {
    // Everything that is appended in this turn of the event loop goes into one commit.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#hasWork()) {
      const batch = this.#take();
      try {
        await this.#commit(batch);
      } catch (error) {
        for (const pending of batch) pending.reject(error as Error);
        // Deletions that failed are tried again with the next commit or check, not at once.
        for (let p = 0; p < this.#deleteTo.length; p++) this.#deleteTo[p] = this.#states[p].first;
      }
    }
  }

  #take(): Pending[] {
    let bytes = 0;
    let count = 0;
    for (const { frame } of this.#queue) {
      bytes += frame.length + FRAME_HEADER_BYTES;
      if (count > 0 && (bytes > COMMIT_BYTES_MAX || count >= COMMIT_FRAMES_MAX)) break;
      count++;
    }
    const batch = this.#queue.slice(0, count);
    this.#queue = count === this.#queue.length ? [] : this.#queue.slice(count);
    return batch;
  }

  async #commit(batch: readonly Pending[]): Promise<void> {
    const nowMs = this.#options.clock.nowMs();
    const states = new Map<number, PartitionState>();
    const stateOf = (partition: number): PartitionState => {
      let state = states.get(partition);
      if (state === undefined) {
        state = { ...this.#states[partition] };
        states.set(partition, state);
      }
      return state;
    };
    const puts: [Uint8Array, Uint8Array][] = [];
    const removes = this.#deletions(stateOf);
    const offsets: number[] = [];
    const arena = this.#reserve(batch);
    let at = 0;
    let stored = 0;
    for (const { partition, frame } of batch) {
      const state = stateOf(partition);
      state.lastMs = Math.max(state.lastMs, nowMs);
      const end = writeFrame(arena, at, state.lastMs, state.bytesNext, frame);
      puts.push([frameKey(partition, state.next), arena.subarray(at, end)]);
      offsets.push(state.next++);
      state.bytesNext += storedBytes(frame.length);
      stored += storedBytes(frame.length);
      at = end;
    }
    for (const [partition, state] of states) puts.push([partitionKey(partition), encodePartition(state)]);
    try {
      await this.#env.commit(puts, removes);
    } finally {
      this.#queueBytes -= stored;
    }
    for (const [partition, state] of states) {
      const before = this.#states[partition];
      this.#heldBytes += state.bytesNext - state.bytesFirst - (before.bytesNext - before.bytesFirst);
      this.#states[partition] = state;
    }
    for (let i = 0; i < batch.length; i++) batch[i].resolve(offsets[i]);
    this.#options.onCommit();
  }

  #deletions(stateOf: (partition: number) => PartitionState): Uint8Array[] {
    const removes: Uint8Array[] = [];
    for (let p = 0; p < this.#deleteTo.length && removes.length < DELETE_FRAMES_MAX; p++) {
      const to = Math.min(this.#deleteTo[p], this.#states[p].first + DELETE_FRAMES_MAX - removes.length);
      if (to <= this.#states[p].first) continue;
      const state = stateOf(p);
      for (let offset = state.first; offset < to; offset++) removes.push(frameKey(p, offset));
      state.first = to;
      state.bytesFirst = this.#reader.bytesBefore(p, to);
    }
    return removes;
  }

  #reserve(batch: readonly Pending[]): Uint8Array {
    let bytes = 0;
    for (const { frame } of batch) bytes += FRAME_HEADER_BYTES + frame.length;
    if (bytes > COMMIT_BYTES_MAX) return Buffer.allocUnsafeSlow(bytes);
    if (bytes > this.#arena.length) {
      this.#arena = Buffer.allocUnsafeSlow(Math.min(COMMIT_BYTES_MAX, Math.max(bytes * 2, 64 * 1024)));
    }
    return this.#arena;
  }
}

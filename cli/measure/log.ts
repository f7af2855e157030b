import type { Log } from '../../log/log.ts';
import type { Clock } from '../../model/clock.ts';
import { SluiceError } from '../../model/errors.ts';
import { Histogram } from '../../model/histogram.ts';
import type { LogStats } from '../../model/stats.ts';
import { Waiting } from './waiting.ts';

/** Above this many partitions the single offsets are left out of the records. */
const OFFSETS_MAX = 256;

/** A log that can tell how many bytes a topic holds. */
export interface SizedLog extends Log {
  bytesHeld?(topic: string): number | null;
}

/** The log as it was, with the appends to one topic measured. What it costs is a time and a set entry for each frame. */
export class MeasuredLog {
  readonly log: Log;
  readonly #inner: SizedLog;
  readonly #topic: string;
  readonly #clock: Clock;
  readonly #bytesMax: number | null;
  readonly #appendSeconds = new Histogram();
  readonly #waiting: Waiting;
  #framesAppended = 0;
  #bytesAppended = 0;
  #errors = 0;
  #fullSinceMs: number | null = null;
  #bounds: { first: number; next: number }[] = [];
  #firstFrames: number | null = null;

  constructor(inner: SizedLog, topic: string, bytesMax: number | null, clock: Clock) {
    this.#inner = inner;
    this.#topic = topic;
    this.#bytesMax = bytesMax;
    this.#clock = clock;
    this.#waiting = new Waiting(clock);
    this.log = {
      partitions: inner.partitions,
      append: (t, partition, frame) =>
        t === topic ? this.#append(partition, frame) : inner.append(t, partition, frame),
      read: (t, partition, offset, bytes) => inner.read(t, partition, offset, bytes),
      bounds: (t, partition) => inner.bounds(t, partition),
      offsetAt: (t, partition, timeMs) => inner.offsetAt(t, partition, timeMs),
      last: (t, partition) => inner.last(t, partition),
      tail: (t, options) => inner.tail(t, options),
      consume: (t, options) => inner.consume(t, options),
      committed: (group, t) => inner.committed(group, t),
      close: () => inner.close(),
    };
  }

  /** Asks the log what it holds; the stats tell what was found last. Failures leave it. */
  async refresh(): Promise<void> {
    const partitions = Array.from({ length: this.#inner.partitions }, (_, p) => p);
    try {
      this.#bounds = await Promise.all(partitions.map((p) => this.#inner.bounds(this.#topic, p)));
      this.#firstFrames ??= sum(this.#bounds.map((b) => b.first));
    } catch {
      // Whoever works with the log tells that it is away; these figures stay as they were.
    }
  }

  stats(): LogStats {
    const nowMs = this.#clock.nowMs();
    const first = sum(this.#bounds.map((b) => b.first));
    const next = sum(this.#bounds.map((b) => b.next));
    return {
      topic: this.#topic,
      framesAppended: this.#framesAppended,
      bytesAppended: this.#bytesAppended,
      errors: this.#errors,
      waiting: this.#waiting.count,
      waitingMs: this.#waiting.oldestMs(),
      fullMs: this.#fullSinceMs === null ? 0 : Math.max(1, nowMs - this.#fullSinceMs),
      appendSeconds: this.#appendSeconds.snapshot(),
      framesHeld: next - first,
      framesDeleted: this.#firstFrames === null ? 0 : first - this.#firstFrames,
      endOffsets: this.#bounds.length > OFFSETS_MAX ? [] : this.#bounds.map((b) => b.next),
      bytesHeld: this.#inner.bytesHeld?.(this.#topic) ?? null,
      bytesMax: this.#bytesMax,
    };
  }

  async #append(partition: number, frame: Uint8Array): Promise<number> {
    const entry = this.#waiting.begin();
    try {
      const offset = await this.#inner.append(this.#topic, partition, frame);
      this.#appendSeconds.add(this.#waiting.ageMs(entry) / 1000);
      this.#framesAppended++;
      this.#bytesAppended += frame.length;
      this.#fullSinceMs = null;
      return offset;
    } catch (error) {
      if (error instanceof SluiceError && error.code === 'LOG_FULL') this.#fullSinceMs ??= this.#clock.nowMs();
      else this.#errors++;
      throw error;
    } finally {
      this.#waiting.end(entry);
    }
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

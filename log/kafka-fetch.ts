import { SluiceError } from '../model/errors.ts';
import { EARLIEST, errorType, type KafkaConnection, passes, pause, persistently, unavailable } from './kafka-client.ts';
import { framesOf } from './kafka-record.ts';
import type { LogFrame } from './log.ts';

/** Kafka's isolation level that leaves out what was aborted. */
const READ_COMMITTED = 1;
/** How long a broker holds a request that has nothing to answer yet; it answers at once when something comes. */
const WAIT_MS = 500;
/** The same while a partition is left out because its handler is behind, so that it comes back soon. */
const WAIT_CROWDED_MS = 20;

export interface FetcherOptions {
  topic: string;
  bytesMax: number;
  /** One call at a time for each partition. */
  onFrames: (partition: number, frames: LogFrame[]) => void | Promise<void>;
  onWarning: (message: string, values: Record<string, unknown>) => void;
  /** Ended by a failure of `onFrames`, or one that will not pass. */
  onError: (error: Error) => void;
  /** Who reads, for warnings. */
  who: string;
}

interface Place {
  partition: number;
  /** Next offset to fetch. */
  position: number;
  /** Fetched, and waiting for the handler. While there is something, no more is fetched: that is the back-pressure. */
  waiting: LogFrame[];
  busy: boolean;
}

/**
 * Reads partitions of a topic from given offsets on, each at its handler's pace. Each leader is asked in a loop of its own, by a
 * request that the broker answers when there is something. While a handler works, the next batch is fetched, and no further.
 */
export class Fetcher {
  readonly #connection: KafkaConnection;
  readonly #options: FetcherOptions;
  readonly #places = new Map<number, Place>();
  readonly #loops = new Map<number, Promise<void>>();
  readonly #abort = new AbortController();
  #leaders = new Map<number, number[]>();
  #changed: () => void = () => undefined;
  #change: Promise<void>;
  #refreshing: Promise<void> | null = null;

  constructor(connection: KafkaConnection, options: FetcherOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#change = new Promise((resolve) => {
      this.#changed = resolve;
    });
  }

  /** Starts a partition; `offset` is exact. */
  add(partition: number, offset: number): void {
    this.#places.set(partition, { partition, position: offset, waiting: [], busy: false });
    this.#announce();
    void this.#ensureLoops();
  }

  /** No batch of the partition is given any more. One that its handler has is not waited for. */
  remove(partition: number): void {
    this.#places.delete(partition);
    this.#announce();
  }

  async close(): Promise<void> {
    this.#abort.abort();
    this.#places.clear();
    this.#announce();
    await Promise.all(this.#loops.values());
  }

  #announce(): void {
    const changed = this.#changed;
    this.#change = new Promise((resolve) => {
      this.#changed = resolve;
    });
    changed();
  }

  /** Looks the leaders up, and starts a loop for each that has none. */
  async #ensureLoops(): Promise<void> {
    this.#refreshing ??= persistently(
      this.#connection,
      `finding the leaders of ${this.#options.topic}`,
      async () => {
        this.#leaders = await this.#connection.leaders(this.#options.topic);
      },
      { triesMax: Number.POSITIVE_INFINITY, signal: this.#abort.signal },
    )
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#refreshing = null;
      });
    await this.#refreshing;
    if (this.#abort.signal.aborted) return;
    for (const node of this.#leaders.keys()) {
      if (!this.#loops.has(node)) {
        this.#loops.set(
          node,
          this.#loop(node).finally(() => this.#loops.delete(node)),
        );
      }
    }
  }

  async #loop(node: number): Promise<void> {
    let failures = 0;
    while (!this.#abort.signal.aborted) {
      const led = (this.#leaders.get(node) ?? []).flatMap((p) => this.#places.get(p) ?? []);
      const wanted = led.filter((place) => place.waiting.length === 0);
      if (wanted.length === 0) {
        await this.#change;
        continue;
      }
      try {
        await this.#fetch(node, wanted, wanted.length === led.length ? WAIT_MS : WAIT_CROWDED_MS);
        failures = 0;
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        if (errorType(error) === 'OFFSET_OUT_OF_RANGE' || errorType(error) === 'KafkaJSOffsetOutOfRange') {
          await this.#restart((error as { partition: number }).partition);
          continue;
        }
        if (!passes(error)) return this.#fail(unavailable(`reading ${this.#options.topic}`, error));
        if (++failures === 5) {
          this.#options.onWarning('Kafka does not answer; it is tried again until it does', {
            topic: this.#options.topic,
            error: String(error),
          });
        }
        await pause(Math.min(1000, 20 * 2 ** failures), this.#abort.signal);
        await this.#connection.recover(error);
        await this.#ensureLoops();
      }
    }
  }

  async #fetch(node: number, places: Place[], waitMs: number): Promise<void> {
    const { topic, bytesMax } = this.#options;
    const broker = await this.#connection.broker(node);
    const { responses } = await broker.fetch({
      maxWaitTime: waitMs,
      minBytes: 1,
      maxBytes: Math.min(64 << 20, Math.max(1 << 20, bytesMax * places.length)),
      isolationLevel: READ_COMMITTED,
      topics: [
        {
          topic,
          partitions: places.map((p) => ({
            partition: p.partition,
            fetchOffset: String(p.position),
            maxBytes: bytesMax,
          })),
        },
      ],
    });
    for (const fetched of responses.flatMap((r) => r.partitions)) {
      const place = places.find((p) => p.partition === fetched.partition);
      // Taken away, or given anew at another offset, while the request was under way.
      if (place === undefined || this.#places.get(fetched.partition) !== place) continue;
      const { frames, next } = framesOf(fetched, place.position);
      place.position = next;
      place.waiting = frames;
      this.#deliver(place);
    }
  }

  #deliver(place: Place): void {
    if (place.busy || place.waiting.length === 0 || this.#abort.signal.aborted) return;
    if (this.#places.get(place.partition) !== place) return;
    const batch = takeBytes(place, this.#options.bytesMax);
    place.busy = true;
    if (place.waiting.length === 0) this.#announce();
    void (async () => {
      try {
        await this.#options.onFrames(place.partition, batch);
      } catch (error) {
        return this.#fail(error);
      }
      place.busy = false;
      this.#deliver(place);
    })();
  }

  /** The wanted offset is not held (any more): goes on at the first that is, and says how much is missing. */
  async #restart(partition: number): Promise<void> {
    const place = this.#places.get(partition);
    if (place === undefined) return;
    const { topic, who, onWarning } = this.#options;
    const first = await persistently(
      this.#connection,
      `finding the start of ${topic}/${partition}`,
      () => this.#connection.offsetOf(topic, partition, EARLIEST),
      { triesMax: Number.POSITIVE_INFINITY, signal: this.#abort.signal },
    ).catch(() => null);
    if (first === null) return;
    if (place.position < first) {
      onWarning(`retention took up to ${first - place.position} records before ${who} had read them`, {
        topic,
        partition,
        recordsLost: first - place.position,
        wanted: place.position,
        first,
      });
    } else {
      onWarning(`${who} is to start at an offset that the topic has not reached; it starts at the first held`, {
        topic,
        partition,
        wanted: place.position,
        first,
      });
    }
    place.position = first;
  }

  #fail(error: unknown): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    this.#announce();
    this.#options.onError(error instanceof Error ? error : new SluiceError('LOG_UNAVAILABLE', String(error)));
  }
}

function takeBytes(place: Place, bytesMax: number): LogFrame[] {
  let bytes = 0;
  let count = 0;
  for (const frame of place.waiting) {
    bytes += frame.bytes.length;
    if (count > 0 && bytes > bytesMax) break;
    count++;
  }
  const batch = place.waiting.slice(0, count);
  place.waiting = place.waiting.slice(count);
  return batch;
}

/** One look, without waiting: frames from `offset` on, and the end that was known then. */
export async function fetchOnce(
  connection: KafkaConnection,
  topic: string,
  partition: number,
  offset: number,
  bytesMax: number,
): Promise<{ frames: LogFrame[]; next: number; end: number }> {
  const leaders = await connection.leaders(topic);
  const node = [...leaders].find(([, partitions]) => partitions.includes(partition))?.[0];
  if (node === undefined) {
    throw new SluiceError('LOG_TOPIC_UNKNOWN', `topic ${topic} has no partition ${partition}`);
  }
  const broker = await connection.broker(node);
  const { responses } = await broker.fetch({
    maxWaitTime: 0,
    minBytes: 0,
    maxBytes: Math.max(1, bytesMax),
    isolationLevel: READ_COMMITTED,
    topics: [{ topic, partitions: [{ partition, fetchOffset: String(offset), maxBytes: Math.max(1, bytesMax) }] }],
  });
  const fetched = responses[0].partitions[0];
  const end = Number(fetched.lastStableOffset ?? fetched.highWatermark);
  return { ...framesOf(fetched, offset), end: end >= 0 ? end : Number(fetched.highWatermark) };
}

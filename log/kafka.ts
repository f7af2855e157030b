import { SluiceError } from '../model/errors.ts';
import {
  type Admin,
  EARLIEST,
  errorType,
  type KafkaClient,
  type KafkaClientOptions,
  type KafkaConnection,
  kafkaClient,
  LATEST,
  persistently,
  unavailable,
} from './kafka-client.ts';
import { openConsumer } from './kafka-consumer.ts';
import { Fetcher, fetchOnce } from './kafka-fetch.ts';
import { RECORD_OVERHEAD_BYTES, RecordProducer } from './kafka-producer.ts';
import { ensureTopic } from './kafka-topics.ts';
import type { ConsumeOptions, Log, LogBounds, LogConsumer, LogFrame, LogTail, TailOptions } from './log.ts';
import { partitionsOf, type Retention } from './retention.ts';

export interface KafkaLogOptions extends KafkaClientOptions {
  /** Before every topic's name, `sluice.` for instance. */
  topicPrefix: string;
  /** Partitions of topics that are created (those of stats have one). An existing topic must have as many. */
  partitions: number;
  /** For topics that are created, by their name without prefix; a topic that is not named keeps the cluster's default. */
  retention?: Readonly<Record<string, Retention>>;
  /** For topics that are created; the cluster's default when absent. */
  replicationFactor?: number | null;
  /** The largest frame that is appended; becomes max.message.bytes of topics that are created. */
  frameBytesMax?: number;
  onWarning?: (message: string, values: Record<string, unknown>) => void;
}

const FRAME_BYTES_MAX = 64 << 20;
/** Bytes that a tail reads at once of a partition. */
const TAIL_BYTES = 1 << 20;

/** Opens the log on a Kafka cluster. Rejects with LOG_UNAVAILABLE when no broker answers. Topics are created when first used. */
export async function openKafkaLog(options: KafkaLogOptions): Promise<Log> {
  const client = kafkaClient(options);
  const admin = client.admin();
  try {
    await admin.connect();
  } catch (error) {
    await admin.disconnect().catch(() => undefined);
    throw unavailable(`connecting to ${options.brokers.join(', ')}`, error);
  }
  return new KafkaEngine(options, client, admin);
}

class KafkaEngine implements Log {
  readonly partitions: number;
  readonly #options: KafkaLogOptions;
  readonly #client: KafkaClient;
  readonly #admin: Admin;
  readonly #reader: KafkaConnection;
  readonly #producer: RecordProducer;
  readonly #ready = new Map<string, Promise<string>>();
  readonly #open = new Set<{ close(): Promise<void> }>();
  readonly #warn: (message: string, values: Record<string, unknown>) => void;
  #closing: Promise<void> | null = null;

  constructor(options: KafkaLogOptions, client: KafkaClient, admin: Admin) {
    this.partitions = options.partitions;
    this.#options = options;
    this.#client = client;
    this.#admin = admin;
    this.#warn = options.onWarning ?? (() => undefined);
    this.#reader = client.connection();
    this.#producer = new RecordProducer(client.connection(), options.frameBytesMax ?? FRAME_BYTES_MAX);
  }

  async append(topic: string, partition: number, frame: Uint8Array): Promise<number> {
    this.#check(topic, partition);
    // Waiting for a promise here would be as well, but for the order of calls: all of them wait for the same one.
    const name = await this.#topic(topic);
    return this.#producer.append({ topic: name, partition, key: null, value: frame });
  }

  async read(topic: string, partition: number, offset: number, bytesMax: number): Promise<LogFrame[]> {
    this.#check(topic, partition);
    const name = await this.#topic(topic);
    let at = offset;
    for (;;) {
      const found = await this.#reading(name, partition, () =>
        fetchOnce(this.#reader, name, partition, at, bytesMax).catch(async (error: unknown) => {
          if (!/OFFSET_OUT_OF_RANGE|KafkaJSOffsetOutOfRange/.test(errorType(error))) throw error;
          const first = await this.#reader.offsetOf(name, partition, EARLIEST);
          if (at >= first) return { frames: [], next: at, end: at };
          throw new SluiceError(
            'LOG_OFFSET_GONE',
            `offset ${at} of ${topic}/${partition} is no longer held; the first is ${first}`,
            { values: { topic, partition, offset: at, first } },
          );
        }),
      );
      if (found.frames.length > 0) return withinBytes(found.frames, bytesMax);
      if (found.next >= found.end) return [];
      // Nothing but holes here: compaction leaves empty batches, which tell no offset to go on at.
      at = Math.max(found.next, at + 1);
    }
  }

  async bounds(topic: string, partition: number): Promise<LogBounds> {
    this.#check(topic, partition);
    const name = await this.#topic(topic);
    return this.#reading(name, partition, async () => ({
      first: await this.#reader.offsetOf(name, partition, EARLIEST),
      next: await this.#reader.offsetOf(name, partition, LATEST),
    }));
  }

  async offsetAt(topic: string, partition: number, timeMs: number): Promise<number> {
    this.#check(topic, partition);
    const name = await this.#topic(topic);
    return this.#reading(name, partition, async () => {
      const offset = await this.#reader.offsetOf(name, partition, Math.max(0, Math.floor(timeMs)));
      return offset >= 0 ? offset : this.#reader.offsetOf(name, partition, LATEST);
    });
  }

  async last(topic: string, partition: number): Promise<LogFrame | null> {
    const { first, next } = await this.bounds(topic, partition);
    // The last offsets may be holes (control records, compaction): look ever farther back.
    for (let back = 1; ; back *= 4) {
      const from = Math.max(first, next - back);
      if (from >= next) return null;
      let newest: LogFrame | null = null;
      for (let at = from; at < next; ) {
        const frames = await this.read(topic, partition, at, TAIL_BYTES);
        if (frames.length === 0) break;
        newest = frames[frames.length - 1];
        at = newest.offset + 1;
      }
      if (newest !== null || from === first) return newest;
    }
  }

  async tail(topic: string, options: TailOptions): Promise<LogTail> {
    const name = await this.#topic(topic);
    const partitions = partitionsOf(topic, this.partitions);
    const connection = this.#client.connection();
    const fetcher = new Fetcher(connection, {
      topic: name,
      bytesMax: TAIL_BYTES,
      onFrames: options.onFrames,
      onWarning: this.#warn,
      onError: options.onError,
      who: 'a tail',
    });
    const close = async (): Promise<void> => {
      await fetcher.close();
      await connection.close();
      this.#open.delete(tail);
    };
    const tail = { close };
    this.#open.add(tail);
    try {
      const all = Array.from({ length: partitions }, (_, p) => p);
      const starts = await Promise.all(
        all.map((p) => options.from?.(p) ?? this.#reading(name, p, () => this.#reader.offsetOf(name, p, LATEST))),
      );
      for (const p of all) fetcher.add(p, starts[p]);
    } catch (error) {
      await close();
      throw error;
    }
    return tail;
  }

  async consume(topic: string, options: ConsumeOptions): Promise<LogConsumer> {
    const name = await this.#topic(topic);
    const consumer = openConsumer({
      connection: this.#client.connection(),
      topic: name,
      partitions: partitionsOf(topic, this.partitions),
      options,
      onWarning: this.#warn,
      onClosed: () => this.#open.delete(consumer),
    });
    this.#open.add(consumer);
    return consumer;
  }

  async committed(group: string, topic: string): Promise<(number | null)[]> {
    const name = await this.#topic(topic);
    const all = Array.from({ length: partitionsOf(topic, this.partitions) }, (_, partition) => ({ partition }));
    return persistently(this.#reader, `reading the offsets of group ${group}`, async () => {
      const coordinator = await this.#reader.coordinator(group);
      const { responses } = await coordinator.offsetFetch({
        groupId: group,
        topics: [{ topic: name, partitions: all }],
      });
      const offsets = new Map(responses.flatMap((r) => r.partitions).map((p) => [p.partition, Number(p.offset)]));
      return all.map(({ partition }) => {
        const offset = offsets.get(partition) ?? -1;
        return offset < 0 ? null : offset;
      });
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#open].map((part) => part.close()));
    await Promise.allSettled(this.#ready.values());
    await this.#producer.close();
    await this.#reader.close();
    await this.#admin.disconnect().catch(() => undefined);
  }

  #reading<T>(topic: string, partition: number, run: () => Promise<T>): Promise<T> {
    return persistently(this.#reader, `reading ${topic}/${partition}`, run);
  }

  #check(topic: string, partition: number): void {
    const partitions = partitionsOf(topic, this.partitions);
    if (Number.isInteger(partition) && partition >= 0 && partition < partitions) return;
    throw new SluiceError('LOG_TOPIC_UNKNOWN', `topic ${topic} has no partition ${partition}`, {
      values: { topic, partition, partitions },
      remedy: `use a partition from 0 to ${partitions - 1}`,
    });
  }

  /** Name of the topic in Kafka, once it is there. */
  #topic(topic: string): Promise<string> {
    if (this.#closing !== null) return Promise.reject(new SluiceError('LOG_CLOSED', 'the log is closed'));
    let ready = this.#ready.get(topic);
    if (ready === undefined) {
      const name = this.#options.topicPrefix + topic;
      ready = ensureTopic(this.#admin, name, {
        partitions: partitionsOf(topic, this.partitions),
        replicationFactor: this.#options.replicationFactor ?? null,
        config: topicConfig(this.#options, topic),
      }).then(() => name);
      ready.catch(() => this.#ready.delete(topic));
      this.#ready.set(topic, ready);
    }
    return ready;
  }
}

/** The broker's time is the one that all records of a topic share, so that a time can be looked up. */
function topicConfig(options: KafkaLogOptions, topic: string): Record<string, string> {
  const config: Record<string, string> = {
    'message.timestamp.type': 'LogAppendTime',
    'max.message.bytes': String((options.frameBytesMax ?? FRAME_BYTES_MAX) + 16 * RECORD_OVERHEAD_BYTES),
  };
  const retention = options.retention?.[topic];
  if (retention === undefined) return config;
  config['retention.ms'] = String(retention.ageMs ?? -1);
  if (retention.bytesMax === null) config['retention.bytes'] = '-1';
  else {
    const perPartition = Math.floor(retention.bytesMax / partitionsOf(topic, options.partitions));
    config['retention.bytes'] = String(perPartition);
    // Kafka deletes whole segments, and never the one that is being written.
    config['segment.bytes'] = String(Math.min(1 << 30, Math.max(1 << 20, Math.floor(perPartition / 4))));
  }
  return config;
}

function withinBytes(frames: LogFrame[], bytesMax: number): LogFrame[] {
  let bytes = 0;
  let count = 0;
  for (const frame of frames) {
    bytes += frame.bytes.length;
    if (count > 0 && bytes > bytesMax) break;
    count++;
  }
  return count === frames.length ? frames : frames.slice(0, count);
}

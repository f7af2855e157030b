import { SluiceError } from '../model/errors.ts';
import { errorType, type KafkaClient, type Producer, pause, type RecordMetadata, unavailable } from './kafka-client.ts';
import { FRAME_HEADER } from './kafka-record.ts';

/** What one produce request carries at most (a single larger record goes alone). */
const SEND_BYTES_MAX = 8 << 20;
/** Room that a record and its batch need beside the value, generously. */
export const RECORD_OVERHEAD_BYTES = 4096;
/** About a minute: pauses grow to a second. */
const RETRIES = 60;

export interface ProducedRecord {
  topic: string;
  partition: number;
  key: Buffer | null;
  value: Uint8Array;
}

interface Pending extends ProducedRecord {
  resolve: (offset: number) => void;
  reject: (error: Error) => void;
}

/**
 * Appends records with acks=all and idempotence.
 *
 * One request is under way at a time, and what is appended meanwhile goes into the next. That is more than batching: kafkajs takes
 * the sequence numbers of a failed request back and lets another one go first, which Kafka would then take for a repetition
 * of the failed one and drop, acknowledged. With a single request nothing can go between, a retry repeats exactly what
 * Kafka may already have, and order is kept.
 *
 * After a failure that retries did not cure, the producer is replaced: a new one has a new id and starts its sequences anew,
 * so that OUT_OF_ORDER_SEQUENCE_NUMBER and its kind do not last.
 */
export class RecordProducer {
  readonly #client: KafkaClient;
  readonly #recordBytesMax: number;
  #producer: Promise<Producer> | null = null;
  #queue: Pending[] = [];
  #running: Promise<void> | null = null;
  #closed = false;

  constructor(client: KafkaClient, recordBytesMax: number) {
    this.#client = client;
    this.#recordBytesMax = recordBytesMax;
  }

  append(record: ProducedRecord): Promise<number> {
    if (this.#closed) return Promise.reject(new SluiceError('LOG_CLOSED', 'the log is closed'));
    if (record.value.length > this.#recordBytesMax) {
      return Promise.reject(tooLarge(record, this.#recordBytesMax));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ ...record, resolve, reject });
      this.#run();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
    const producer = await this.#producer?.catch(() => null);
    await producer?.disconnect().catch(() => undefined);
  }

  #run(): void {
    this.#running ??= this.#sendAll().finally(() => {
      this.#running = null;
      if (this.#queue.length > 0) this.#run();
    });
  }

  async #sendAll(): Promise<void> {
    // Everything that is appended in this turn of the event loop goes into one request.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) {
      const batch = this.#take();
      try {
        await this.#send(batch);
      } catch (error) {
        await this.#replaceProducer();
        const reason = this.#reason(error, batch);
        for (const pending of batch) pending.reject(reason);
      }
    }
  }

  /** The records of a partition in one request are one record batch, which may not be larger than one record may be. */
  #take(): Pending[] {
    const batch: Pending[] = [];
    const left: Pending[] = [];
    const bytesOf = new Map<string, number>();
    let bytes = 0;
    for (const pending of this.#queue) {
      const place = `${pending.topic}/${pending.partition}`;
      const size = pending.value.length + RECORD_OVERHEAD_BYTES;
      const inPlace = (bytesOf.get(place) ?? 0) + size;
      const fits = batch.length === 0 || (bytes + size <= SEND_BYTES_MAX && inPlace <= this.#recordBytesMax);
      // Once a record of a partition has to wait, all later ones of it wait behind it.
      bytesOf.set(place, fits ? inPlace : Number.POSITIVE_INFINITY);
      if (fits) bytes += size;
      (fits ? batch : left).push(pending);
    }
    this.#queue = left;
    return batch;
  }

  async #send(batch: readonly Pending[]): Promise<void> {
    const producer = await this.#connected();
    const topics = new Map<string, Pending[]>();
    for (const pending of batch) {
      const list = topics.get(pending.topic);
      if (list === undefined) topics.set(pending.topic, [pending]);
      else list.push(pending);
    }
    const results = await producer.sendBatch({
      acks: -1,
      topicMessages: [...topics].map(([topic, records]) => ({
        topic,
        messages: records.map(({ partition, key, value }) => ({
          partition,
          key,
          value: Buffer.from(value.buffer, value.byteOffset, value.length),
          headers: { [FRAME_HEADER]: '1' },
        })),
      })),
    });
    const nextOffset = new Map(
      results.map((r: RecordMetadata) => [`${r.topicName}/${r.partition}`, Number(r.baseOffset)]),
    );
    for (const pending of batch) {
      const place = `${pending.topic}/${pending.partition}`;
      const offset = nextOffset.get(place)!;
      nextOffset.set(place, offset + 1);
      pending.resolve(offset);
    }
  }

  #connected(): Promise<Producer> {
    this.#producer ??= (async () => {
      const producer = this.#client.producer(RETRIES);
      try {
        await producer.connect();
      } catch (error) {
        this.#producer = null;
        throw error;
      }
      return producer;
    })();
    return this.#producer;
  }

  async #replaceProducer(): Promise<void> {
    const old = this.#producer;
    this.#producer = null;
    const producer = await old?.catch(() => null);
    // Its connections may never answer again; nobody waits for them.
    void producer?.disconnect().catch(() => undefined);
    await pause(100);
  }

  #reason(error: unknown, batch: readonly Pending[]): SluiceError {
    const type = errorType((error as { cause?: unknown }).cause ?? error);
    if (type === 'MESSAGE_TOO_LARGE' || type === 'RECORD_LIST_TOO_LARGE') {
      return tooLarge(batch[0], this.#recordBytesMax, error);
    }
    if (type === 'UNKNOWN_TOPIC_OR_PARTITION') {
      return new SluiceError('LOG_UNAVAILABLE', `Kafka does not know the topic ${batch[0].topic} (any more)`, {
        values: { topic: batch[0].topic },
        cause: error,
        remedy: 'the topic was deleted; restart, and it is created again',
      });
    }
    return unavailable('append', error);
  }
}

function tooLarge(record: ProducedRecord, recordBytesMax: number, cause?: unknown): SluiceError {
  return new SluiceError(
    'FRAME_TOO_LARGE',
    `a frame of ${record.value.length} bytes is larger than the topic ${record.topic} takes`,
    {
      values: { topic: record.topic, frameBytes: record.value.length, recordBytesMax },
      remedy: 'raise max.message.bytes of the topic and log.frameBytesMax, or send smaller messages',
      cause,
    },
  );
}

import { SluiceError } from '../model/errors.ts';
import { errorType, type KafkaConnection, passes, pause, unavailable } from './kafka-client.ts';
import type { ProducedMessage } from './kafka-produce.ts';
import { FRAME_HEADER } from './kafka-record.ts';

/** What one round of requests carries at most (a single larger record goes alone). */
const SEND_BYTES_MAX = 8 << 20;
/** Room that a record and its batch need beside the value, generously. */
export const RECORD_OVERHEAD_BYTES = 4096;
/** How long an append is tried when Kafka does not take it, as Kafka's own delivery.timeout.ms. */
const DELIVERY_MS = 120_000;
/** How long a leader may wait for its replicas. */
const ACKS_MS = 30_000;

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

/** The records of one partition in one round: one record batch. */
interface Batch {
  topic: string;
  partition: number;
  sequence: number;
  messages: ProducedMessage[];
  pending: Pending[];
}

interface Identity {
  producerId: string;
  producerEpoch: number;
  /** Next sequence number of each partition. */
  sequences: Map<string, number>;
}

/**
 * Appends records with acks=all and idempotence (KIP-98): each batch carries the producer's id and a sequence number, by which
 * Kafka knows a repetition. kafkajs's own producer is not used, because it takes the numbers of a failed request back and
 * lets the next request have them, which Kafka then takes for a repetition and drops, acknowledged.
 *
 * Here one round is under way at a time: a batch for each partition that has something, a request for each leader. A failed request is
 * repeated with the same batches and numbers, to whoever leads by then, until it is through or DELIVERY_MS have passed; what
 * is appended meanwhile waits for the next round. So order is kept, and nothing is there twice.
 *
 * After a batch was given up, or Kafka has forgotten the numbers, the producer takes a new id and starts them anew.
 */
export class RecordProducer {
  readonly #connection: KafkaConnection;
  readonly #recordBytesMax: number;
  #identity: Identity | null = null;
  #queue: Pending[] = [];
  #running: Promise<void> | null = null;
  #closed = false;

  constructor(connection: KafkaConnection, recordBytesMax: number) {
    this.#connection = connection;
    this.#recordBytesMax = recordBytesMax;
  }

  append(record: ProducedRecord): Promise<number> {
    if (this.#closed) return Promise.reject(new SluiceError('LOG_CLOSED', 'the log is closed'));
    if (record.value.length > this.#recordBytesMax) {
      return Promise.reject(tooLarge(record.topic, record.value.length, this.#recordBytesMax));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ ...record, resolve, reject });
      this.#run();
    });
  }

  /** Waits for what was appended. The connection is the producer's to close. */
  async close(): Promise<void> {
    this.#closed = true;
    // A run that ends with work left is followed by another one.
    while (this.#running !== null) await this.#running;
    await this.#connection.close();
  }

  #run(): void {
    this.#running ??= this.#sendAll().finally(() => {
      this.#running = null;
      if (this.#queue.length > 0) this.#run();
    });
  }

  async #sendAll(): Promise<void> {
    // Everything that is appended in this turn of the event loop goes into one round.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) {
      const taken = this.#take();
      try {
        const identity = await this.#identify();
        await this.#send(identity, toBatches(identity, taken), Date.now() + DELIVERY_MS);
      } catch (error) {
        this.#identity = null;
        for (const pending of taken) pending.reject(error as Error);
      }
    }
  }

  /** The records of a partition in one round are one record batch, which may not be larger than one record may be. */
  #take(): Pending[] {
    const taken: Pending[] = [];
    const left: Pending[] = [];
    const bytesOf = new Map<string, number>();
    let bytes = 0;
    for (const pending of this.#queue) {
      const place = placeOf(pending);
      const size = pending.value.length + RECORD_OVERHEAD_BYTES;
      const inPlace = (bytesOf.get(place) ?? 0) + size;
      const fits = taken.length === 0 || (bytes + size <= SEND_BYTES_MAX && inPlace <= this.#recordBytesMax);
      // Once a record of a partition has to wait, all later ones of it wait behind it.
      bytesOf.set(place, fits ? inPlace : Number.POSITIVE_INFINITY);
      if (fits) bytes += size;
      (fits ? taken : left).push(pending);
    }
    this.#queue = left;
    return taken;
  }

  async #identify(): Promise<Identity> {
    const untilMs = Date.now() + DELIVERY_MS;
    while (this.#identity === null) {
      try {
        const broker = await this.#connection.anyBroker();
        const { producerId, producerEpoch } = await broker.initProducerId({ transactionTimeout: 60_000 });
        this.#identity = { producerId, producerEpoch, sequences: new Map() };
      } catch (error) {
        await this.#again('getting a producer id', error, untilMs);
      }
    }
    return this.#identity;
  }

  /** Sends batches until all are acknowledged. Rejects when one never will be; those that were are resolved. */
  async #send(identity: Identity, batches: Batch[], untilMs: number): Promise<void> {
    for (let left = batches, tries = 0; left.length > 0; tries++) {
      const failed: { batches: Batch[]; error: unknown }[] = [];
      const groups = await this.#byLeader(left).catch((error: unknown) => {
        failed.push({ batches: left, error });
        return new Map<number, Batch[]>();
      });
      await Promise.all(
        [...groups].map(([node, ofNode]) =>
          this.#produce(identity, node, ofNode).catch((error: unknown) => failed.push({ batches: ofNode, error })),
        ),
      );
      left = failed.flatMap((f) => f.batches);
      for (const { batches: ofOne, error } of failed) {
        if (isFinal(error) && ofOne.length > 1) {
          // The answer does not say which partition it is about: each is asked for alone.
          for (const batch of ofOne)
            await this.#send(identity, [batch], untilMs).catch((e: Error) => rejectAll(batch, e));
          left = left.filter((batch) => !ofOne.includes(batch));
        } else if (isFinal(error)) throw this.#reason(error, ofOne[0]);
        else await this.#again('append', error, untilMs, tries);
      }
    }
  }

  async #byLeader(batches: readonly Batch[]): Promise<Map<number, Batch[]>> {
    const groups = new Map<number, Batch[]>();
    for (const topic of new Set(batches.map((b) => b.topic))) {
      for (const [node, partitions] of await this.#connection.leaders(topic)) {
        const led = batches.filter((b) => b.topic === topic && partitions.includes(b.partition));
        if (led.length > 0) groups.set(node, [...(groups.get(node) ?? []), ...led]);
      }
    }
    const found = [...groups.values()].reduce((sum, group) => sum + group.length, 0);
    if (found < batches.length) throw new Error('a partition has no leader at the moment');
    return groups;
  }

  async #produce(identity: Identity, node: number, batches: readonly Batch[]): Promise<void> {
    const produced = await this.#connection.produce(node, {
      acks: -1,
      timeout: ACKS_MS,
      producerId: identity.producerId,
      producerEpoch: identity.producerEpoch,
      topicData: [...new Set(batches.map((b) => b.topic))].map((topic) => ({
        topic,
        partitions: batches
          .filter((b) => b.topic === topic)
          .map(({ partition, sequence, messages }) => ({ partition, firstSequence: sequence, messages })),
      })),
    });
    const bases = new Map(produced.map((p) => [placeOf(p), p.baseOffset]));
    for (const batch of batches) {
      const place = placeOf(batch);
      const base = bases.get(place)!;
      // Sequence numbers are 31 bits wide and start again at 0.
      identity.sequences.set(place, (batch.sequence + batch.messages.length) % 2 ** 31);
      for (const [i, pending] of batch.pending.entries()) pending.resolve(base + i);
    }
  }

  async #again(what: string, error: unknown, untilMs: number, tries = 3): Promise<void> {
    if (!passes(error) || Date.now() >= untilMs) throw unavailable(what, error);
    await pause(Math.min(1000, 20 * 2 ** tries));
    await this.#connection.recover(error);
  }

  #reason(error: unknown, batch: Batch): SluiceError {
    const type = errorType(error);
    if (type === 'MESSAGE_TOO_LARGE' || type === 'RECORD_LIST_TOO_LARGE') {
      const bytes = Math.max(...batch.messages.map((m) => m.value.length));
      return tooLarge(batch.topic, bytes, this.#recordBytesMax, error);
    }
    return unavailable(`append to ${placeOf(batch)}`, error);
  }
}

function toBatches(identity: Identity, taken: readonly Pending[]): Batch[] {
  const batches = new Map<string, Batch>();
  for (const pending of taken) {
    const place = placeOf(pending);
    let batch = batches.get(place);
    if (batch === undefined) {
      const { topic, partition } = pending;
      batch = { topic, partition, sequence: identity.sequences.get(place) ?? 0, messages: [], pending: [] };
      batches.set(place, batch);
    }
    const { key, value } = pending;
    batch.messages.push({
      key,
      value: Buffer.from(value.buffer, value.byteOffset, value.length),
      headers: { [FRAME_HEADER]: '1' },
    });
    batch.pending.push(pending);
  }
  return [...batches.values()];
}

function rejectAll(batch: Batch, error: Error): void {
  for (const pending of batch.pending) pending.reject(error);
}

function placeOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`;
}

/** Kafka's own word that it will not take the batch, however often. */
function isFinal(error: unknown): boolean {
  return !passes(error);
}

function tooLarge(topic: string, frameBytes: number, recordBytesMax: number, cause?: unknown): SluiceError {
  return new SluiceError('FRAME_TOO_LARGE', `a frame of ${frameBytes} bytes is larger than the topic ${topic} takes`, {
    values: { topic, frameBytes, recordBytesMax },
    remedy: 'raise max.message.bytes of the topic and log.frameBytesMax, or send smaller messages',
    cause,
  });
}

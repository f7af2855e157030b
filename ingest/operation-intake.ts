import type { Log, LogConsumer, LogFrame } from '../log/log.ts';
import type { Clock, TimerHandle } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import { encodeIdentity, FrameReader } from '../model/frame.ts';
import type { Logger } from '../model/logger.ts';
import { decodeOperation, deviceOf, OPERATION_TOPIC } from '../model/operation.ts';
import { partitionOf } from '../model/partition.ts';
import { OPERATIONS, OPERATIONS_GROUP } from '../model/topics.ts';
import type { Batcher } from './batcher.ts';

const BATCH_BYTES = 1 << 20;
/** After a failure it is tried again this much later. */
const RETRY_MS = 1000;
const IDENTITY = encodeIdentity('', OPERATION_TOPIC);

/** An operation, and a partition that it still has to get into. */
interface Due {
  partition: number;
  payload: Uint8Array;
}

/**
 * Takes operations (model/operation.ts) from their topic and writes each into the telemetry partitions that it concerns: the one of
 * its device, or every one. That gives it a definite place among the readings. The position in OPERATIONS is committed when
 * all of a batch is durable, so an operation may be written again after a crash, and is never lost; doors share the topic as one
 * consumer group, so that one of them at a time does it.
 */
export class OperationIntake {
  /** Operations that have been written. */
  taken = 0;
  readonly #log: Log;
  readonly #batcher: Batcher;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #consumer: LogConsumer | null = null;
  readonly #pauses = new Set<{ timer: TimerHandle; end: () => void }>();
  #closed = false;

  constructor(log: Log, batcher: Batcher, clock: Clock, logger: Logger) {
    this.#log = log;
    this.#batcher = batcher;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Resolves when operations are consumed, or when a later try has been arranged. Never rejects. */
  async start(): Promise<void> {
    try {
      const consumer = await this.#log.consume(OPERATIONS, {
        group: OPERATIONS_GROUP,
        bytesMax: BATCH_BYTES,
        onAssign: async () => null,
        onRevoke: async () => {},
        onBatch: (partition, frames) => this.#batch(partition, frames),
        onError: (error) => this.#failed(error),
      });
      if (this.#closed) await consumer.close();
      else this.#consumer = consumer;
    } catch (error) {
      this.#failed(error as Error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { timer, end } of this.#pauses) {
      timer.cancel();
      end();
    }
    await this.#consumer?.close();
  }

  async #batch(partition: number, frames: readonly LogFrame[]): Promise<void> {
    let due = frames.flatMap(({ bytes }) => this.#read(bytes));
    while (due.length > 0) {
      const left = await this.#write(due);
      if (this.#closed) return;
      if (left.length > 0) await this.#pause();
      if (this.#closed) return;
      due = left;
    }
    // The first batch may come before `consume` has resolved.
    while (this.#consumer === null && !this.#closed) await this.#pause(0);
    if (!this.#closed) await this.#consumer?.commit(partition, frames[frames.length - 1].offset + 1);
  }

  #read(bytes: Uint8Array): Due[] {
    const due: Due[] = [];
    const reader = new FrameReader();
    reader.reset(bytes);
    try {
      while (reader.next()) {
        const payload = reader.payload().slice();
        const device = this.#deviceOf(payload);
        if (device === undefined) continue;
        this.taken++;
        const { partitions } = this.#batcher;
        if (device !== null) due.push({ partition: partitionOf(device, partitions), payload });
        else for (let partition = 0; partition < partitions; partition++) due.push({ partition, payload });
      }
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      this.#logger.error('a frame of operations cannot be read and is passed over', { reason: error.message });
    }
    return due;
  }

  /** Undefined for what is no operation. */
  #deviceOf(payload: Uint8Array): string | null | undefined {
    try {
      return deviceOf(decodeOperation(payload));
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      this.#logger.error('an operation cannot be read and is passed over', { reason: error.message });
      return undefined;
    }
  }

  /** Resolves with those that did not get onto the log, in their order. */
  async #write(due: readonly Due[]): Promise<Due[]> {
    const fates = due.map(
      ({ partition, payload }) =>
        new Promise<boolean>((resolve) => {
          this.#batcher.note(partition, IDENTITY, payload).whenSettled((error) => resolve(error === null));
        }),
    );
    const written = await Promise.all(fates);
    return due.filter((_, i) => !written[i]);
  }

  #pause(delayMs = RETRY_MS): Promise<void> {
    return new Promise((end) => {
      const timer = this.#clock.after(delayMs, () => {
        this.#pauses.delete(pause);
        end();
      });
      const pause = { timer, end };
      this.#pauses.add(pause);
    });
  }

  #failed(error: Error): void {
    if (this.#closed) return;
    this.#logger.warn('operations cannot be taken for now', { reason: error.message });
    const failed = this.#consumer;
    this.#consumer = null;
    void this.#pause().then(async () => {
      await failed?.close();
      if (!this.#closed) await this.start();
    });
  }
}

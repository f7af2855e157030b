import type { Log, LogConsumer, LogFrame } from '../log/log.ts';
import type { Clock, TimerHandle } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import { FACT_TOPIC } from '../model/fact.ts';
import { encodeIdentity, FrameReader } from '../model/frame.ts';
import { partitionOfResult } from '../model/group-result.ts';
import type { Logger } from '../model/logger.ts';
import { decodeOperation, deviceOf, OPERATION_TOPIC } from '../model/operation.ts';
import { partitionOf } from '../model/partition.ts';
import { decodeTold } from '../model/told.ts';
import { FACTS, FACTS_GROUP, OPERATIONS, OPERATIONS_GROUP } from '../model/topics.ts';
import type { Batcher } from './batcher.ts';

const BATCH_BYTES = 1 << 20;
/** After a failure it is tried again this much later. */
const RETRY_MS = 1000;

/** What is taken from where, and into which partitions of TELEMETRY. */
export interface IntakeSource {
  topic: string;
  group: string;
  /** What the messages are, in the plural, for people. */
  what: string;
  /** Device and topic of the messages that are written. */
  identity: Uint8Array;
  /** The partitions that a message concerns, `partitions` of them at most. Throws INPUT_INVALID for what is none. */
  concerns(payload: Uint8Array, partitions: number): readonly number[];
}

const every = (partitions: number): number[] => Array.from({ length: partitions }, (_, partition) => partition);

/** Operations (model/operation.ts) go into the partition of their device, or into every one. */
export const OPERATION_SOURCE: IntakeSource = {
  topic: OPERATIONS,
  group: OPERATIONS_GROUP,
  what: 'operations',
  identity: encodeIdentity('', OPERATION_TOPIC),
  concerns(payload, partitions) {
    const device = deviceOf(decodeOperation(payload));
    return device === null ? every(partitions) : [partitionOf(device, partitions)];
  },
};

/** Facts (model/fact.ts) go into every partition but the one that told them, results of groups into that of the group's alarms. */
export const FACT_SOURCE: IntakeSource = {
  topic: FACTS,
  group: FACTS_GROUP,
  what: 'facts',
  identity: encodeIdentity('', FACT_TOPIC),
  concerns(payload, partitions) {
    const told = decodeTold(payload);
    if (told.kind === 'rollup') return [partitionOfResult(told, partitions)];
    return every(partitions).filter((other) => other !== told.partition);
  },
};

/** An operation, and a partition that it still has to get into. */
interface Due {
  partition: number;
  payload: Uint8Array;
}

/**
 * Takes operations, or facts, from their topic and writes each into the telemetry partitions that it concerns. That gives it a
 * definite place among the readings. The position in the topic is committed when all of a batch is durable, so one may be
 * written again after a crash, and none is lost; doors share the topic as one consumer group, so that one of them at a time does it.
 */
export class OperationIntake {
  /** Operations that have been written. */
  taken = 0;
  readonly #source: IntakeSource;
  readonly #log: Log;
  readonly #batcher: Batcher;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #consumer: LogConsumer | null = null;
  readonly #pauses = new Set<{ timer: TimerHandle; end: () => void }>();
  #closed = false;

  constructor(log: Log, batcher: Batcher, clock: Clock, logger: Logger, source = OPERATION_SOURCE) {
    this.#source = source;
    this.#log = log;
    this.#batcher = batcher;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Resolves when operations are consumed, or when a later try has been arranged. Never rejects. */
  async start(): Promise<void> {
    try {
      const consumer = await this.#log.consume(this.#source.topic, {
        group: this.#source.group,
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
      const piece = this.#piece(due);
      const left = await this.#write(piece);
      if (this.#closed) return;
      if (left.length > 0) await this.#pause();
      if (this.#closed) return;
      due = [...left, ...due.slice(piece.length)];
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
        const concerned = this.#concerns(payload);
        if (concerned.length > 0) this.taken++;
        for (const partition of concerned) due.push({ partition, payload });
      }
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      this.#logger.error(`a frame of ${this.#source.what} cannot be read and is passed over`, {
        reason: error.message,
      });
    }
    return due;
  }

  /** Empty for what cannot be read. */
  #concerns(payload: Uint8Array): readonly number[] {
    try {
      return this.#source.concerns(payload, this.#batcher.partitions);
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      const { what } = this.#source;
      this.#logger.error(`one of the ${what} cannot be read and is passed over`, { reason: error.message });
      return [];
    }
  }

  /** As many as fill a frame: devices' messages wait beside them, and what a door holds stays within its bound. */
  #piece(due: readonly Due[]): readonly Due[] {
    let bytes = 0;
    const end = due.findIndex(({ payload }) => {
      bytes += payload.length;
      return bytes > this.#batcher.notedBytesMax;
    });
    return end < 0 ? due : due.slice(0, Math.max(1, end));
  }

  /** Resolves with those that did not get onto the log, in their order. */
  async #write(due: readonly Due[]): Promise<Due[]> {
    const fates = due.map(
      ({ partition, payload }) =>
        new Promise<boolean>((resolve) => {
          this.#batcher.note(partition, this.#source.identity, payload).whenSettled((error) => resolve(error === null));
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
    this.#logger.warn(`${this.#source.what} cannot be taken for now`, { reason: error.message });
    const failed = this.#consumer;
    this.#consumer = null;
    void this.#pause().then(async () => {
      await failed?.close();
      if (!this.#closed) await this.start();
    });
  }
}

import type { Log } from '../log/log.ts';
import type { Clock } from '../model/clock.ts';
import { encodeIdentity, FrameBuilder } from '../model/frame.ts';
import { encodeOperation, OPERATION_TOPIC, type Operation } from '../model/operation.ts';
import { OPERATIONS } from '../model/topics.ts';

/** Operations are gathered into frames of about this size. */
const FRAME_BYTES = 256 * 1024;
const IDENTITY = encodeIdentity('', OPERATION_TOPIC);

/** Puts operations (model/operation.ts) on the log, from where doors take them into the telemetry partitions. */
export class OperationWriter {
  readonly #log: Log;
  readonly #clock: Clock;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Resolves when all of them are durable, in their order. Rejects with the log's error; some may be there then. */
  async append(operations: readonly Operation[]): Promise<void> {
    const builder = new FrameBuilder(4096);
    for (const operation of operations) {
      const payload = encodeOperation(operation);
      builder.append(this.#clock.nowMs(), IDENTITY, payload, 0, payload.length);
      if (builder.bytes >= FRAME_BYTES) await this.#log.append(OPERATIONS, 0, builder.finish());
    }
    if (builder.messages > 0) await this.#log.append(OPERATIONS, 0, builder.finish());
  }
}

/**
 * The log: named topics, each of a fixed number of partitions, each an ordered run of frames with offsets.
 *
 * Promises, the same for every engine and held by log/log.contract.ts:
 * - **Durable.** `append` resolves after the frame is durable (LMDB: committed and flushed; Kafka: acks=all). If it rejects
 *   with a retryable error the frame may or may not be there; the engine itself retries without doubling, so the caller treats
 *   a rejection as final for the frame and tells its devices nothing.
 * - **Ordered.** Frames appended to a partition one call after another (without waiting) are read back in the order of the calls.
 * - **Offsets** grow within a partition. They start at 0 and step by 1 on LMDB; on Kafka they may have holes. The next frame of a
 *   partition is always at an offset ≥ the last one + 1.
 * - **Back-pressure.** No call buffers without bound: `append` may be called while others are in flight, and the caller bounds
 *   how much; a consumer is given its next batch when its handler has resolved.
 * - **Errors** are SluiceError with codes LOG_*.
 */
export interface Log {
  /** Partition count of TELEMETRY and ALARMS. Stats topics have one partition. */
  readonly partitions: number;

  /**
   * Appends one frame and resolves with its offset when it is durable. `frame` is the log's until then: the caller does not
   * write to it. An empty frame is allowed. Rejects with LOG_NOT_WRITER on LMDB when the topic belongs to another process.
   */
  append(topic: string, partition: number, frame: Uint8Array): Promise<number>;

  /**
   * Frames of a partition from `offset` on: at least one if there is one, and no more than bytesMax of them beyond the first.
   * Resolves with an empty list at the end of the log. An offset below the first held one rejects with LOG_OFFSET_GONE.
   */
  read(topic: string, partition: number, offset: number, bytesMax: number): Promise<LogFrame[]>;

  /** First held offset and the offset that the next append gets. Equal when the partition holds nothing. */
  bounds(topic: string, partition: number): Promise<LogBounds>;

  /** The first offset whose frame was appended at or after `timeMs`; bounds.next when there is none. */
  offsetAt(topic: string, partition: number, timeMs: number): Promise<number>;

  /** The last frame of a partition, or null when it holds none. */
  last(topic: string, partition: number): Promise<LogFrame | null>;

  /**
   * Follows all partitions of a topic without a group: frames appended from now on (or from `from(partition)`) are given to
   * `onFrames`, in order for each partition, one call at a time for each partition. Wakes on append, does not poll for it.
   */
  tail(topic: string, options: TailOptions): Promise<LogTail>;

  /** Works at a topic as a member of a consumer group. */
  consume(topic: string, options: ConsumeOptions): Promise<LogConsumer>;

  /** Offset that a group committed for each partition, null where it has none. */
  committed(group: string, topic: string): Promise<(number | null)[]>;

  /** Waits for appends in flight, then lets go of everything. Later calls reject with LOG_CLOSED. Idempotent. */
  close(): Promise<void>;
}

export interface LogFrame {
  partition: number;
  offset: number;
  /** When the engine was given the frame, ms. */
  appendedMs: number;
  /** The frame. The reader's own, in an ArrayBuffer that no other frame shares: it may be kept, changed and transferred. */
  bytes: Uint8Array;
}

export interface LogBounds {
  first: number;
  next: number;
}

export interface TailOptions {
  /** Where to start in a partition; from the end when absent. */
  from?: (partition: number) => number | Promise<number>;
  onFrames(partition: number, frames: LogFrame[]): void | Promise<void>;
  /** A failure that the engine did not get over; the tail has ended. */
  onError(error: Error): void;
}

export interface LogTail {
  close(): Promise<void>;
}

export interface ConsumeOptions {
  group: string;
  /** Bound of one batch, bytes of frames (a single larger frame is still given). */
  bytesMax: number;
  /**
   * A partition was given to this member. Resolves with the offset to start at (from the caller's checkpoint), or null for
   * the group's committed offset, or the first held where there is none. No batch of the partition is given before that.
   */
  onAssign(partition: number): Promise<number | null>;
  /**
   * A partition is being taken away (rebalance, close). When this resolves another member may start on it; commits for it
   * that come later are refused or without effect.
   */
  onRevoke(partition: number): Promise<void>;
  /**
   * The next frames of a partition, in order. One call at a time for each partition, partitions independently of each other.
   * The next batch comes when this has resolved: resolve when ready for more, not when the work is done (see commit).
   */
  onBatch(partition: number, frames: LogFrame[]): Promise<void>;
  /** A failure that the engine did not get over; the consumer has ended. */
  onError(error: Error): void;
}

export interface LogConsumer {
  /** Records that everything before `offsetNext` is done with. Durable when resolved. */
  commit(partition: number, offsetNext: number): Promise<void>;
  /** Revokes everything and leaves the group. */
  close(): Promise<void>;
}

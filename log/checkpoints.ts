/**
 * Checkpoints: for each partition of a group the newest state of its processing, and the offset that it stands before.
 * Implementations: log/lmdb-checkpoints.ts (an environment of the processor's own) and log/kafka-checkpoints.ts (a compacted
 * topic, so that another processor can take the partition over). Held by log/checkpoints.contract.ts.
 */
export interface Checkpoints {
  /**
   * The newest complete checkpoint of a partition, or null when there is none. A damaged one (torn, bit-flipped: a checksum is
   * kept with the bytes) is passed over for the one before it, and reported through `onDamaged` of the implementation.
   */
  load(partition: number): Promise<Checkpoint | null>;
  /** Durable when resolved. `state` may be of any size from 0 to hundreds of MB; the previous checkpoint is kept as well. */
  save(partition: number, checkpoint: Checkpoint): Promise<void>;
  close(): Promise<void>;
}

export interface Checkpoint {
  /** The first offset that the state does not include. */
  offsetNext: number;
  state: Uint8Array;
}

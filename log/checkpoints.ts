import { SluiceError } from '../model/errors.ts';

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
  /**
   * The same for a state of which only what makes it out of the one before is given. `after` is the offset of that one, which must be the
   * last that was saved here by this object; otherwise, and when it cannot be built upon, this rejects with CHECKPOINT_APART (or
   * as `save` does), and the next is to be saved whole. A damaged change is passed over for what came before it.
   */
  saveChange(partition: number, change: CheckpointChange): Promise<void>;
  close(): Promise<void>;
}

export interface Checkpoint {
  /** The first offset that the state does not include. */
  offsetNext: number;
  state: Uint8Array;
}

export interface CheckpointChange {
  offsetNext: number;
  after: number;
  /** See model/patch.ts. */
  patch: Uint8Array;
  /** Length of the whole state. */
  stateBytes: number;
}

/** Changes upon one whole state, and their bytes as a part of it, before the whole is written anew. */
export const CHANGES_MAX = 128;
const CHANGE_BYTES_SHARE = 0.5;
const CHANGE_BYTES_MIN = 256 << 10;

/** Whether what lies upon a state of `stateBytes` has become so much that the whole is to be written again. */
export function isTooMuch(changes: number, changeBytes: number, stateBytes: number): boolean {
  return changes > CHANGES_MAX || changeBytes > Math.max(CHANGE_BYTES_MIN, stateBytes * CHANGE_BYTES_SHARE);
}

export function apart(partition: number, why: string): SluiceError {
  return new SluiceError(
    'CHECKPOINT_APART',
    `a change of the checkpoint of partition ${partition} was not saved: ${why}`,
  );
}

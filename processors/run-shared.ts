import type { Checkpoints } from '../log/checkpoints.ts';
import type { Log } from '../log/log.ts';
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { Store } from '../store/store.ts';
import type { BatchOutput } from './batch-output.ts';
import type { Inserter } from './inserter.ts';
import type { Room } from './room.ts';
import type { Slot } from './slots.ts';

/** What the partitions of a processor share. */
export interface RunShared {
  log: Log;
  checkpoints: Checkpoints;
  store: Store;
  inserter: Inserter;
  room: Room;
  /** What a batch has counted. */
  count(output: BatchOutput): void;
  clock: Clock;
  logger: Logger;
  /** Aborted when the processor gives up. */
  signal: AbortSignal;
  batchBytesMax: number;
  batchesMax: number;
  heldRowsMax: number;
  /** The part of a thread's time that checkpoints may take. */
  checkpointShareMax: number;
  /** How long a stop waits for what is under way. */
  drainMs: number;
  commit(partition: number, offsetNext: number): Promise<void>;
  /** The thread of a slot has died, or has lost its partitions. `epoch` tells which thread. */
  slotFailed(slot: Slot, epoch: number, error: unknown): void;
  fatal(error: unknown): void;
}

import type { LogFrame } from '../log/log.ts';
import type { Room } from './room.ts';

/** Frames on their way: through the thread, their events onto the log, and their rows into the store. */
export interface Batch {
  readonly offsetFirst: number;
  readonly offsetNext: number;
  readonly bytes: number;
  readonly appendedMs: number;
  /** The thread has worked at them. */
  decoded: boolean;
  /** What they gave for the log is on it. */
  told: boolean;
  /** Their rows have left the thread, where they gather for a while. */
  taken: boolean;
  /** Their rows are in the store. */
  stored: boolean;
}

const BATCH_BYTES_MIN = 1024;

/** What frames take of the room as one batch: their bytes, or what a batch of a few bytes costs. */
export function batchBytes(frames: readonly LogFrame[]): number {
  return frames.reduce((sum, frame) => sum + frame.bytes.length, BATCH_BYTES_MIN);
}

/** The batches of one partition that are under way, in the order of the log, and the room that they take. */
export class Batches {
  readonly #room: Room;
  #all: Batch[] = [];

  constructor(room: Room) {
    this.#room = room;
  }

  get count(): number {
    return this.#all.length;
  }

  /** Those that the thread has not answered. */
  get undecoded(): number {
    let count = 0;
    for (let i = this.#all.length - 1; i >= 0 && !this.#all[i].decoded; i--) count++;
    return count;
  }

  /** When the log was given the oldest frame that is under way; null when none is. */
  get oldestAppendedMs(): number | null {
    return this.#all[0]?.appendedMs ?? null;
  }

  /** `bytes`: what it takes of the room, which has it. */
  add(offsetFirst: number, offsetNext: number, bytes: number, appendedMs: number): Batch {
    const marks = { decoded: false, told: false, taken: false, stored: false };
    const batch = { offsetFirst, offsetNext, bytes, appendedMs, ...marks };
    this.#all.push(batch);
    this.#room.take(bytes);
    return batch;
  }

  /** The rows of all frames before an offset have left the thread: gives the batches that this is new of, oldest first. */
  take(offsetNext: number): Batch[] {
    const taken = this.#all.filter((batch) => !batch.taken && batch.offsetNext <= offsetNext);
    for (const batch of taken) batch.taken = true;
    return taken;
  }

  /** Lets go of the oldest ones that are done; gives the offset behind the last of them, or 0 when none is. */
  settle(): number {
    let bytes = 0;
    let count = 0;
    for (const batch of this.#all) {
      if (!batch.told || !batch.stored) break;
      bytes += batch.bytes;
      count++;
    }
    if (count === 0) return 0;
    const done = this.#all.splice(0, count);
    this.#room.give(bytes);
    return done[count - 1].offsetNext;
  }

  /** The thread is lost, and with it the rows that had not left it. */
  abandon(): void {
    const lost = this.#all.filter((batch) => !batch.taken);
    this.#all = this.#all.filter((batch) => batch.taken);
    this.#room.give(lost.reduce((sum, batch) => sum + batch.bytes, 0));
  }
}

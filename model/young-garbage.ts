import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What is asked of V8: bytes of buffers, bytes of its heap, a collection of the young heap, and how far the heap may grow. */
export interface Collector {
  read(): { bufferBytes: number; heapBytes: number };
  collectYoung(): void;
  /** How much larger than after a collection of everything the heap may be before the next, percent; 0 leaves it to V8. */
  allowGrowth(percent: number): void;
}

/**
 * Frees the buffers of frames, reads and blocks soon after their use, and by a cheap collection. To V8 a buffer of 64 KiB is an object of
 * a hundred bytes, so the young heap fills slowly, and the dead buffers count as growth of the old heap; which is small, and may
 * grow by a few MB only. A door that takes 100 MB/s marked its whole heap five times a second: half of its CPU
 * (docs/decisions/006-young-garbage.md). So a young collection, of about a millisecond, is asked for each time that 16 MiB have been
 * made, and as long as the heap is small it may grow to three times its size.
 *
 *     bytes of buffers    base ──── + 16 MiB ────▶ young collection ──▶ base …
 */
export class YoungGarbage {
  readonly #collector: Collector;
  #baseBytes: number;
  #seenBytes: number;
  #isSmall: boolean | null = null;

  constructor(collector: Collector = new V8Collector()) {
    this.#collector = collector;
    this.#baseBytes = collector.read().bufferBytes;
    this.#seenBytes = this.#baseBytes;
    this.check();
  }

  /**
   * Costs less than a microsecond when there is nothing to do. To be called often, at places where little is in use. Returns by how many
   * bytes the buffers have grown since the last call; less than 0 when some have been freed.
   */
  check(): number {
    const { bufferBytes, heapBytes } = this.#collector.read();
    const isSmall = heapBytes < SMALL_HEAP_BYTES;
    if (isSmall !== this.#isSmall) {
      this.#isSmall = isSmall;
      this.#collector.allowGrowth(isSmall ? SMALL_HEAP_GROWTH_PERCENT : 0);
    }
    // Of what a collection has freed V8 tells only with the next buffers that are made: the lowest seen since counts.
    if (bufferBytes < this.#baseBytes) this.#baseBytes = bufferBytes;
    else if (bufferBytes - this.#baseBytes >= YOUNG_BYTES_MAX) {
      this.#collector.collectYoung();
      this.#baseBytes = this.#collector.read().bufferBytes;
    }
    const grownBytes = bufferBytes - this.#seenBytes;
    this.#seenBytes = bufferBytes;
    return grownBytes;
  }
}

/** At 400 MB/s of buffers, 10 MB are made in between. */
const CHECK_MS_MIN = 25;
/** A process that begins to be busy makes as much as V8 lets it until the next check, once. */
const CHECK_MS_MAX = 250;
/** What may be made between two checks. */
const CHECK_BYTES = 2 * 2 ** 20;

/**
 * When to check again: each check wakes a process that has nothing to do, so they come only as often as buffers do.
 * `grownBytes` is what the check has told, after `sinceMs`, the time from the one before to this.
 */
export function nextCheckMs(grownBytes: number, sinceMs: number): number {
  // How much was made, if some was freed, is not known.
  if (grownBytes < 0) return Math.min(CHECK_MS_MAX, Math.max(CHECK_MS_MIN, sinceMs));
  return Math.min(CHECK_MS_MAX, Math.max(CHECK_MS_MIN, Math.floor((sinceMs * CHECK_BYTES) / (grownBytes + 1))));
}

/** Checks for as long as the process lives, which this alone does not keep alive. */
export function watchYoungGarbage(): void {
  const garbage = new YoungGarbage();
  let waitMs = CHECK_MS_MIN;
  const look = (): void => {
    waitMs = nextCheckMs(garbage.check(), waitMs);
    setTimeout(look, waitMs).unref();
  };
  look();
}

const MIB = 2 ** 20;
/** A quarter of the 64 MiB of buffers at which V8 collects everything in any case: checks come late, and some buffers are in use. */
const YOUNG_BYTES_MAX = 16 * MIB;
/** A larger heap has room for the buffers by V8's own rule, and three times its size would be too much. */
const SMALL_HEAP_BYTES = 64 * MIB;
const SMALL_HEAP_GROWTH_PERCENT = 200;

class V8Collector implements Collector {
  readonly #collect: (options: { type: 'minor' }) => void;

  constructor() {
    // The function is there in contexts made under the flag, and is V8's own.
    setFlagsFromString('--expose-gc');
    this.#collect = runInNewContext('gc');
  }

  read(): { bufferBytes: number; heapBytes: number } {
    const { external_memory: bufferBytes, used_heap_size: heapBytes } = getHeapStatistics();
    return { bufferBytes, heapBytes };
  }

  collectYoung(): void {
    this.#collect({ type: 'minor' });
  }

  /** Holds for all threads of the process from their next collection on. */
  allowGrowth(percent: number): void {
    setFlagsFromString(`--heap-growing-percent=${percent}`);
  }
}

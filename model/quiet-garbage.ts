import { Session } from 'node:inspector';
import { getHeapStatistics } from 'node:v8';

/** What is asked of the process and of V8: CPU time used, memory taken for the heap and in use there, and a collection of everything. */
export interface QuietCollector {
  read(): { cpuMs: number; heapBytes: number; usedBytes: number };
  /** Frees what can be freed, and gives the room back to the system; `done` is called when that has happened. */
  collectAll(done: () => void): void;
}

/**
 * Gives back memory that a busy time has left behind. V8 collects when something is allocated, so a process that has become quiet
 * keeps all that it ever took: after ten thousand connects in a few seconds a door kept half of its heap for nothing. So when the
 * process has been quiet for a while and its heap has grown, everything is collected once.
 *
 *     heap   base ──── + 16 MiB, and quiet for two checks ────▶ collection ──▶ base …
 *
 * That is a pause of some 2 ms for each MiB in use, so large heaps are left to V8, and a heap that cannot be made smaller is its
 * own new base: nothing is tried again until it has grown further.
 */
export class QuietGarbage {
  readonly #collector: QuietCollector;
  readonly #checkMs: number;
  #baseBytes = 0;
  #cpuMs: number;
  #quietChecks = 0;
  #collecting = false;

  /** `check` is to be called every `checkMs`. */
  constructor(checkMs: number, collector: QuietCollector = new InspectorCollector()) {
    this.#collector = collector;
    this.#checkMs = checkMs;
    this.#cpuMs = collector.read().cpuMs;
  }

  check(): void {
    const { cpuMs, heapBytes, usedBytes } = this.#collector.read();
    const isQuiet = cpuMs - this.#cpuMs < QUIET_CPU_SHARE * this.#checkMs;
    this.#cpuMs = cpuMs;
    this.#quietChecks = isQuiet ? this.#quietChecks + 1 : 0;
    if (heapBytes < this.#baseBytes) this.#baseBytes = heapBytes;
    if (this.#collecting || this.#quietChecks < QUIET_CHECKS || usedBytes > USED_BYTES_MAX) return;
    if (heapBytes - this.#baseBytes < GROWTH_BYTES) return;
    this.#collecting = true;
    this.#collector.collectAll(() => {
      this.#collecting = false;
      const after = this.#collector.read();
      this.#baseBytes = after.heapBytes;
      // What the collection took says nothing about what comes.
      this.#cpuMs = after.cpuMs;
    });
  }
}

const MIB = 2 ** 20;
const GROWTH_BYTES = 16 * MIB;
/** A pause of about a quarter of a second. */
const USED_BYTES_MAX = 128 * MIB;
/** Of one core. Ten thousand devices that send once a minute take less than a tenth of that. */
const QUIET_CPU_SHARE = 0.1;
const QUIET_CHECKS = 2;

/**
 * V8 gives room back, that of the young generation above all, in a collection for want of memory only, and the one way to ask for that is
 * the inspector's.
 */
class InspectorCollector implements QuietCollector {
  read(): { cpuMs: number; heapBytes: number; usedBytes: number } {
    const { user, system } = process.cpuUsage();
    const { total_heap_size: heapBytes, used_heap_size: usedBytes } = getHeapStatistics();
    return { cpuMs: (user + system) / 1000, heapBytes, usedBytes };
  }

  collectAll(done: () => void): void {
    const session = new Session();
    session.connect();
    session.post('HeapProfiler.collectGarbage', () => {
      // Inside of its own answer a session would wait for itself.
      setImmediate(() => session.disconnect());
      done();
    });
  }
}

import { fileURLToPath } from 'node:url';
import { move, Piscina, transferableSymbol, valueSymbol, workerData } from 'piscina';

/**
 * Worker threads with affinity: one pool of one thread for each slot, since the state of a partition lives in the thread
 * that works at it. The only file that knows Piscina.
 */
export interface ThreadOptions {
  workerFile: URL;
  /** Given to each thread once; see `slotData`. */
  data: unknown;
  /** Bound of a thread's heap, MiB. Typed arrays are outside of it. */
  heapMbMax: number;
}

/** A thread as its slot sees it. The simulation puts one of its own in its place. */
export interface Thread {
  /** Rejects when the thread dies, or the task throws. */
  run(task: unknown, options: { transferList: ArrayBuffer[] }): Promise<unknown>;
  destroy(): Promise<void>;
}

/** Tasks that are with the thread at a time; one more than it works at, so that it does not wait for the next. */
const OUTSTANDING_MAX = 2;

/**
 * One thread, which works at tasks one after another in the order of `run`. Piscina may put waiting tasks in another order,
 * so they wait here.
 */
export class Slot {
  /** Grows with each replacement of the thread. */
  epoch = 0;
  readonly #open: () => Thread;
  #thread: Thread;
  #outstanding = 0;
  #waiting: (() => void)[] = [];

  constructor(open: () => Thread) {
    this.#open = open;
    this.#thread = open();
  }

  /** Rejects when the thread dies, or the task throws. `soon` puts it in front of those that wait. */
  async run<Answer>(task: unknown, transfer: ArrayBuffer[], { soon = false } = {}): Promise<Answer> {
    const epoch = this.epoch;
    if (this.#outstanding >= OUTSTANDING_MAX || this.#waiting.length > 0) {
      await new Promise<void>((resolve) => {
        if (soon) this.#waiting.unshift(resolve);
        else this.#waiting.push(resolve);
      });
    } else this.#outstanding++;
    try {
      if (epoch !== this.epoch) throw new Error('the worker thread was replaced');
      return (await this.#thread.run(task, { transferList: transfer })) as Answer;
    } finally {
      const next = this.#waiting.shift();
      // The next one takes over the place of this one.
      if (next) next();
      else this.#outstanding--;
    }
  }

  /** Ends the thread and starts another, which knows nothing. Tasks that are under way reject. */
  async restart(): Promise<void> {
    this.epoch++;
    const before = this.#thread;
    this.#thread = this.#open();
    await before.destroy();
  }

  async close(): Promise<void> {
    this.epoch++;
    await this.#thread.destroy();
  }
}

export function openThread({ workerFile, data, heapMbMax }: ThreadOptions): Thread {
  const pool = new Piscina({
    filename: fileURLToPath(workerFile),
    name: 'run',
    minThreads: 1,
    maxThreads: 1,
    concurrentTasksPerWorker: OUTSTANDING_MAX,
    stricterFIFO: true,
    idleTimeout: Number.POSITIVE_INFINITY,
    recordTiming: false,
    workerData: data,
    // Messages leave much short-lived garbage at most in the plain decoder; a larger young generation collects it cheaply.
    resourceLimits: { maxYoungGenerationSizeMb: 64, maxOldGenerationSizeMb: heapMbMax },
  });
  // A thread that dies with no task under way: the next task finds a thread that knows nothing, and that starts the recovery.
  pool.on('error', () => {});
  return pool;
}

/** In a thread: what its slot was opened with. */
export function slotData<Data>(): Data {
  return workerData as Data;
}

/** In a thread: an answer whose buffers are moved to the main thread. */
export function moved<Value extends object>(value: Value, buffers: ArrayBuffer[]): Value {
  const carrier = {
    get [transferableSymbol](): ArrayBuffer[] {
      return buffers;
    },
    get [valueSymbol](): Value {
      return value;
    },
  };
  return move(carrier as never) as unknown as Value;
}

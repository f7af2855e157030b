import { fileURLToPath } from 'node:url';
import { move, Piscina, transferableSymbol, valueSymbol, workerData } from 'piscina';

/**
 * Worker threads with affinity: one pool of one thread for each slot, since the state of a partition lives in the thread
 * that works at it. The only file that knows Piscina.
 */
export interface ThreadOptions {
  workerFile: URL;
  wire: Wire;
  /** Given to each thread once; see `slotData`. */
  data: unknown;
  /** Bound of a thread's heap, MiB. Typed arrays are outside of it. */
  heapMbMax: number;
}

/** What tasks and answers are on their way between two threads. */
export interface Wire {
  encode(tasks: readonly unknown[]): { message: unknown; transfer: ArrayBuffer[] };
  decode(answer: unknown): readonly unknown[];
}

/** A thread as its slot sees it. The simulation puts one of its own in its place. */
export interface Thread {
  /** Works at tasks one after another; their answers, in order. Rejects when the thread dies, or a task throws. */
  run(tasks: readonly unknown[]): Promise<readonly unknown[]>;
  destroy(): Promise<void>;
}

/** What the slot wants to know of a task. */
export interface TaskOrder {
  /** Before those that wait, but for small ones: see `Slot`. */
  soon?: boolean;
  /** How much work it is, as bytes of frames; absent for what is never small. */
  bytes?: number;
}

/** Groups of tasks that are with the thread at a time; one more than it works at, so that it does not wait for the next. */
const OUTSTANDING_MAX = 2;
/** Bytes of frames of tasks that are given and answered together, about two milliseconds of work: all that one look at the log finds at half of capacity. */
const TOGETHER_BYTES_MAX = 256 * 1024;

interface Waiting {
  task: unknown;
  bytes: number;
  resolve: (answer: unknown) => void;
  reject: (error: unknown) => void;
}

/**
 * One thread, which works at tasks one after another in the order of `run`. Piscina may put waiting tasks in another order,
 * so they wait here.
 *
 * Small tasks that wait one behind the other are given to the thread together, since a message to a thread and back costs more than the
 * work of a small frame. Large ones go by themselves, so that the answer of one does not wait for the next. Of those that are to be done soon, which take
 * some ms each, small ones that wait are let through after each: an alarm does not wait for the rows of all partitions.
 */
export class Slot {
  /** Grows with each replacement of the thread. */
  epoch = 0;
  readonly #open: () => Thread;
  #thread: Thread;
  #outstanding = 0;
  #waiting: Waiting[] = [];
  #soon: Waiting[] = [];
  #soonLast = false;
  #scheduled = false;

  constructor(open: () => Thread) {
    this.#open = open;
    this.#thread = open();
  }

  /** Rejects when the thread dies or is replaced, or the task throws. */
  run<Answer>(task: unknown, order: TaskOrder = {}): Promise<Answer> {
    const { soon = false, bytes = Number.POSITIVE_INFINITY } = order;
    return new Promise<unknown>((resolve, reject) => {
      (soon ? this.#soon : this.#waiting).push({ task, bytes, resolve, reject });
      this.#schedule();
    }) as Promise<Answer>;
  }

  /** What is asked for in the same turn of the event loop is there first, so that it goes together. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      while (this.#outstanding < OUTSTANDING_MAX) {
        const group = this.#next();
        if (group.length === 0) return;
        this.#outstanding++;
        void this.#give(group);
      }
    });
  }

  #next(): Waiting[] {
    const isSmall = this.#waiting.length > 0 && this.#waiting[0].bytes <= TOGETHER_BYTES_MAX;
    if (this.#soon.length > 0 && !(this.#soonLast && isSmall)) {
      this.#soonLast = true;
      return this.#soon.splice(0, 1);
    }
    this.#soonLast = false;
    let count = 0;
    for (let bytes = 0; count < this.#waiting.length; count++) {
      bytes += this.#waiting[count].bytes;
      if (count > 0 && bytes > TOGETHER_BYTES_MAX) break;
    }
    return this.#waiting.splice(0, count);
  }

  async #give(group: readonly Waiting[]): Promise<void> {
    try {
      const answers = await this.#thread.run(group.map(({ task }) => task));
      for (let i = 0; i < group.length; i++) group[i].resolve(answers[i]);
    } catch (error) {
      for (const { reject } of group) reject(error);
    } finally {
      this.#outstanding--;
      this.#schedule();
    }
  }

  /** Ends the thread and starts another, which knows nothing. Tasks that are under way reject. */
  async restart(): Promise<void> {
    const before = this.#thread;
    this.#thread = this.#open();
    this.#rejectWaiting();
    await before.destroy();
  }

  async close(): Promise<void> {
    this.#rejectWaiting();
    await this.#thread.destroy();
  }

  /** They were meant for a thread that knows its partitions. */
  #rejectWaiting(): void {
    this.epoch++;
    const waiting = [...this.#soon.splice(0), ...this.#waiting.splice(0)];
    for (const { reject } of waiting) reject(new Error('the worker thread was replaced'));
  }
}

export function openThread({ workerFile, wire, data, heapMbMax }: ThreadOptions): Thread {
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
  return {
    async run(tasks) {
      const { message, transfer } = wire.encode(tasks);
      return wire.decode(await pool.run(message, { transferList: transfer }));
    },
    destroy: () => pool.destroy(),
  };
}

/** In a thread: what its slot was opened with. */
export function slotData<Data>(): Data {
  return workerData as Data;
}

/** In a thread: an answer whose buffers are moved to the main thread. */
export function moved<Value extends object>(value: Value, buffers: ArrayBuffer[]): Value {
  return buffers.length === 0 ? value : (move(new Carrier(value, buffers) as never) as unknown as Value);
}

/** As Piscina wants it. A class, since an object literal with such getters is made anew from the ground up each time. */
class Carrier {
  readonly #value: object;
  readonly #buffers: ArrayBuffer[];

  constructor(value: object, buffers: ArrayBuffer[]) {
    this.#value = value;
    this.#buffers = buffers;
  }

  get [transferableSymbol](): ArrayBuffer[] {
    return this.#buffers;
  }

  get [valueSymbol](): object {
    return this.#value;
  }
}

import { createHash } from 'node:crypto';
import type { Clock } from '../model/clock.ts';
import { releaseBuffer } from '../model/release-buffer.ts';
import { mergeReadings } from '../store/blocks.ts';
import type { Store, TableName } from '../store/store.ts';
import { type BatchOutput, TABLES } from './batch-output.ts';

/** A batch on its way to the store. */
export interface Insertion {
  partition: number;
  offsetFirst: number;
  offsetNext: number;
  /** When the log was given the first frame; tells equal offsets of two logs apart. */
  appendedMs: number;
  output: BatchOutput;
}

export interface InserterOptions {
  store: Store;
  clock: Clock;
  /** Rows of readings that one insert carries at most (a single larger batch is still inserted). */
  rowsMax: number;
  /** How long an insert waits for company. */
  lingerMs: number;
  /** Inserts begin no more often than this, unless there are rowsMax: each makes a part that the store has to merge. */
  intervalMs: number;
  signal: AbortSignal;
}

/** Rows that gather in a thread until they are asked for. */
export interface RowSource {
  /** Asks for them; they have been given to `add` when it resolves, or will never be. Never rejects. */
  collect(): Promise<void>;
}

interface Waiting extends Insertion {
  resolve: () => void;
  reject: (error: unknown) => void;
}

/** The last part of the interval between inserts, over which the collecting of many rows is spread. */
const COLLECT_SHARE = 0.3;
/** So many rows are collected at once: a thread has them together in a millisecond or two. */
const AT_ONCE_ROWS_MAX = 16_384;

/**
 * Puts batches of all partitions into the store, those that wait together in one insert for each table, one insert after another; so
 * the rows of a partition arrive in order, and blocks are large when there is much to do. Rows that are announced stay where they are until
 * an insert begins, and then make one block for each partition. Nothing is bounded here: the caller bounds
 * what is under way. While the store is away the insert under way waits for it, and everything waits behind it.
 */
export class Inserter {
  /** Rows that are in the store. */
  rowsStored = 0;
  readonly #options: InserterOptions;
  #waiting: Waiting[] = [];
  #waitingRows = 0;
  readonly #announced = new Map<RowSource, number>();
  #announcedRows = 0;
  #running = false;
  #beganMs = Number.NEGATIVE_INFINITY;
  #wake: (() => void) | null = null;
  #hurried = false;

  constructor(options: InserterOptions) {
    this.#options = options;
  }

  /** Resolves when all rows of the batch are in the store. The caller keeps batches of a partition in order. */
  add(insertion: Insertion): Promise<void> {
    if (TABLES.every((table) => insertion.output.rows[table] === 0)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...insertion, resolve, reject });
      this.#waitingRows += insertion.output.rows.readings;
      this.#someMore();
    });
  }

  /** There are so many rows to be collected; none withdraws what was announced. */
  announce(source: RowSource, rows: number): void {
    this.#announcedRows += rows - (this.#announced.get(source) ?? 0);
    if (rows === 0) this.#announced.delete(source);
    else this.#announced.set(source, rows);
    if (rows > 0) this.#someMore();
  }

  #someMore(): void {
    if (this.#isEnough()) this.hurry();
    if (!this.#running) void this.#run();
  }

  #isEnough(): boolean {
    return this.#waitingRows + this.#announcedRows >= this.#options.rowsMax;
  }

  /** Somebody waits for room: what waits is inserted now. */
  hurry(): void {
    this.#hurried = true;
    this.#wake?.();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0 || this.#announced.size > 0) {
      await this.#linger();
      await this.#collect();
      this.#hurried = false;
      this.#beganMs = this.#options.clock.nowMs();
      const together = this.#takeTogether();
      try {
        for (const table of TABLES) await this.#insert(table, together);
        for (const one of together) one.resolve();
      } catch (error) {
        for (const one of together) one.reject(error);
      }
    }
    this.#running = false;
  }

  /** Until rows are to be collected, which takes the last part of the interval. */
  #linger(): Promise<void> {
    const { lingerMs, intervalMs } = this.#options;
    return this.#pause(Math.max(lingerMs, this.#leftMs() - intervalMs * COLLECT_SHARE));
  }

  /** Until the next insert is to begin. */
  #leftMs(): number {
    const { clock, intervalMs } = this.#options;
    // A clock that was set back must not make rows wait for it to come to where it was.
    return Math.max(0, Math.min(intervalMs, this.#beganMs + intervalMs - clock.nowMs()));
  }

  /**
   * As many as one insert carries, those that were announced first before the others. The rows of a partition are some ms of work for its thread: many
   * are asked for one partition after another, so that frames and their alarms do not wait for all of them. Few are, and all when an insert is full, at once.
   */
  async #collect(): Promise<void> {
    const restMs = () => Math.min(this.#leftMs(), this.#options.intervalMs * COLLECT_SHARE);
    if (this.#announcedRows <= AT_ONCE_ROWS_MAX) await this.#pause(restMs());
    const sources: RowSource[] = [];
    let rows = this.#waitingRows;
    for (const [source, announced] of this.#announced) {
      if (rows > 0 && rows + announced > this.#options.rowsMax) break;
      sources.push(source);
      rows += announced;
    }
    const pauseMs = restMs() / sources.length;
    const collected: Promise<void>[] = [];
    for (const source of sources) {
      // It may have given its rows, or have lost them, while others were asked.
      if (this.#announced.has(source)) {
        this.announce(source, 0);
        collected.push(source.collect());
      }
      await this.#pause(pauseMs);
    }
    await Promise.all(collected);
  }

  /** Ends early when an insert is full or somebody hurries, and then there is none until that insert begins. */
  #pause(ms: number): Promise<void> {
    const { clock, signal } = this.#options;
    if (this.#isEnough()) this.#hurried = true;
    if (ms <= 0 || this.#hurried || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = clock.after(ms, () => this.#wake?.());
      this.#wake = () => {
        timer.cancel();
        this.#wake = null;
        resolve();
      };
    });
  }

  #takeTogether(): Waiting[] {
    let rows = 0;
    let count = 0;
    for (const { output } of this.#waiting) {
      if (count > 0 && rows + output.rows.readings > this.#options.rowsMax) break;
      rows += output.rows.readings;
      count++;
    }
    this.#waitingRows -= rows;
    return this.#waiting.splice(0, count);
  }

  async #insert(table: TableName, together: readonly Waiting[]): Promise<void> {
    const some = together.filter(({ output }) => output.rows[table] > 0);
    if (some.length === 0) return;
    const blocks = table === 'readings' ? await oneBlock(some) : some.flatMap(({ output }) => output.blocks[table]);
    const { store, signal } = this.#options;
    const isLarge = table === 'readings';
    await store.insert(table, blocks, { token: tokenOf(table, some), signal, release: isLarge });
    if (isLarge) for (const { output } of some) this.rowsStored += output.rows.readings;
  }
}

/** Sorted as a whole where that pays; what it was made of is given back before the store has it. */
async function oneBlock(together: readonly Insertion[]): Promise<readonly Uint8Array<ArrayBuffer>[]> {
  const blocks = together.flatMap(({ output }) => output.blocks.readings);
  const merged = await mergeReadings(blocks);
  if (merged !== blocks) for (const block of blocks) releaseBuffer(block);
  return merged;
}

/**
 * A token says: these rows and no others. It is made of the ranges of the log that the rows came from, when those were
 * appended, and how many rows each gave, since a replay of a range may leave rows out.
 */
function tokenOf(table: TableName, together: readonly Insertion[]): string {
  const hash = createHash('sha256');
  for (const { partition, offsetFirst, offsetNext, appendedMs, output } of together) {
    hash.update(`${partition}:${offsetFirst}:${offsetNext}:${appendedMs}:${output.rows[table]};`);
  }
  const { partition, offsetFirst, offsetNext } = together[0];
  return `${table}-${partition}-${offsetFirst}-${offsetNext}-${hash.digest('hex').slice(0, 32)}`;
}

import type { Checkpoints } from '../log/checkpoints.ts';
import type { Log } from '../log/log.ts';
import type { Clock, TimerHandle } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { ProcessorStats, StateStats } from '../model/stats.ts';
import { TELEMETRY } from '../model/topics.ts';
import type { Store } from '../store/store.ts';
import { addCounts, noCounts } from './batch-output.ts';
import { Inserter } from './inserter.ts';
import { NotTakenCounts } from './not-taken.ts';
import { PartitionRun } from './partition-run.ts';
import type { PipelineOptions } from './pipeline.ts';
import { Room } from './room.ts';
import type { RunShared } from './run-shared.ts';
import { openThread, Slot, type Thread, type Wire } from './slots.ts';
import { type AnswerMessage, decodeAnswers, encodeTasks } from './task-wire.ts';
import type { Task } from './tasks.ts';

export interface ProcessorOptions extends PipelineOptions {
  log: Log;
  checkpoints: Checkpoints;
  store: Store;
  group: string;
  /** Worker threads; partition p belongs to thread p mod workers. */
  workers: number;
  /** The compiled worker.js. */
  workerFile: URL;
  /** How a slot gets its thread; Piscina with `workerFile` unless told otherwise. */
  openThread?: (data: PipelineOptions) => Thread;
  checkpointMs: number;
  /** Bytes of frames of one batch. */
  batchBytesMax: number;
  clock: Clock;
  logger: Logger;
  tuning?: Partial<ProcessorTuning>;
}

export interface ProcessorTuning {
  /** Frames under way, of all partitions, bytes. */
  inFlightBytesMax: number;
  /** Batches of one partition that are with its thread; frames that come meanwhile make the next ones larger. */
  batchesMax: number;
  /** Rows of one partition that stay with its thread until an insert begins. */
  heldRowsMax: number;
  insertRowsMax: number;
  insertLingerMs: number;
  insertIntervalMs: number;
  /** How long a close or a rebalance waits for what is under way. */
  drainMs: number;
  workerHeapMbMax: number;
  /** The part of a thread's time that checkpoints may take; they come further apart then. */
  checkpointShareMax: number;
}

/**
 * A row is 25 to 35 bytes of a message: 96 MiB of frames are three million rows under way at most, enough for an insert and two seconds of those behind
 * it. Larger inserts make fewer parts, and each row is merged less often (docs/decisions/007-large-inserts.md); a million rows are the most
 * that ClickHouse puts into one part (`min_insert_block_size_rows`), so that an insert is one. With less to do inserts begin once a second, which
 * is what ClickHouse's own documents advise: an insert of a few rows costs the embedded engine 10 ms of CPU, and its part a merge.
 */
const TUNING: ProcessorTuning = {
  inFlightBytesMax: 96 * 1024 * 1024,
  batchesMax: 2,
  heldRowsMax: 131_072,
  insertRowsMax: 1_000_000,
  insertLingerMs: 5,
  insertIntervalMs: 1_000,
  drainMs: 15_000,
  workerHeapMbMax: 2048,
  checkpointShareMax: 0.05,
};

const LAG_REFRESH_MS = 1000;

const WIRE: Wire = {
  encode: (tasks) => encodeTasks(tasks as readonly Task[]),
  decode: (answer) => decodeAnswers(answer as AnswerMessage),
};

/** The options as threads are given them, each by name: one that were forgotten would count offline and not in a processor. */
type EveryPipelineOption = { [Name in keyof Required<PipelineOptions>]: PipelineOptions[Name] };

/** Counters of model/stats.ts, and what only this role knows. */
export type ProcessorCounters = Omit<ProcessorStats, 'role' | 'instance' | 'startedMs' | 'atMs'> & {
  /** Readings whose ts was too far ahead of the time received. */
  readingsAhead: number;
  readingsBeyond: number;
  readingsDerived: number;
  derivedUnknown: number;
};

export interface Processor {
  stats(): ProcessorCounters;
  /** Resolves with the reason when it cannot go on; never otherwise. Close it then. */
  readonly failed: Promise<Error>;
  /** Takes no more frames, finishes what is under way (for drainMs at most), saves, commits, ends the threads. Idempotent. */
  close(): Promise<void>;
}

/**
 * Works at TELEMETRY as a member of a group: batches of frames go to the thread of their partition, what comes back goes into
 * the store and onto ALARMS, and what is done is saved and committed. The protocol is in ARCHITECTURE.md, "Effectively once".
 */
export async function startProcessor(options: ProcessorOptions): Promise<Processor> {
  const processor = new RunningProcessor(options);
  await processor.open();
  return processor;
}

class RunningProcessor implements Processor {
  readonly failed: Promise<Error>;
  readonly #options: ProcessorOptions;
  readonly #shared: RunShared;
  readonly #slots: Slot[];
  readonly #runs = new Map<number, PartitionRun>();
  readonly #giveUp = new AbortController();
  #fail!: (error: Error) => void;
  #consumer: Awaited<ReturnType<Log['consume']>> | null = null;
  #timers = new Map<string, TimerHandle>();
  #running = true;
  #closing: Promise<void> | null = null;
  readonly #counts = noCounts();
  readonly #notTaken: NotTakenCounts;
  #workersRestarted = 0;
  #lagFrames = 0;

  constructor(options: ProcessorOptions) {
    this.#options = options;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    const tuning = { ...TUNING, ...options.tuning };
    const { log, checkpoints, store, clock, logger, batchBytesMax } = options;
    this.#notTaken = new NotTakenCounts(logger);
    const { payload, windows, rules, maintenance, derived, limits, clockSkewMaxMs, idleMs, ledgerMs, seq } = options;
    const { seriesMax, stateTtlMs } = options;
    const own = { limits, seriesMax, stateTtlMs, clockSkewMaxMs, idleMs, ledgerMs, seq, partitions: log.partitions };
    const data: EveryPipelineOption = { payload, windows, rules, maintenance, derived, ...own };
    const { workerFile } = options;
    const open =
      options.openThread ?? (() => openThread({ workerFile, wire: WIRE, data, heapMbMax: tuning.workerHeapMbMax }));
    this.#slots = Array.from({ length: options.workers }, () => new Slot(() => open(data)));
    const signal = this.#giveUp.signal;
    this.#shared = {
      log,
      checkpoints,
      store,
      clock,
      logger,
      signal,
      batchBytesMax,
      batchesMax: tuning.batchesMax,
      heldRowsMax: tuning.heldRowsMax,
      checkpointShareMax: tuning.checkpointShareMax,
      drainMs: tuning.drainMs,
      inserter: new Inserter({
        store,
        clock,
        rowsMax: tuning.insertRowsMax,
        lingerMs: tuning.insertLingerMs,
        intervalMs: tuning.insertIntervalMs,
        signal,
      }),
      room: new Room(tuning.inFlightBytesMax),
      count: ({ counts, notTaken }) => {
        addCounts(this.#counts, counts);
        this.#notTaken.add(notTaken);
      },
      commit: async (partition, offsetNext) => {
        await this.#consumer?.commit(partition, offsetNext);
      },
      slotFailed: (slot, epoch, error) => this.#slotFailed(slot, epoch, error),
      fatal: (error) => this.#fatal(error),
    };
  }

  async open(): Promise<void> {
    const { log, group, batchBytesMax, checkpointMs } = this.#options;
    this.#consumer = await log.consume(TELEMETRY, {
      group,
      bytesMax: batchBytesMax,
      onAssign: async (partition) => {
        const run = new PartitionRun(partition, this.#slots[partition % this.#slots.length], this.#shared);
        const offset = await run.begin();
        this.#runs.set(partition, run);
        return offset;
      },
      onRevoke: async (partition) => {
        const run = this.#runs.get(partition);
        await run?.stop();
        this.#runs.delete(partition);
      },
      onBatch: async (partition, frames) => {
        await this.#runs.get(partition)?.feed(frames);
      },
      onError: (error) => this.#fatal(error),
    });
    this.#every('checkpoint', checkpointMs, () => {
      for (const run of this.#runs.values()) run.checkpointIfDue();
    });
    this.#every('lag', LAG_REFRESH_MS, () => void this.#measureLag());
  }

  stats(): ProcessorCounters {
    const nowMs = this.#options.clock.nowMs();
    let oldestMs = nowMs;
    for (const run of this.#runs.values()) oldestMs = Math.min(oldestMs, run.oldestAppendedMs ?? nowMs);
    return {
      ...this.#counts,
      running: this.#running,
      partitions: [...this.#runs.keys()].sort((a, b) => a - b),
      readingsStored: this.#shared.inserter.rowsStored,
      windowReadingsBeyond: this.#notTaken.by('ofSeries'),
      windowReadingsDisplaced: this.#notTaken.by('ofReadings'),
      state: this.#stateStats(),
      lagFrames: this.#lagFrames,
      lagMs: nowMs - oldestMs,
      workersRestarted: this.#workersRestarted,
    };
  }

  /** Of the partitions that it works at, as of their last checkpoints. */
  #stateStats(): StateStats {
    // Names of the settings are keys here, whatever they are.
    const stats = {
      devices: 0,
      series: 0,
      partitionsFull: 0,
      bytes: Object.create(null) as Record<string, number>,
      windowsOpen: Object.create(null) as Record<string, number>,
      windowSeries: Object.create(null) as Record<string, number>,
      windowSeriesBeyond: Object.create(null) as Record<string, number>,
    };
    const add = (into: Record<string, number>, from: ReadonlyMap<string, number>): void => {
      for (const [name, value] of from) into[name] = (into[name] ?? 0) + value;
    };
    for (const { sizes } of this.#runs.values()) {
      if (sizes === null) continue;
      stats.devices += sizes.devices;
      stats.series += sizes.series;
      if (sizes.series >= (this.#options.seriesMax ?? Number.POSITIVE_INFINITY)) stats.partitionsFull++;
      add(stats.bytes, sizes.bytes);
      add(stats.windowsOpen, sizes.windowsOpen);
      add(stats.windowSeries, sizes.windowSeries);
      add(stats.windowSeriesBeyond, sizes.windowSeriesBeyond);
    }
    return stats;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#running = false;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    await this.#consumer?.close();
    this.#giveUp.abort();
    await Promise.all(this.#slots.map((slot) => slot.close()));
  }

  #every(name: string, intervalMs: number, run: () => void): void {
    const again = () => {
      if (!this.#running) return;
      run();
      this.#timers.set(name, this.#options.clock.after(intervalMs, again));
    };
    this.#timers.set(name, this.#options.clock.after(intervalMs, again));
  }

  async #measureLag(): Promise<void> {
    const { log, logger } = this.#options;
    try {
      const runs = [...this.#runs.values()];
      const bounds = await Promise.all(runs.map((run) => log.bounds(TELEMETRY, run.partition)));
      this.#lagFrames = runs.reduce((sum, run, i) => sum + Math.max(0, bounds[i].next - run.storedNext), 0);
    } catch (error) {
      logger.debug('the lag is not known', { error: String(error) });
    }
  }

  #slotFailed(slot: Slot, epoch: number, error: unknown): void {
    // Every task of a dead thread reports it; the first report counts.
    if (slot.epoch !== epoch || !this.#running) return;
    this.#workersRestarted++;
    const number = this.#slots.indexOf(slot);
    this.#options.logger.error('a worker died and is replaced', { worker: number, error: String(error) });
    slot.restart().catch((cause) => this.#fatal(cause));
    for (const run of this.#runs.values()) if (run.slot === slot) run.recover();
  }

  #fatal(error: unknown): void {
    if (this.#giveUp.signal.aborted) return;
    this.#running = false;
    this.#giveUp.abort();
    this.#shared.room.changed();
    this.#fail(error instanceof Error ? error : new Error(String(error)));
  }
}

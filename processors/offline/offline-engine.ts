import type { AlarmEvent } from '../../model/alarm.ts';
import { partitionOfResult } from '../../model/group-result.ts';
import type { Reading } from '../../model/reading.ts';
import type { Rollup } from '../../model/rollup.ts';
import { judgedGroups, needsFacts } from '../../model/rule-facts.ts';
import type { Told } from '../../model/told.ts';
import type { QuarantineRow, SeriesNames } from '../../store/blocks.ts';
import type { Blocks } from '../batch-builder.ts';
import { addCounts, type BatchCounts, noCounts } from '../batch-output.ts';
import { isGroupSpec } from '../groups/group-window.ts';
import { type EmitGroup, GroupMerge } from '../groups/merge.ts';
import { decodePartial } from '../groups/partial.ts';
import { PartitionPipeline, type PipelineOptions } from '../pipeline.ts';

/** A frame of the log, or of what stands in for it. Offsets of a partition ascend. */
export interface OfflineFrame {
  partition: number;
  offset: number;
  bytes: Uint8Array;
}

/** Who is told of what comes out, while its frame is worked at. */
export interface OfflineSinks {
  onRollup?(rollup: Rollup, partition: number): void;
  onAlarmEvent?(event: AlarmEvent): void;
  onQuarantine?(row: QuarantineRow): void;
  onReading?(reading: Reading): void;
}

/** Frames of a partition after which it is relieved of what it has gathered. */
const FRAMES_PER_BATCH = 256;

/** The ledger's rows are told to nobody here, and making them takes time. */
const LEDGER_MS = 600_000;

interface Open {
  pipeline: PartitionPipeline;
  frames: number;
}

/**
 * The engine without a log and a store: frames of any number of partitions go through the same pipelines as in a processor, in this
 * thread, and what comes out is told instead of stored. Rows are not encoded; all else is the same code, so that the same frames give
 * the same rollups and the same alarm events. It holds the state of the partitions and nothing of the frames.
 */
export class OfflineEngine {
  /** What has been counted up to the last `flush`. */
  readonly counts: BatchCounts = noCounts();
  readonly #options: PipelineOptions;
  readonly #open = new Map<number, Open>();
  readonly #blocks: Blocks;
  /** Merges what the partitions tell of the windows of groups; null where nobody asks for them. */
  readonly #groups: { merge: GroupMerge; emit: EmitGroup } | null;
  readonly #framesPerBatch: number;
  /** By partition: what the others have told since its last frame. */
  readonly #told: Told[][];

  /** `partitions`: how many there are, which windows of groups wait for, and which alarms look at together. */
  constructor(options: PipelineOptions, sinks: OfflineSinks, partitions = 1) {
    this.#options = { ...options, partitions, ledgerMs: LEDGER_MS };
    this.#told = Array.from({ length: partitions }, () => []);
    this.#blocks = blocksOf(sinks);
    const { onRollup } = sinks;
    const judged = judgedGroups(options.rules, options.windows);
    const grouped = judged.size > 0 || (onRollup !== undefined && options.windows.some(isGroupSpec));
    const emit: EmitGroup = (rollup, definition) => {
      onRollup?.(rollup, 0);
      if (!judged.has(rollup.window)) return;
      const result = { kind: 'rollup', definition, rollup } as const;
      this.#told[partitionOfResult(result, partitions)].push(result);
    };
    this.#groups = grouped ? { merge: new GroupMerge(options.windows, partitions), emit } : null;
    // What the partitions tell is merged, and told the others, frame by frame.
    this.#framesPerBatch = grouped || (partitions > 1 && needsFacts(options.rules)) ? 1 : FRAMES_PER_BATCH;
  }

  /** Works at a frame; the next of its partition has a larger offset. */
  process({ partition, offset, bytes }: OfflineFrame): void {
    let open = this.#open.get(partition);
    if (open === undefined) {
      open = { pipeline: this.#begin(partition), frames: 0 };
      this.#open.set(partition, open);
    }
    open.pipeline.process(offset, bytes, null, true, this.#told[partition]?.splice(0));
    if (++open.frames >= this.#framesPerBatch) this.#take(open);
  }

  /** Counts what has come since the last look. */
  flush(): void {
    for (const open of this.#open.values()) this.#take(open);
  }

  /** The state of a partition, to ask it things; null when it has had no frame. */
  pipeline(partition: number): PartitionPipeline | null {
    return this.#open.get(partition)?.pipeline ?? null;
  }

  #begin(partition: number): PartitionPipeline {
    return new PartitionPipeline(partition, this.#options, { state: null, lastAlarm: null }, this.#blocks);
  }

  #take(open: Open): void {
    open.frames = 0;
    const { counts, partials, facts } = open.pipeline.take();
    for (const fact of facts) for (const told of this.#told) told.push(fact);
    addCounts(this.counts, counts);
    if (this.#groups === null || partials.length === 0) return;
    const { merge, emit } = this.#groups;
    for (const { bytes } of partials) merge.take(decodePartial(bytes), emit);
    merge.endFrame(emit);
  }
}

/** Runs all the frames and resolves with the counts. Memory is that of the engine's state, however many frames there are. */
export async function runOffline(
  run: {
    options: PipelineOptions;
    frames: AsyncIterable<OfflineFrame> | Iterable<OfflineFrame>;
    partitions?: number;
  } & OfflineSinks,
): Promise<BatchCounts> {
  const engine = new OfflineEngine(run.options, run, run.partitions);
  for await (const frame of run.frames) engine.process(frame);
  engine.flush();
  return engine.counts;
}

/** In the place of the store's blocks: nothing is kept, rows are passed on. */
function blocksOf({ onRollup, onAlarmEvent, onQuarantine, onReading }: OfflineSinks): Blocks {
  const passing = <Arguments extends unknown[]>(pass: ((...row: Arguments) => void) | undefined) => {
    const block = {
      rows: 0,
      add(...row: Arguments): void {
        block.rows++;
        pass?.(...row);
      },
      finish(): Uint8Array<ArrayBuffer>[] {
        block.rows = 0;
        return [];
      },
    };
    return block;
  };
  return {
    appendsEvents: false,
    readings: (names) => (onReading === undefined ? new CountedReadings() : readingsTo(names, onReading)),
    rollups: () => passing<[Rollup, number]>(onRollup),
    alarms: () => passing(undefined),
    alarmEvents: () => passing<[AlarmEvent]>(onAlarmEvent),
    quarantine: () => passing<[QuarantineRow]>(onQuarantine),
    ledger: () => passing(undefined),
    devices: () => passing(undefined),
  };
}

/** Readings that nobody asks for are only counted; this stands on the hot path. */
class CountedReadings {
  rows = 0;

  add(): void {
    this.rows++;
  }

  markLate(): void {}

  finish(): Uint8Array<ArrayBuffer>[] {
    this.rows = 0;
    return [];
  }
}

function readingsTo(names: SeriesNames, onReading: (reading: Reading) => void) {
  const counted = new CountedReadings();
  return Object.assign(counted, {
    add(series: number, tsMs: number, value: number, text: string, receivedMs: number): void {
      counted.rows++;
      onReading({ device: names.device(series), metric: names.metric(series), tsMs, value, text, receivedMs });
    },
  });
}

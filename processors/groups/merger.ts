import type { Checkpoints } from '../../log/checkpoints.ts';
import type { Log, LogConsumer, LogFrame } from '../../log/log.ts';
import type { Clock, TimerHandle } from '../../model/clock.ts';
import { SluiceError } from '../../model/errors.ts';
import { FrameReader } from '../../model/frame.ts';
import type { Logger } from '../../model/logger.ts';
import type { Told } from '../../model/told.ts';
import { FACTS, PARTIALS } from '../../model/topics.ts';
import type { WindowSpec } from '../../model/window.ts';
import { RollupsBlock } from '../../store/blocks.ts';
import type { Store } from '../../store/store.ts';
import { factFrames } from '../alarms/fact-frames.ts';
import { untilDone } from '../retry.ts';
import { type EmitGroup, GroupMerge } from './merge.ts';
import { decodePartial } from './partial.ts';

export interface MergerOptions {
  log: Log;
  /** Of the merges alone, by partition of PARTIALS. */
  checkpoints: Checkpoints;
  store: Store;
  windows: readonly WindowSpec[];
  /** Windows that alarm rules look at: their results are told on FACTS as well. */
  judged: ReadonlySet<string>;
  group: string;
  checkpointMs: number;
  batchBytesMax: number;
  clock: Clock;
  logger: Logger;
}

export interface Merger {
  /** Resolves with the reason when it cannot go on; never otherwise. */
  readonly failed: Promise<Error>;
  /** Rollups given to the store. */
  readonly rollups: number;
  /** Finishes what is under way, saves, commits. Idempotent. */
  close(): Promise<void>;
}

interface MergeRun {
  merge: GroupMerge;
  offsetNext: number;
  savedNext: number;
  /** What is under way: frames one batch after another, and saves between them. */
  turn: Promise<void>;
}

/**
 * Merges the windows of groups as a member of a consumer group at PARTIALS. What comes of a batch is told to alarm rules and is in the
 * store before the next is taken, and a checkpoint is saved between batches. So after a kill the frames since it are merged again
 * and give the same rows, which replace themselves by their key, and the same results, whose revisions rules have seen.
 */
export async function startMerger(options: MergerOptions): Promise<Merger> {
  const { log, checkpoints, windows, logger, clock } = options;
  const runs = new Map<number, MergeRun>();
  const abort = new AbortController();
  let fail!: (error: Error) => void;
  const failed = new Promise<Error>((resolve) => {
    fail = resolve;
  });
  const fatal = (error: unknown): void => {
    abort.abort();
    fail(error instanceof Error ? error : new Error(String(error)));
  };
  let consumer: LogConsumer | null = null;
  let rollups = 0;

  const save = async (partition: number, run: MergeRun): Promise<void> => {
    if (run.offsetNext === run.savedNext) return;
    const { offsetNext } = run;
    await checkpoints.save(partition, { offsetNext, state: run.merge.save() });
    run.savedNext = offsetNext;
    await consumer?.commit(partition, offsetNext);
  };
  const saveInTurn = (partition: number, run: MergeRun): Promise<void> => {
    run.turn = run.turn
      .then(() => save(partition, run))
      .catch((error) => logger.warn('no checkpoint of a merge this time', { partition, error: String(error) }));
    return run.turn;
  };

  const begin = async (partition: number): Promise<number> => {
    const [checkpoint, bounds] = await Promise.all([checkpoints.load(partition), log.bounds(PARTIALS, partition)]);
    let merge = new GroupMerge(windows, log.partitions);
    let offset = bounds.first;
    if (checkpoint !== null && checkpoint.offsetNext <= bounds.next) {
      try {
        merge.restore(checkpoint.state);
        offset = Math.max(offset, checkpoint.offsetNext);
      } catch (error) {
        if (!(error instanceof SluiceError) || error.code !== 'CHECKPOINT_UNREADABLE') throw error;
        logger.error('the checkpoint of a merge cannot be read', { partition, why: error.message });
        merge = new GroupMerge(windows, log.partitions);
      }
    }
    runs.set(partition, { merge, offsetNext: offset, savedNext: offset, turn: Promise.resolve() });
    return offset;
  };

  const work = async (partition: number, run: MergeRun, frames: readonly LogFrame[]): Promise<void> => {
    const fresh = frames.filter(({ offset }) => offset >= run.offsetNext);
    if (fresh.length === 0) return;
    const block = new RollupsBlock();
    const told: Told[] = [];
    const emit: EmitGroup = (rollup, definition) => {
      block.add(rollup, partition);
      if (options.judged.has(rollup.window)) told.push({ kind: 'rollup', definition, rollup });
    };
    for (const { bytes } of fresh) mergeFrame(run.merge, bytes, emit);
    for (const frame of factFrames(told)) {
      const append = () => log.append(FACTS, partition, frame);
      await untilDone('telling results of groups', append, { clock, logger, signal: abort.signal });
    }
    const first = fresh[0].offset;
    const last = fresh[fresh.length - 1].offset;
    const rows = block.rows;
    if (rows > 0) {
      const token = `groups-${partition}-${first}-${last}-${fresh[0].appendedMs}`;
      const blocks = block.finish();
      const insert = () => options.store.insert('rollups', blocks, { token, signal: abort.signal });
      await untilDone('storing rollups of groups', insert, { clock, logger, signal: abort.signal });
    }
    rollups += rows;
    run.offsetNext = last + 1;
  };

  consumer = await log.consume(PARTIALS, {
    group: options.group,
    bytesMax: options.batchBytesMax,
    onAssign: begin,
    onRevoke: async (partition) => {
      const run = runs.get(partition);
      if (run === undefined) return;
      await saveInTurn(partition, run);
      runs.delete(partition);
    },
    onBatch: async (partition, frames) => {
      const run = runs.get(partition);
      if (run === undefined) return;
      const turn = run.turn.then(() => work(partition, run, frames));
      run.turn = turn.catch(fatal);
      await run.turn;
    },
    onError: fatal,
  });
  let timer: TimerHandle | null = null;
  const again = (): void => {
    for (const [partition, run] of runs) void saveInTurn(partition, run);
    timer = clock.after(options.checkpointMs, again);
  };
  timer = clock.after(options.checkpointMs, again);
  let closing: Promise<void> | null = null;
  return {
    failed,
    get rollups() {
      return rollups;
    },
    close() {
      closing ??= (async () => {
        timer?.cancel();
        await consumer?.close();
        abort.abort();
      })();
      return closing;
    },
  };
}

/** Never throws for what is in the frame: what is no message of ours is passed over. */
function mergeFrame(merge: GroupMerge, frame: Uint8Array, emit: EmitGroup): void {
  const reader = new FrameReader();
  reader.reset(frame);
  try {
    while (reader.next()) merge.take(decodePartial(reader.payload()), emit);
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
  }
  merge.endFrame(emit);
}

import type { LogFrame } from '../log/log.ts';
import { SluiceError } from '../model/errors.ts';
import { TELEMETRY } from '../model/topics.ts';
import { Telling } from './append-output.ts';
import { askState } from './ask-state.ts';
import type { StoredFrames } from './batch-output.ts';
import { type Batch, Batches, batchBytes } from './batches.ts';
import { countsOf, findLostState, type LostState } from './lost-state.ts';
import type { StateSizes } from './partition-state.ts';
import {
  findResume,
  findStored,
  findStoredTo,
  type Resume,
  reachesBefore,
  receivedMinMs,
  usableState,
} from './resume.ts';
import { backOff, untilDone } from './retry.ts';
import type { RunShared } from './run-shared.ts';
import type { Slot } from './slots.ts';
import { type Answer, type FramesTask, type OutputAnswer, orderOf, type Task } from './tasks.ts';

/** Recoveries in a row in which the worker got no further. */
const ATTEMPTS_MAX = 5;

/**
 * One partition, as the main thread sees it. Four marks move along its log, in this order:
 *
 *     savedNext  ≤  storedNext  ≤  decodedNext  ≤  fedNext
 *     checkpoint    rows and       answered by     given to
 *     and commit    events out     the worker      the worker
 *
 * A batch is done when its rows are in the store and its alarm events are on the log. Events go there at once; rows gather in the thread
 * until the inserter collects them, so no event waits for the store, and what waits is one block. A checkpoint is the state at fedNext, kept back
 * until storedNext has come there. When the worker dies, the partition goes back to its checkpoint: batches whose rows had left it
 * are finished, frames from the checkpoint on are read from the log again, and what they give a second time is left out (resume.ts).
 */
export class PartitionRun {
  readonly partition: number;
  readonly slot: Slot;
  storedNext = 0;
  /** What its state takes, as of the last checkpoint. */
  sizes: StateSizes | null = null;
  /** When the log was given the oldest frame that is under way; null when none is. */
  get oldestAppendedMs(): number | null {
    return this.#batches.oldestAppendedMs;
  }
  readonly #shared: RunShared;
  #generation = 0;
  #epoch = 0;
  #resume: Resume = { storedTo: -1, receivedFromMs: 0, freshFrom: 0, lastAlarm: null };
  #fedNext = 0;
  #decodedNext = 0;
  #savedNext = 0;
  /** Where the checkpoint stands that the thread's next one may be a change of; null when that has to be whole. */
  #changesFrom: number | null = null;
  #pause = { fromMs: 0, lengthMs: 0 };
  readonly #batches: Batches;
  readonly #telling: Telling;
  #broken = false;
  #recovery: Promise<void> | null = null;
  #saving: Promise<void> | null = null;
  #stopped = false;

  constructor(partition: number, slot: Slot, shared: RunShared) {
    this.partition = partition;
    this.slot = slot;
    this.#shared = shared;
    this.#batches = new Batches(shared.room);
    this.#telling = new Telling(shared, partition);
  }

  /** Begins, as often as it takes. Resolves with the offset to begin at; rejects with what a retry cannot help. */
  async begin(): Promise<number> {
    const { clock, logger, signal } = this.#shared;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#start();
      } catch (error) {
        if (signal.aborted || this.#isHopeless(error, attempt)) throw error;
        logger.warn('a partition could not begin, trying again', { partition: this.partition, error: String(error) });
        await backOff(clock, attempt);
      }
    }
  }

  /** Whether to give up on an error of `#start`; an error that is none of ours is a dead thread, which is replaced. */
  #isHopeless(error: unknown, attempt: number): boolean {
    if (error instanceof SluiceError) return !error.retryable;
    this.#shared.slotFailed(this.slot, this.#epoch, error);
    return attempt >= ATTEMPTS_MAX;
  }

  /** Gives the partition to its worker, from its checkpoint. Resolves with the offset to begin at. */
  async #start(): Promise<number> {
    const { checkpoints, log, logger } = this.#shared;
    const partition = this.partition;
    const [checkpoint, bounds] = await Promise.all([checkpoints.load(partition), log.bounds(TELEMETRY, partition)]);
    const state = usableState(partition, checkpoint, bounds, logger);
    let offset = Math.max(checkpoint?.offsetNext ?? 0, bounds.first);
    if (state === null || !(await this.#assign(offset, state))) {
      offset = bounds.first;
      await this.#assignAnew(offset);
    }
    this.#fedNext = offset;
    this.storedNext = offset;
    this.#savedNext = offset;
    if (this.#resume.storedTo >= offset) {
      logger.info('resumes, and leaves out what is stored', { partition, offset, storedTo: this.#resume.storedTo });
    }
    return offset;
  }

  /** Without a checkpoint: from the first frame of the log, or from what else is known of what was before the first that is left. */
  async #assignAnew(offset: number): Promise<void> {
    const { partition } = this;
    const { checkpoints, log, logger, store } = this.#shared;
    const lost = offset === 0 ? null : await findLostState(log, store, partition, offset);
    if (!(await this.#assign(offset, null, lost)) || lost === null) return;
    logger.warn('recovers a lost checkpoint from store and log', { partition, offset, ...countsOf(lost) });
    // Before anything comes of it: it would not be found the same again.
    const answer = await askState(this.slot, { partition, generation: this.#generation }, true);
    if (answer.kind !== 'state' || answer.state === null) return;
    await checkpoints.save(partition, { offsetNext: offset, state: answer.state.bytes });
  }

  /** False when the state is unreadable. */
  async #assign(offset: number, state: Uint8Array | null, lost: LostState | null = null): Promise<boolean> {
    const { log, store, logger } = this.#shared;
    const { partition } = this;
    this.#resume = await findResume(log, store, partition, offset);
    const generation = ++this.#generation;
    this.#changesFrom = null;
    this.#epoch = this.slot.epoch;
    const { lastAlarm } = this.#resume;
    const answer = await this.#ask({ kind: 'assign', partition, generation, state, lost, lastAlarm });
    if (answer.kind !== 'unreadable') return true;
    const remedy = 'the partition is replayed from the start of its log';
    logger.error('the checkpoint cannot be read', { partition, why: answer.message, remedy });
    return false;
  }

  #ask(task: Task): Promise<Answer> {
    return this.slot.run<Answer>(task, orderOf(task));
  }

  /** Takes the next frames. Resolves when ready for more, which is before they are done. */
  async feed(frames: LogFrame[]): Promise<void> {
    const bytes = batchBytes(frames);
    for (;;) {
      await this.#recovery;
      const generation = this.#generation;
      const fresh = frames.filter((frame) => frame.offset >= this.#fedNext);
      if (this.#stopped || fresh.length === 0) return;
      if (await this.#submit(fresh, bytes, generation)) return;
    }
  }

  /** Waits for room, and sends a batch to the worker; false when a recovery began meanwhile. */
  async #submit(frames: LogFrame[], bytes: number, generation: number): Promise<boolean> {
    const { room, batchesMax, heldRowsMax, inserter } = this.#shared;
    const { partition } = this;
    const offsetNext = frames[frames.length - 1].offset + 1;
    const stored = await this.#stored(frames);
    while (this.#batches.undecoded >= batchesMax || !room.has(bytes)) {
      if (this.#stopped || generation !== this.#generation) return this.#stopped;
      if (!room.has(bytes)) inserter.hurry();
      await room.change();
    }
    if (this.#stopped || generation !== this.#generation) return this.#stopped;
    const batch = this.#batches.add(frames[0].offset, offsetNext, bytes, frames[0].appendedMs);
    this.#fedNext = offsetNext;
    const countFrom = this.#decodedNext;
    void this.#decode(batch, { kind: 'frames', partition, generation, frames, stored, countFrom, heldRowsMax });
    return true;
  }

  /** What the store holds of the frames already; null when it cannot hold any. */
  async #stored(frames: LogFrame[]): Promise<StoredFrames | null> {
    const { store } = this.#shared;
    const { partition } = this;
    const first = frames[0].offset;
    const generation = this.#generation;
    if (first >= this.#resume.freshFrom) return null;
    if (reachesBefore(frames, this.#resume.receivedFromMs)) {
      const ask = () => findStoredTo(store, partition, first, receivedMinMs(frames));
      const found = await untilDone('asking what is stored', ask, this.#shared);
      if (generation !== this.#generation) return null; // the batch is not taken then
      this.#resume = { ...this.#resume, ...found };
    }
    if (first > this.#resume.storedTo) return null;
    return untilDone('asking what is stored', () => findStored(store, partition, frames), this.#shared);
  }

  /** Asks for what comes of frames, or of `collect`; null when the partition has to begin again. */
  async #output(task: Task): Promise<OutputAnswer | null> {
    const epoch = this.#epoch;
    const failed = (error: unknown): null => {
      if (task.generation === this.#generation) this.#shared.slotFailed(this.slot, epoch, error);
      return null;
    };
    try {
      const answer = await this.#ask(task);
      if (task.generation !== this.#generation) return null;
      return answer.kind === 'output' ? answer : failed(new Error('the thread does not know the partition'));
    } catch (error) {
      return failed(error);
    }
  }

  async #decode(batch: Batch, task: FramesTask): Promise<void> {
    const answer = await this.#output(task);
    if (answer === null) return;
    const { count, room, inserter } = this.#shared;
    batch.decoded = true;
    this.#decodedNext = Math.max(this.#decodedNext, batch.offsetNext);
    count(answer.output);
    this.#telling.tell(answer.output, () => {
      batch.told = true;
      this.#settle();
    });
    if (answer.output.held === 0) this.#taken(answer);
    else inserter.announce(this, answer.output.held);
    room.changed(); // There is room with the thread.
  }

  /** Asks the thread for the rows that have gathered; it has been announced that there are some. */
  async collect(): Promise<void> {
    const answer = await this.#output({ kind: 'take', partition: this.partition, generation: this.#generation });
    if (answer !== null) this.#taken(answer);
  }

  /** Rows have left the thread. */
  #taken({ output, offsetNext }: OutputAnswer): void {
    const batches = this.#batches.take(offsetNext);
    this.#shared.inserter.announce(this, 0);
    if (batches.length === 0) return;
    const { offsetFirst, appendedMs } = batches[0];
    const { partition } = this;
    this.#shared.inserter.add({ partition, offsetFirst, offsetNext, appendedMs, output }).then(() => {
      for (const batch of batches) batch.stored = true;
      this.#settle();
    }, this.#shared.fatal);
  }

  #settle(): void {
    this.storedNext = Math.max(this.storedNext, this.#batches.settle());
  }

  /** The worker has lost the partition: begins again from the checkpoint. Harmless when that is under way. */
  recover(): void {
    if (this.#stopped) return;
    this.#generation++;
    this.#broken = true;
    this.#shared.inserter.announce(this, 0);
    this.#shared.room.changed();
    this.#recovery ??= this.#recoverUntilDone().then(
      () => {
        this.#recovery = null;
        this.#shared.room.changed();
      },
      (error) => this.#shared.fatal(error),
    );
  }

  async #recoverUntilDone(): Promise<void> {
    const { clock, logger, signal } = this.#shared;
    const { partition } = this;
    const target = this.#fedNext;
    let reached = this.#decodedNext;
    for (let attempt = 0; this.#broken && !this.#stopped && !signal.aborted; attempt++) {
      if (this.#decodedNext > reached) attempt = 0;
      reached = this.#decodedNext;
      if (attempt > ATTEMPTS_MAX) {
        throw new SluiceError('WORKER_DIED', `a worker died ${attempt} times at the same place`, {
          remedy: 'see the log for its reason; the frames are kept',
          values: { partition, offset: reached },
        });
      }
      if (attempt > 0) await backOff(clock, attempt);
      this.#broken = false;
      await this.#abandon();
      try {
        const offset = await this.#start();
        logger.info('goes on from its checkpoint', { partition, offset, target });
        await this.#replay(target);
      } catch (error) {
        if (this.#isHopeless(error, 0)) throw error;
        logger.warn('a partition could not go on, trying again', { partition, error: String(error) });
        this.#broken = true;
      }
    }
  }

  /** Lets go of batches whose rows the worker had, and waits until the others are done, and all events on the log. */
  async #abandon(): Promise<void> {
    const { room, inserter } = this.#shared;
    this.#batches.abandon();
    await this.#telling.done;
    while (this.#batches.count > 0 && !this.#stopped) {
      inserter.hurry();
      await room.change();
    }
  }

  async #replay(target: number): Promise<void> {
    const { log, batchBytesMax } = this.#shared;
    while (this.#fedNext < target && !this.#broken && !this.#stopped) {
      const generation = this.#generation;
      const frames = await log.read(TELEMETRY, this.partition, this.#fedNext, batchBytesMax);
      if (frames.length === 0) return;
      const bytes = batchBytes(frames);
      if (!(await this.#submit(frames, bytes, generation))) return;
    }
  }

  /** When it is time for a checkpoint: they come further apart when they take the thread long. */
  checkpointIfDue(): void {
    const { fromMs, lengthMs } = this.#pause;
    const sinceMs = this.#shared.clock.nowMs() - fromMs;
    // A clock that was set back must not keep them away.
    if (sinceMs < 0 || sinceMs >= lengthMs) void this.checkpoint();
  }

  /** Saves the state, when it has changed, and commits. One at a time. */
  checkpoint(): Promise<void> {
    this.#saving ??= this.#save()
      .catch((error) => {
        if (error instanceof SluiceError && !error.retryable) this.#shared.fatal(error);
        else this.#shared.logger.warn('no checkpoint this time', { partition: this.partition, error: String(error) });
      })
      .finally(() => {
        this.#saving = null;
      });
    return this.#saving;
  }

  async #save(): Promise<void> {
    const { checkpoints, checkpointShareMax, clock, commit, room, signal } = this.#shared;
    const { partition } = this;
    const generation = this.#generation;
    const offsetNext = this.#fedNext;
    if (this.#recovery !== null || offsetNext === this.#savedNext) return;
    const epoch = this.#epoch;
    const after = this.#changesFrom;
    this.#changesFrom = null;
    const answer = await askState(this.slot, { partition, generation }, after === null);
    // A thread that died with nothing to do is found out here, not only by the next frame.
    if (answer.kind === 'unknown' && generation === this.#generation) {
      this.#shared.slotFailed(this.slot, epoch, new Error('the thread does not know the partition'));
    }
    if (answer.kind !== 'state' || answer.state === null) return;
    this.#pause = { fromMs: clock.nowMs(), lengthMs: answer.cpuMs / checkpointShareMax };
    while (this.storedNext < offsetNext) {
      if (generation !== this.#generation || signal.aborted) return;
      await room.change();
    }
    if (generation !== this.#generation) return;
    const { bytes, isChange, stateBytes, sizes } = answer.state;
    this.sizes = sizes;
    if (isChange && after !== null)
      await checkpoints.saveChange(partition, { offsetNext, after, patch: bytes, stateBytes });
    else await checkpoints.save(partition, { offsetNext, state: bytes });
    this.#savedNext = offsetNext;
    if (generation === this.#generation) this.#changesFrom = offsetNext;
    await commit(partition, offsetNext);
  }

  /**
   * Takes no more frames, waits until what is under way is done, and saves. After drainMs it waits no longer: the checkpoint
   * stays where it was, and who goes on replays from there.
   */
  async stop(): Promise<void> {
    const { clock, inserter, logger, room } = this.#shared;
    const { partition } = this;
    if (this.#stopped) return;
    let overdue = false;
    const timer = clock.after(this.#shared.drainMs, () => {
      overdue = true;
      room.changed();
    });
    while ((this.#batches.count > 0 || this.#recovery !== null) && !overdue && !this.#shared.signal.aborted) {
      inserter.hurry();
      await room.change();
    }
    if (this.#batches.count === 0 && this.#recovery === null) {
      await this.#saving;
      await this.checkpoint();
    } else logger.warn('stops before all is stored; it will be replayed', { partition, storedNext: this.storedNext });
    timer.cancel();
    this.#stopped = true;
    // Nobody collects any more; what has left the thread is on its way, and gives its room back when it is stored.
    this.#batches.abandon();
    inserter.announce(this, 0);
    room.changed();
    await this.#ask({ kind: 'drop', partition, generation: this.#generation }).catch(() => {});
  }
}

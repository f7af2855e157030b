import type { LogFrame } from '../log/log.ts';
import { type BatchOutput, type LastAlarm, NOTHING, type StoredFrames } from './batch-output.ts';
import type { LostState } from './lost-state.ts';
import type { SavedState } from './partition-state.ts';
import type { TaskOrder } from './slots.ts';

/**
 * What the main thread asks of a worker, and is answered. A partition that was assigned is known by its generation: a worker
 * thread that has died and been replaced knows none, and says so.
 */
export type Task = AssignTask | FramesTask | TakeTask | SaveTask | DropTask;

export interface AssignTask {
  kind: 'assign';
  partition: number;
  generation: number;
  state: Uint8Array | null;
  /** Without a state: what else is known of it; null for a partition that begins with the first frame of its log. */
  lost: LostState | null;
  lastAlarm: LastAlarm | null;
}

export interface FramesTask {
  kind: 'frames';
  partition: number;
  generation: number;
  frames: readonly Pick<LogFrame, 'offset' | 'bytes'>[];
  stored: StoredFrames | null;
  /** Frames below this offset have been counted before. */
  countFrom: number;
  /** Rows that may stay with the thread; when there are more, all come with the answer. */
  heldRowsMax: number;
}

/** Asks for the rows that have stayed with the thread. */
export interface TakeTask {
  kind: 'take';
  partition: number;
  generation: number;
}

export interface SaveTask {
  kind: 'save';
  partition: number;
  generation: number;
  /**
   * Begins one: of all of it, or, when the state that was answered last has been kept, of what has changed since. Or goes on with the one
   * that was begun, until it is answered.
   */
  what: 'whole' | 'change' | 'rest';
}

export interface DropTask {
  kind: 'drop';
  partition: number;
  generation: number;
}

export type Answer =
  | { kind: 'assigned' }
  /** The state could not be read; the partition was not assigned. */
  | { kind: 'unreadable'; message: string }
  | OutputAnswer
  /** Null while the state cannot be saved yet. */
  | {
      kind: 'state';
      state: Omit<SavedState, 'blocks'> | null;
      cpuMs: number;
    }
  /** It is not yet through; frames that were asked for meanwhile come before the rest. */
  | { kind: 'saving'; cpuMs: number }
  | { kind: 'dropped' }
  /** This thread does not have the partition in this generation. */
  | { kind: 'unknown' };

/** What came of frames, or the rows that were asked for. */
export interface OutputAnswer {
  kind: 'output';
  output: BatchOutput;
  /** Behind the last frame that was worked at. */
  offsetNext: number;
}

/** Rows are taken before the frames that wait, since an insert waits for them. */
export function orderOf(task: Task): TaskOrder {
  if (task.kind !== 'frames') return { soon: task.kind === 'take' };
  let bytes = 0;
  for (const frame of task.frames) bytes += frame.bytes.length;
  return { bytes };
}

/** The buffers of an answer, each once, to be moved instead of copied. */
export function buffersOf(answer: Answer): ArrayBuffer[] {
  if (answer.kind === 'output' && answer.output.blocks === NOTHING.blocks && answer.output.alarmFrames.length === 0)
    return [];
  const buffers = new Set<ArrayBuffer>();
  if (answer.kind === 'state' && answer.state !== null) buffers.add(answer.state.bytes.buffer);
  if (answer.kind === 'output') {
    for (const blocks of Object.values(answer.output.blocks)) for (const block of blocks) buffers.add(block.buffer);
    for (const frame of answer.output.alarmFrames) buffers.add(frame.buffer);
  }
  return [...buffers];
}

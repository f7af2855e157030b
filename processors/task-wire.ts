import type { LogFrame } from '../log/log.ts';
import { releaseBuffer } from '../model/release-buffer.ts';
import { type BatchCounts, NOTHING, noCounts, type Said, type StoredFrames, tells } from './batch-output.ts';
import { type Answer, buffersOf, type FramesTask, type Task } from './tasks.ts';

/**
 * How tasks and answers go from one thread to the other. A message costs by the objects, names and buffers in it more than by its bytes,
 * and with little to do most of them are frames one way, and counts the other: those go as rows of numbers, and frames in one buffer.
 *
 *     frames    doubles  length of all that, then of each task: partition, generation, countFrom, heldRowsMax, number of frames,
 *                        and of each frame: offset, length
 *               bytes    of the frames, one after another
 *
 *     outputs   doubles  of each answer: offsetNext (−1: the partition is unknown), held, the counts by their names in order
 *               said     of the answers that say more than that: their place among the others, and all of the rest
 *
 * Everything else goes as it is.
 */
export type TaskMessage =
  | { frames: ArrayBuffer; stored: (StoredFrames | null)[] | null }
  | { frames: null; tasks: readonly Task[] };

export type AnswerMessage =
  | { outputs: Float64Array; said: [at: number, said: Said][] | null }
  | { outputs: null; answers: readonly Answer[] };

const TASK_ITEMS = 5;
const COUNTS = Object.keys(noCounts()) as (keyof BatchCounts)[];
const ANSWER_ITEMS = 2 + COUNTS.length;
const UNKNOWN = -1;

/** The frames' own buffers are given back: nobody needs them any more. */
export function encodeTasks(tasks: readonly Task[]): { message: TaskMessage; transfer: ArrayBuffer[] } {
  if (!areFrames(tasks)) return { message: { frames: null, tasks }, transfer: [] };
  let items = 1;
  let bytes = 0;
  let anyStored = false;
  for (const task of tasks) {
    items += TASK_ITEMS + 2 * task.frames.length;
    for (const frame of task.frames) bytes += frame.bytes.length;
    if (task.stored !== null) anyStored = true;
  }
  const frames = new ArrayBuffer(items * 8 + bytes);
  const head = new Float64Array(frames, 0, items);
  const body = new Uint8Array(frames, items * 8);
  head[0] = items;
  let at = 1;
  let byte = 0;
  for (const task of tasks) {
    head[at] = task.partition;
    head[at + 1] = task.generation;
    head[at + 2] = task.countFrom;
    head[at + 3] = task.heldRowsMax;
    head[at + 4] = task.frames.length;
    at += TASK_ITEMS;
    for (const frame of task.frames) {
      head[at++] = frame.offset;
      head[at++] = frame.bytes.length;
      body.set(frame.bytes, byte);
      byte += frame.bytes.length;
      releaseBuffer(frame.bytes as Uint8Array<ArrayBuffer>);
    }
  }
  const stored = anyStored ? tasks.map((task) => task.stored) : null;
  return { message: { frames, stored }, transfer: [frames] };
}

function areFrames(tasks: readonly Task[]): tasks is readonly FramesTask[] {
  return tasks.every((task) => task.kind === 'frames');
}

/** Frames are views of the message, which has to be kept until the tasks are done, and can be given back then. */
export function decodeTasks(message: TaskMessage): readonly Task[] {
  if (message.frames === null) return message.tasks;
  const [items] = new Float64Array(message.frames, 0, 1);
  const head = new Float64Array(message.frames, 0, items);
  const tasks: Task[] = [];
  let byte = items * 8;
  for (let at = 1; at < items; ) {
    const frames: Pick<LogFrame, 'offset' | 'bytes'>[] = [];
    const [partition, generation, countFrom, heldRowsMax] = [head[at], head[at + 1], head[at + 2], head[at + 3]];
    const count = head[at + 4];
    at += TASK_ITEMS;
    for (let i = 0; i < count; i++, at += 2) {
      frames.push({ offset: head[at], bytes: new Uint8Array(message.frames, byte, head[at + 1]) });
      byte += head[at + 1];
    }
    const stored = message.stored === null ? null : message.stored[tasks.length];
    tasks.push({ kind: 'frames', partition, generation, frames, stored, countFrom, heldRowsMax });
  }
  return tasks;
}

/** Gives back what the tasks of a message lay in. */
export function releaseTasks({ frames }: TaskMessage): void {
  if (frames !== null) releaseBuffer(new Uint8Array(frames));
}

export function encodeAnswers(answers: readonly Answer[]): { message: AnswerMessage; transfer: ArrayBuffer[] } {
  const transfer = answers.flatMap(buffersOf);
  if (!answers.every(({ kind }) => kind === 'output' || kind === 'unknown'))
    return { message: { outputs: null, answers }, transfer };
  const outputs = new Float64Array(answers.length * ANSWER_ITEMS);
  let said: [number, Said][] | null = null;
  for (let i = 0; i < answers.length; i++) {
    const answer = answers[i];
    const at = i * ANSWER_ITEMS;
    if (answer.kind !== 'output') {
      outputs[at] = UNKNOWN;
      continue;
    }
    const { output } = answer;
    outputs[at] = answer.offsetNext;
    outputs[at + 1] = output.held;
    for (let c = 0; c < COUNTS.length; c++) outputs[at + 2 + c] = output.counts[COUNTS[c]];
    if (isQuiet(output)) continue;
    const { held: _, counts: __, ...rest } = output;
    said ??= [];
    said.push([i, rest]);
  }
  return { message: { outputs, said }, transfer };
}

function isQuiet(output: Said): boolean {
  return output.blocks === NOTHING.blocks && output.notTaken.size === 0 && !tells(output);
}

export function decodeAnswers(message: AnswerMessage): readonly Answer[] {
  if (message.outputs === null) return message.answers;
  const { outputs, said } = message;
  const answers: Answer[] = [];
  for (let at = 0; at < outputs.length; at += ANSWER_ITEMS) {
    if (outputs[at] === UNKNOWN) {
      answers.push({ kind: 'unknown' });
      continue;
    }
    const counts = noCounts();
    for (let c = 0; c < COUNTS.length; c++) counts[COUNTS[c]] = outputs[at + 2 + c];
    answers.push({ kind: 'output', output: { ...NOTHING, held: outputs[at + 1], counts }, offsetNext: outputs[at] });
  }
  for (const [at, rest] of said ?? []) {
    const answer = answers[at];
    if (answer.kind === 'output') answer.output = { ...rest, held: answer.output.held, counts: answer.output.counts };
  }
  return answers;
}

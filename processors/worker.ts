import { SluiceError } from '../model/errors.ts';
import { PartitionPipeline, type PipelineOptions } from './pipeline.ts';
import { moved, slotData } from './slots.ts';
import { type Answer, buffersOf, type FramesTask, type Task } from './tasks.ts';

/** The worker thread: holds the pipelines of its slot's partitions and works at one task after another. */

const options = slotData<PipelineOptions>();
const pipelines = new Map<number, { generation: number; pipeline: PartitionPipeline }>();

/** Called by Piscina for each task. */
export function run(task: Task): Answer {
  const answer = work(task);
  return moved(answer, buffersOf(answer));
}

function work(task: Task): Answer {
  const { partition, generation } = task;
  if (task.kind === 'assign') {
    try {
      const pipeline = new PartitionPipeline(partition, options, task);
      pipelines.set(partition, { generation, pipeline });
      return { kind: 'assigned' };
    } catch (error) {
      if (error instanceof SluiceError && error.code === 'CHECKPOINT_UNREADABLE') {
        return { kind: 'unreadable', message: error.message };
      }
      throw error;
    }
  }
  const held = pipelines.get(partition);
  if (held === undefined || held.generation !== generation) return { kind: 'unknown' };
  if (task.kind === 'frames') return frames(held.pipeline, task);
  if (task.kind === 'save') return { kind: 'state', state: held.pipeline.canSave ? held.pipeline.save() : null };
  pipelines.delete(partition);
  return { kind: 'dropped' };
}

function frames(pipeline: PartitionPipeline, task: FramesTask): Answer {
  const before = performance.now();
  let at = 0;
  for (let i = 0; i < task.offsets.length; i++) {
    const end = at + task.lengths[i];
    const offset = task.offsets[i];
    pipeline.process(offset, task.bytes.subarray(at, end), task.stored, offset >= task.countFrom);
    at = end;
  }
  return { kind: 'output', output: pipeline.take(), cpuMs: performance.now() - before };
}

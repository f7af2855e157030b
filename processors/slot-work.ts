import { SluiceError } from '../model/errors.ts';
import { PartitionPipeline, type PipelineOptions } from './pipeline.ts';
import type { Answer, FramesTask, SaveTask, Task } from './tasks.ts';

/** What a thread does: holds the pipelines of its slot's partitions and works at one task after another. */
export class SlotWork {
  readonly #options: PipelineOptions;
  readonly #pipelines = new Map<number, Held>();

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  /** Throws what a pipeline throws, which is a defect: the thread is then replaced. */
  do(task: Task): Answer {
    const { partition, generation } = task;
    if (task.kind === 'assign') {
      try {
        const pipeline = new PartitionPipeline(partition, this.#options, task);
        this.#pipelines.set(partition, { generation, pipeline, offsetNext: 0 });
        return { kind: 'assigned' };
      } catch (error) {
        if (error instanceof SluiceError && error.code === 'CHECKPOINT_UNREADABLE') {
          return { kind: 'unreadable', message: error.message };
        }
        throw error;
      }
    }
    const held = this.#pipelines.get(partition);
    if (held === undefined || held.generation !== generation) return { kind: 'unknown' };
    if (task.kind === 'frames') return frames(held, task);
    if (task.kind === 'take') return take(held, 0);
    if (task.kind === 'save') return save(held.pipeline, task);
    this.#pipelines.delete(partition);
    return { kind: 'dropped' };
  }
}

interface Held {
  generation: number;
  pipeline: PartitionPipeline;
  /** Behind the last frame that it has worked at. */
  offsetNext: number;
}

function frames(held: Held, task: FramesTask): Answer {
  const { pipeline } = held;
  for (const { offset, bytes } of task.frames) {
    pipeline.process(offset, bytes, task.stored, offset >= task.countFrom); // Whatever is kept of a frame is a copy.
    held.offsetNext = offset + 1;
  }
  return take(held, task.heldRowsMax);
}

function take({ pipeline, offsetNext }: Held, heldRowsMax: number): Answer {
  return { kind: 'output', output: pipeline.take(heldRowsMax), offsetNext };
}

/** What one task writes of a state at most, so that frames do not wait long for it: some 10 ms. */
export const SAVE_BYTES_MAX = 1 << 20;

function save(pipeline: PartitionPipeline, task: SaveTask): Answer {
  if (!pipeline.canSave) return { kind: 'state', state: null, cpuMs: 0 };
  const before = performance.now();
  if (task.what !== 'rest') pipeline.saves.begin(task.what === 'whole');
  const saved = pipeline.saves.goOn(SAVE_BYTES_MAX);
  const cpuMs = performance.now() - before;
  if (saved === null) return { kind: 'saving', cpuMs };
  const { bytes, isChange, stateBytes, sizes } = saved;
  return { kind: 'state', state: { bytes, isChange, stateBytes, sizes }, cpuMs };
}

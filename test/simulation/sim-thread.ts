import type { PipelineOptions } from '../../processors/pipeline.ts';
import { SlotWork } from '../../processors/slot-work.ts';
import type { Thread } from '../../processors/slots.ts';
import {
  type AnswerMessage,
  decodeAnswers,
  decodeTasks,
  encodeAnswers,
  encodeTasks,
  type TaskMessage,
} from '../../processors/task-wire.ts';
import type { Answer, Task } from '../../processors/tasks.ts';
import { sent } from '../../processors/testing/sent.ts';
import type { Process } from './scheduler.ts';
import type { World } from './world.ts';

interface Waiting {
  task: Task;
  resolve: (answer: Answer) => void;
  reject: (error: Error) => void;
}

/** A worker thread whose tasks are events: the real work of a slot, one task after another, until it dies. */
export class SimThread implements Thread {
  readonly #world: World;
  readonly #process: Process;
  readonly #options: PipelineOptions;
  #work: SlotWork;
  #waiting: Waiting[] = [];
  #destroyed = false;
  #working = false;

  constructor(world: World, process: Process, options: PipelineOptions) {
    this.#world = world;
    this.#process = process;
    this.#options = options;
    this.#work = new SlotWork(options);
  }

  async run(tasks: readonly unknown[]): Promise<readonly unknown[]> {
    if (this.#destroyed) throw new Error('the simulated thread has ended');
    const moves = this.#world.plan.threadsMove;
    const given = moves ? decodeTasks(sent<TaskMessage>(encodeTasks(tasks as readonly Task[]))) : tasks;
    const answers = await Promise.all(given.map((task) => this.#one(task as Task)));
    return moves ? decodeAnswers(sent<AnswerMessage>(encodeAnswers(answers))) : answers;
  }

  #one(task: Task): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ task, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    const [first] = this.#waiting;
    if (this.#working || first === undefined) return;
    this.#working = true;
    const { kind, partition } = first.task;
    const delayMs = this.#world.delay(kind === 'frames' ? 3 : 1);
    this.#process.after(delayMs, `task ${kind} ${partition}`, () => {
      this.#working = false;
      // It may have died meanwhile; its successor begins with what came since.
      if (this.#waiting[0] === first) {
        this.#waiting.shift();
        this.#answer(first);
      }
      this.#next();
    });
  }

  #answer({ task, resolve, reject }: Waiting): void {
    try {
      resolve(this.#work.do(task));
    } catch (error) {
      reject(error as Error);
    }
  }

  /** Dies: its pool starts another one, which knows nothing. */
  die(): void {
    this.#work = new SlotWork(this.#options);
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('the simulated thread died'));
  }

  async destroy(): Promise<void> {
    this.#destroyed = true;
    this.die();
  }
}

import { YoungGarbage } from '../model/young-garbage.ts';
import { inlineTheWayOfAReading } from './inlining.ts';
import type { PipelineOptions } from './pipeline.ts';
import { SlotWork } from './slot-work.ts';
import { moved, slotData } from './slots.ts';
import { type Answer, buffersOf, type Task } from './tasks.ts';

/** The worker thread. */

inlineTheWayOfAReading();
const garbage = new YoungGarbage();
const work = new SlotWork(slotData<PipelineOptions>());

/** Called by Piscina for each group of tasks. */
export function run(tasks: readonly Task[]): Answer[] {
  const answers = tasks.map((task) => work.do(task));
  garbage.check();
  return moved(answers, [...new Set(answers.flatMap(buffersOf))]);
}

import { YoungGarbage } from '../model/young-garbage.ts';
import { inlineTheWayOfAReading } from './inlining.ts';
import type { PipelineOptions } from './pipeline.ts';
import { SlotWork } from './slot-work.ts';
import { moved, slotData } from './slots.ts';
import { type AnswerMessage, decodeTasks, encodeAnswers, releaseTasks, type TaskMessage } from './task-wire.ts';

/** The worker thread. */

inlineTheWayOfAReading();
const garbage = new YoungGarbage();
const work = new SlotWork(slotData<PipelineOptions>());

/** Called by Piscina for each group of tasks. */
export function run(given: TaskMessage): AnswerMessage {
  const answers = decodeTasks(given).map((task) => work.do(task));
  releaseTasks(given);
  garbage.check();
  const { message, transfer } = encodeAnswers(answers);
  return moved(message, transfer);
}

import type { Slot } from './slots.ts';
import type { Answer, SaveTask } from './tasks.ts';

/**
 * The state of a partition after what its thread was given before this call, all of it or what has changed. The thread writes it in pieces,
 * each asked for by itself, so that frames which come meanwhile are worked at in between.
 */
export async function askState(
  slot: Slot,
  of: Pick<SaveTask, 'partition' | 'generation'>,
  whole: boolean,
): Promise<Answer> {
  let answer = await slot.run<Answer>({ kind: 'save', ...of, what: whole ? 'whole' : 'change' });
  let cpuMs = 0;
  while (answer.kind === 'saving') {
    cpuMs += answer.cpuMs;
    answer = await slot.run<Answer>({ kind: 'save', ...of, what: 'rest' });
  }
  return answer.kind === 'state' ? { ...answer, cpuMs: answer.cpuMs + cpuMs } : answer;
}

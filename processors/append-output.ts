import { ALARMS, FACTS, PARTIALS } from '../model/topics.ts';
import { factFrames } from './alarms/fact-frames.ts';
import { type BatchOutput, tells } from './batch-output.ts';
import { partialFrames } from './groups/outgoing.ts';
import { untilDone } from './retry.ts';
import type { RunShared } from './run-shared.ts';

/**
 * Appends what a partition has to say: alarm events, its parts of groups, facts for the other partitions. As often as
 * it takes, one after another, so that the last event on the log tells which are there.
 */
async function appendOutput(shared: RunShared, at: number, output: BatchOutput): Promise<void> {
  const { log } = shared;
  for (const frame of output.alarmFrames) {
    await untilDone('appending alarm events', () => log.append(ALARMS, at, frame), shared);
  }
  for (const { partition, frame } of partialFrames(output.partials, log.partitions)) {
    await untilDone('telling of groups', () => log.append(PARTIALS, partition, frame), shared);
  }
  for (const frame of factFrames(output.facts)) {
    await untilDone('telling the other partitions', () => log.append(FACTS, at, frame), shared);
  }
}

/** What the batches of a partition have to say, in their order. */
export class Telling {
  /** Resolves when all that was given so far is on the log. */
  done: Promise<void> = Promise.resolve();
  readonly #shared: RunShared;
  readonly #partition: number;
  #waiting = 0;

  constructor(shared: RunShared, partition: number) {
    this.#shared = shared;
    this.#partition = partition;
  }

  /** Calls `told` when it is on the log behind what was given before: at once where there is nothing to wait for, as with most batches. */
  tell(output: BatchOutput, told: () => void): void {
    if (this.#waiting === 0 && !tells(output)) {
      told();
      return;
    }
    this.#waiting++;
    this.done = this.done.then(() => appendOutput(this.#shared, this.#partition, output));
    this.done.then(() => {
      this.#waiting--;
      told();
    }, this.#shared.fatal);
  }
}

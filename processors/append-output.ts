import { ALARMS, FACTS, PARTIALS } from '../model/topics.ts';
import { factFrames } from './alarms/fact-frames.ts';
import type { BatchOutput } from './batch-output.ts';
import { partialFrames } from './groups/outgoing.ts';
import { untilDone } from './retry.ts';
import type { RunShared } from './run-shared.ts';

/**
 * Appends what a partition has to say: alarm events, its parts of groups, facts for the other partitions. As often as
 * it takes, one after another, so that the last event on the log tells which are there.
 */
export async function appendOutput(shared: RunShared, at: number, output: BatchOutput): Promise<void> {
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

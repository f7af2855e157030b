import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NOTHING, noCounts } from './batch-output.ts';
import {
  type AnswerMessage,
  decodeAnswers,
  decodeTasks,
  encodeAnswers,
  encodeTasks,
  type TaskMessage,
} from './task-wire.ts';
import type { Answer, FramesTask, Task } from './tasks.ts';
import { sent } from './testing/sent.ts';

const offset = fc.nat(2 ** 40);
const framesTask: fc.Arbitrary<FramesTask> = fc.record({
  kind: fc.constant('frames' as const),
  partition: fc.nat(65_535),
  generation: fc.nat(1000),
  frames: fc.array(fc.record({ offset, bytes: fc.uint8Array({ maxLength: 40 }) }), { maxLength: 4 }),
  stored: fc.option(
    fc.constant({ offsets: [3], rows: [7], receivedMinMs: [1_700_000_000_000], receivedMaxMs: [1_700_000_000_001] }),
  ),
  countFrom: offset,
  heldRowsMax: fc.nat(200_000),
});
const aboutPartition = { partition: fc.nat(100), generation: fc.nat(100) };
const other: fc.Arbitrary<Task> = fc.oneof(
  fc.record({ kind: fc.constant('take' as const), ...aboutPartition }),
  fc.record({ kind: fc.constant('save' as const), ...aboutPartition, what: fc.constant('whole' as const) }),
);

const COUNTS = Object.keys(noCounts()).length;
const counts = fc.array(fc.nat(1e9), { minLength: COUNTS, maxLength: COUNTS }).map((values) => {
  const all = noCounts();
  for (const [i, name] of (Object.keys(all) as (keyof typeof all)[]).entries()) all[name] = values[i];
  return all;
});
const bytes = () => fc.uint8Array({ maxLength: 9 }).map((values) => Uint8Array.from(values));
const quiet = counts.map((of) => ({ ...NOTHING, held: 5, counts: of }));
const loud = fc.record({
  blocks: fc.array(bytes(), { maxLength: 2 }).map((readings) => ({ ...NOTHING.blocks, readings })),
  rows: fc.nat(99).map((readings) => ({ ...NOTHING.rows, readings })),
  alarmFrames: fc.array(bytes(), { maxLength: 2 }),
  partials: fc.constant([]),
  facts: fc.constant([]),
  notTaken: fc.constant(new Map([['1m', { ofSeries: 1, ofReadings: 2 }]])),
  held: fc.nat(9),
  counts,
});
const answer: fc.Arbitrary<Answer> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('output' as const), output: quiet, offsetNext: offset }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('output' as const), output: loud, offsetNext: offset }) },
  fc.constant({ kind: 'unknown' as const }),
  fc.constant({ kind: 'saving' as const, cpuMs: 3 }),
);

describe('tasks and answers on their way between threads', () => {
  it('come out as they went in', () => {
    const tasks = fc.oneof(fc.array(framesTask, { maxLength: 5 }), fc.array(fc.oneof(framesTask, other)));
    fc.assert(
      fc.property(tasks, fc.array(answer, { maxLength: 6 }), (given, answers) => {
        const [wantedTasks, wantedAnswers] = [structuredClone(given), structuredClone(answers)];
        expect(decodeTasks(sent<TaskMessage>(encodeTasks(given)))).toEqual(wantedTasks);
        expect(decodeAnswers(sent<AnswerMessage>(encodeAnswers(answers)))).toEqual(wantedAnswers);
      }),
      { numRuns: 300 },
    );
  });
});

import { encodeIdentity, FrameBuilder, TICK_TOPIC } from '../../model/frame.ts';
import { OfflineEngine } from '../../processors/offline/offline-engine.ts';
import { pipelineOptionsOf } from '../pipeline-options.ts';
import { compare, type Failure } from './compare.ts';
import type { TestMessage } from './input.ts';
import { alarmResult, type Kind, quarantineResult, type Result, rollupResult } from './results.ts';
import type { RuleTest } from './test-file.ts';

export interface TestOutcome {
  test: RuleTest;
  failures: Failure[];
  elapsedMs: number;
}

/** Puts the messages of a test before the engine, in virtual time, and compares what comes out. */
export function runTest(test: RuleTest): TestOutcome {
  const before = performance.now();
  const results: Record<Kind, Result[]> = { rollups: [], alarms: [], quarantine: [] };
  const engine = new OfflineEngine(pipelineOptionsOf(test.settings), {
    onRollup: (rollup) => results.rollups.push(rollupResult(rollup)),
    onAlarmEvent: (event) => results.alarms.push(alarmResult(event)),
    onQuarantine: (row) => results.quarantine.push(quarantineResult(row)),
  });
  let offset = 0;
  for (const bytes of framesOf(test)) engine.process({ partition: 0, offset: offset++, bytes });
  engine.flush();
  const failures = compare(test.expect, { results, counts: engine.counts }, test.dateMs);
  return { test, failures, elapsedMs: performance.now() - before };
}

/**
 * The frames as a door would write them: what arrives in the same millisecond shares one, and where nothing arrives for
 * `tickMs` comes a tick. All of them in one partition.
 */
function* framesOf({ input, tickMs, untilMs }: RuleTest): Generator<Uint8Array> {
  const builder = new FrameBuilder(1024);
  let nowMs = input.length > 0 ? input[0].arrivedMs : 0;
  function* ticksTo(timeMs: number): Generator<Uint8Array> {
    if (tickMs === null) return;
    for (nowMs += tickMs; nowMs < timeMs; nowMs += tickMs) yield frameOf(builder, [tickAt(nowMs)]);
  }
  for (let at = 0; at < input.length; ) {
    const { arrivedMs } = input[at];
    let end = at + 1;
    while (end < input.length && input[end].arrivedMs === arrivedMs) end++;
    yield* ticksTo(arrivedMs);
    yield frameOf(builder, input.slice(at, end));
    nowMs = arrivedMs;
    at = end;
  }
  if (untilMs === null || untilMs <= nowMs) return;
  yield* ticksTo(untilMs);
  yield frameOf(builder, [tickAt(untilMs)]);
}

function tickAt(arrivedMs: number): TestMessage {
  return { arrivedMs, device: '', topic: TICK_TOPIC, payload: '' };
}

function frameOf(builder: FrameBuilder, messages: readonly TestMessage[]): Uint8Array {
  for (const { arrivedMs, device, topic, payload } of messages) {
    const identity = encodeIdentity(device, topic);
    const bytes = Buffer.from(payload);
    builder.append(arrivedMs, identity, bytes, 0, bytes.length);
  }
  return builder.finish(1024);
}

import type { Stack } from './fold.ts';

/**
 * Which work a function belongs to, by its file. The innermost function of a stack that has a rule decides, so that what a helper does
 * counts for the one that it helps only where it has no rule of its own.
 */
const RULES: Record<string, readonly [RegExp, string][]> = {
  door: [
    [
      /^ingest\/(express-lane|packet-scanner|packet-guard|partial-packets|publish-turns|packet-ids|mqtt-bytes|connection)/,
      'finds packets',
    ],
    [/^(ingest\/(open-frame|batcher)|model\/frame|model\/byte-view)/, 'copies them into frames'],
    [/^ingest\/(ack-order|wire|send-queue|delivery)/, 'acknowledges'],
    [/^(log\/|node_modules\/(lmdb|kafkajs))/, 'appends to the log'],
    [/^(model\/ledger|ingest\/ledger|cli\/measure|cli\/role-recorder|model\/histogram)/, 'counts what it does'],
    [
      /^(node:net|node:internal\/stream|node:_?stream|node:internal\/streams|node:buffer|node:internal\/buffer|node:events)/,
      'reads and writes sockets',
    ],
    [/^node_modules\//, 'Aedes and its libraries'],
    [/^(ingest|model|cli)\//, 'the rest of the door'],
  ],
  processor: [
    [/^model\/(frame|byte-view)/, 'reads frames'],
    [/^processors\/decode\//, 'decodes payloads'],
    [/^processors\/(seen|series|columns|devices|registry)/, 'finds series, tells redeliveries'],
    [/^processors\/windows\//, 'windows and rules'],
    [/^processors\/(alarms|beyond|evaluation|derived)/, 'windows and rules'],
    [/^(store\/(native|.*-block|blocks|row-columns)|processors\/(batch|columns))/, 'encodes blocks'],
    [
      /^(processors\/(inserter|retry|room)|store\/clickhouse|node_modules\/@clickhouse|node:_?http|node:internal\/(http|stream|undici)|node:net|node:_?stream)/,
      'sends inserts',
    ],
    [/^(log\/|node_modules\/(lmdb|kafkajs|piscina))/, 'reads the log, saves checkpoints'],
    [/^(processors\/(ledger|partition-state|state-bytes|resume))/, 'ledger and state'],
    [/^processors\/pipeline/, 'reads frames, decodes, finds series: what V8 inlines into one'],
    [/^(processors|model|cli|store)\//, 'the rest of the processor'],
  ],
};

const GARBAGE = 'collects garbage';
const NATIVE = 'native code outside of JavaScript';
const NODE = 'the rest of Node.js';

/** One of the stages of a role; never empty. */
export function stageOf(role: string, { frames }: Stack): string {
  const top = frames[frames.length - 1];
  if (top.name === '(garbage collector)') return GARBAGE;
  if (top.name === '(program)') return NATIVE;
  const rules = RULES[role] ?? [];
  for (let i = frames.length - 1; i >= 0; i--) {
    const rule = rules.find(([pattern]) => pattern.test(frames[i].file));
    if (rule !== undefined) return rule[1];
  }
  return NODE;
}

/** Time of each stage, most first. */
export function stagesOf(role: string, stacks: readonly Stack[]): { stage: string; micros: number }[] {
  const stages = new Map<string, number>();
  for (const stack of stacks) {
    const stage = stageOf(role, stack);
    stages.set(stage, (stages.get(stage) ?? 0) + stack.micros);
  }
  return [...stages].map(([stage, micros]) => ({ stage, micros })).sort((a, b) => b.micros - a.micros);
}

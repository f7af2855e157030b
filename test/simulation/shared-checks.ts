import { FACT_TOPIC } from '../../model/fact.ts';
import { FrameReader } from '../../model/frame.ts';
import { partitionOfResult } from '../../model/group-result.ts';
import { decodeTold, encodeTold, type Told } from '../../model/told.ts';
import { FACTS, PARTIALS, TELEMETRY } from '../../model/topics.ts';
import type { BatchOutput } from '../../processors/batch-output.ts';
import { type GroupSpec, isGroupSpec } from '../../processors/groups/group-window.ts';
import { GroupMerge } from '../../processors/groups/merge.ts';
import { partialFrames } from '../../processors/groups/outgoing.ts';
import { decodePartial, type GroupMessage } from '../../processors/groups/partial.ts';
import { StateReader } from '../../processors/state-bytes.ts';
import { type NativeRow, readNative } from '../../processors/testing/native-rows.ts';
import { aggregateSet } from '../../processors/windows/aggregates/aggregate-set.ts';
import { RollupsBlock } from '../../store/blocks.ts';
import { wholeLine } from './feature-checks.ts';
import type { SimProgram } from './program.ts';
import { pipelineOf } from './settings.ts';
import type { World } from './world.ts';

/**
 * What goes from partition to partition: facts, and the windows of groups. `replayed` has what each partition tells by a replay of its log.
 * Facts and partials have to be on their topics as the replay gives them; each fact has to be in every other partition; and the rollups of groups are
 * what a plain account gives, which keeps the newest that each partition has told and adds up.
 */
export function checkShared(
  world: World,
  program: SimProgram,
  replayed: readonly Pick<BatchOutput, 'partials' | 'facts'>[],
  failures: string[],
): void {
  if (world.plan.features === null) return;
  checkFacts(world, program, replayed, failures);
  if (program.merges !== null) checkGroups(world, program, replayed, failures);
}

const textOf = (told: Told): string => Buffer.from(encodeTold(told)).toString();

function checkFacts(
  world: World,
  { log }: SimProgram,
  replayed: readonly Pick<BatchOutput, 'facts'>[],
  failures: string[],
): void {
  const taken = replayed.map((_, p) =>
    payloadsOf(log.frames(TELEMETRY, p), FACT_TOPIC).map((bytes) => textOf(decodeTold(bytes))),
  );
  for (const [from, { facts }] of replayed.entries()) {
    const frames = log.frames(FACTS, from);
    const told = payloadsOf(frames).map(decodeTold);
    const own = firsts(told.filter((one) => one.kind !== 'rollup'));
    sameInOrder(`facts of partition ${from}`, own.map(textOf), facts.map(textOf), failures);
    world.count('facts', facts.length);
    // What was told when the doors had gone waits for the next.
    const committed = log.commits(FACTS).get(from) ?? 0;
    const due = payloadsOf(frames.filter(({ offset }) => offset < committed)).map(decodeTold);
    for (const [partition, there] of taken.entries()) {
      const here = new Set(there);
      for (const one of due) {
        const isConcerned =
          one.kind === 'rollup' ? partitionOfResult(one, log.partitions) === partition : one.partition !== partition;
        if (!isConcerned) continue;
        const text = textOf(one);
        if (!here.has(text)) failures.push(`facts: partition ${partition} was never told ${text}`);
      }
    }
  }
  const known = new Set(replayed.flatMap((_, p) => payloadsOf(log.frames(FACTS, p)).map((b) => textOf(decodeTold(b)))));
  for (const [partition, there] of taken.entries()) {
    for (const text of there) if (!known.has(text)) failures.push(`facts: partition ${partition} invented ${text}`);
  }
}

function checkGroups(
  world: World,
  { log, store }: SimProgram,
  replayed: readonly Pick<BatchOutput, 'partials'>[],
  failures: string[],
): void {
  const { windows } = pipelineOf(world.plan);
  const specs = windows.filter(isGroupSpec);
  const names = new Set(specs.map(({ name }) => name));
  const rows = store.tables.rollups.filter(({ window }) => names.has(String(window)));
  const final = new Map([...store.final('rollups')].filter(([, { window }]) => names.has(String(window))));
  for (let to = 0; to < log.partitions; to++) {
    const messages = payloadsOf(log.frames(PARTIALS, to)).map(decodePartial);
    for (let from = 0; from < log.partitions; from++) {
      const own = firsts(messages.filter(({ partition }) => partition === from));
      const frames = partialFrames(replayed[from].partials, log.partitions).filter(({ partition }) => partition === to);
      const should = frames.flatMap(({ frame }) => payloadsOf([{ bytes: frame }]).map(decodePartial));
      sameInOrder(`partials of ${from} to ${to}`, own.map(lineOf), should.map(lineOf), failures);
    }
    const merged = mergedAnew(world, log.frames(PARTIALS, to), to);
    const here = rows.filter(({ partition }) => partition === to);
    same(
      `rollups of groups in partition ${to}`,
      distinct(here.map(wholeLine)),
      distinct(merged.map(wholeLine)),
      failures,
    );
    for (const spec of specs) {
      const account = accountOf(spec, messages, log.partitions);
      world.count('rollups of groups', account.size);
      const found = [...final.values()].filter((row) => row.window === spec.name && row.partition === to);
      same(`windows of ${spec.name} in partition ${to}`, found.map(sumsOf), [...account.values()], failures);
    }
  }
}

/** Of one source: those that were not told before. */
function firsts<Message extends { offset: number; ordinal: number }>(messages: readonly Message[]): Message[] {
  let last = { offset: -1, ordinal: -1 };
  return messages.filter(({ offset, ordinal }) => {
    if (offset < last.offset || (offset === last.offset && ordinal <= last.ordinal)) return false;
    last = { offset, ordinal };
    return true;
  });
}

const lineOf = ({ partial, ...message }: GroupMessage): string =>
  JSON.stringify([message, partial && { ...partial, state: Buffer.from(partial.state).toString('hex') }]);

/** The rollups of groups that a merge without a checkpoint gives. */
function mergedAnew(world: World, frames: readonly { bytes: Uint8Array }[], partition: number): NativeRow[] {
  const merge = new GroupMerge(pipelineOf(world.plan).windows, world.plan.partitions);
  const block = new RollupsBlock();
  for (const frame of frames) {
    for (const payload of payloadsOf([frame])) merge.take(decodePartial(payload), (row) => block.add(row, partition));
    merge.endFrame((row) => block.add(row, partition));
  }
  return block.finish().flatMap((bytes) => readNative(bytes));
}

/**
 * Windows that every partition has passed, by what each has told of them last: numbers, least and greatest of them are put together here,
 * not by the merge.
 */
function accountOf(spec: GroupSpec, messages: readonly GroupMessage[], partitions: number): Map<string, string> {
  const marks = Array.from({ length: partitions }, () => -1);
  const newest = new Map<string, Map<number, { at: GroupMessage; state: Uint8Array }>>();
  for (const message of messages) {
    const { partition, window, startMs, partial, offset, ordinal } = message;
    if (window !== spec.name) continue;
    if (partial === null) {
      marks[partition] = Math.max(marks[partition], startMs);
      continue;
    }
    const key = JSON.stringify([startMs, partial.group, partial.metric]);
    const of = newest.get(key) ?? new Map();
    newest.set(key, of);
    const before = of.get(partition)?.at;
    if (before && (offset < before.offset || (offset === before.offset && ordinal < before.ordinal))) continue;
    of.set(partition, { at: message, state: partial.state });
  }
  const set = aggregateSet(spec.aggregates);
  const out = new Map<string, string>();
  for (const [key, of] of newest) {
    const [startMs, group, metric] = JSON.parse(key);
    if (startMs > Math.min(...marks)) continue;
    const sums = { count: 0, min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY };
    for (const { state } of of.values()) {
      const column = new Float64Array(set.width);
      set.restore(column, 0, new StateReader(state));
      const { count, min, max } = set.result(column, 0);
      if (count === 0) continue;
      sums.count += count;
      sums.min = Math.min(sums.min, min);
      sums.max = Math.max(sums.max, max);
    }
    out.set(key, sumsOf({ start: startMs, device: group, metric, ...sums }));
  }
  return out;
}

function sumsOf({ start, device, metric, count, min, max }: NativeRow): string {
  return JSON.stringify(count === 0 ? [start, device, metric, 0] : [start, device, metric, count, min, max]);
}

function payloadsOf(frames: readonly { bytes: Uint8Array }[], topic?: string): Uint8Array[] {
  const reader = new FrameReader();
  return frames.flatMap(({ bytes }) => {
    const out: Uint8Array[] = [];
    reader.reset(bytes);
    while (reader.next()) if (topic === undefined || reader.topic() === topic) out.push(reader.payload().slice());
    return out;
  });
}

const distinct = (lines: readonly string[]): string[] => [...new Set(lines)];

function same(what: string, here: readonly string[], there: readonly string[], failures: string[]): void {
  const [a, b] = [new Set(here), new Set(there)];
  for (const line of there.filter((one) => !a.has(one)).slice(0, 3)) failures.push(`${what}: missing ${line}`);
  for (const line of here.filter((one) => !b.has(one)).slice(0, 3)) failures.push(`${what}: too many ${line}`);
}

function sameInOrder(what: string, here: readonly string[], there: readonly string[], failures: string[]): void {
  const at = Array.from({ length: Math.max(here.length, there.length) }).findIndex((_, i) => here[i] !== there[i]);
  if (at >= 0) failures.push(`${what}: the ${at + 1}th is ${here[at]}, of a replay ${there[at]}`);
}

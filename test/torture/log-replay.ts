import { pipelineOptionsOf } from '../../cli/pipeline-options.ts';
import { loadConfig } from '../../config/load.ts';
import type { LogFrame } from '../../log/log.ts';
import { FACT_TOPIC } from '../../model/fact.ts';
import { FrameReader } from '../../model/frame.ts';
import { OPERATION_TOPIC } from '../../model/operation.ts';
import { judgedGroups } from '../../model/rule-facts.ts';
import { decodeTold, encodeTold } from '../../model/told.ts';
import { ALARMS, FACTS, OPERATIONS, PARTIALS, TELEMETRY } from '../../model/topics.ts';
import { type EmitGroup, GroupMerge } from '../../processors/groups/merge.ts';
import { partialFrames } from '../../processors/groups/outgoing.ts';
import { decodePartial } from '../../processors/groups/partial.ts';
import { PartitionPipeline, type PipelineOptions } from '../../processors/pipeline.ts';
import { type NativeRow, readNative } from '../../processors/testing/native-rows.ts';
import { RollupsBlock } from '../../store/blocks.ts';
import { FLAG_DERIVED } from '../../store/readings-block.ts';
import { type LogContents, PARTITIONS } from './log-contents.ts';

/** The tables that a replay is compared in. Of readings those that were computed; the others have an oracle of their own. */
export const REPLAYED = ['rollups', 'alarms', 'alarm_events', 'devices', 'readings'] as const;
export type ReplayedTable = (typeof REPLAYED)[number];

/** What makes a row one, and which of several counts (store/tables.ts). */
export const KEYS: Record<ReplayedTable, readonly string[]> = {
  rollups: ['window', 'device', 'metric', 'start'],
  alarms: ['device', 'rule', 'id'],
  alarm_events: ['id', 'version'],
  devices: ['id'],
  readings: ['device', 'metric', 'ts', 'arrival'],
};
const VERSION: Partial<Record<ReplayedTable, string>> = { rollups: 'revision', alarms: 'version', devices: 'revision' };

/**
 * The log of a program worked at from its first frame, without checkpoints, by one pipeline for each partition and one merge for each
 * partition of PARTIALS. It goes on where it was, so that a program of many rounds is replayed once.
 */
export class LogReplay {
  readonly tables: Record<ReplayedTable, Map<string, NativeRow>>;
  /** What ALARMS should hold, by partition. */
  readonly events: string[][] = Array.from({ length: PARTITIONS }, () => []);
  /** What PARTIALS should hold, without what was told again: by partition and source partition. */
  readonly partials: string[][] = Array.from({ length: PARTITIONS * PARTITIONS }, () => []);
  readonly partialsLogged: string[][] = Array.from({ length: PARTITIONS * PARTITIONS }, () => []);
  readonly eventsLogged: string[][] = Array.from({ length: PARTITIONS }, () => []);
  /** Payloads of operations: on their topic, and by partition of TELEMETRY. */
  readonly operations: string[] = [];
  readonly operationsTaken: string[][] = Array.from({ length: PARTITIONS }, () => []);
  /** What FACTS should hold, and what it does, without what was told again: by the partition that told it. */
  readonly facts: string[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly factsLogged: string[][] = Array.from({ length: PARTITIONS }, () => []);
  /** Results of groups that rules look at, as the merges give them, and those on FACTS. */
  readonly results = new Set<string>();
  readonly resultsLogged = new Set<string>();
  /** Of these what is on TELEMETRY, by partition there. */
  readonly resultsTaken: Set<string>[] = Array.from({ length: PARTITIONS }, () => new Set());
  /** Facts on TELEMETRY, by partition there; one may have come more than once. */
  readonly factsTaken: string[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly #contents: LogContents;
  readonly #pipelines: PartitionPipeline[];
  readonly #merges: GroupMerge[];
  readonly #judged: ReadonlySet<string>;
  readonly #next = new Map<string, number>();
  /** The place of the newest message of PARTIALS, as #partials. */
  readonly #told: { offset: number; ordinal: number }[];
  /** The same of FACTS, by partition. */
  readonly #factTold = this.facts.map(() => ({ offset: -1, ordinal: -1 }));

  constructor(contents: LogContents, yaml: string) {
    this.#contents = contents;
    const options: PipelineOptions = { ...pipelineOptionsOf(loadConfig({ text: yaml })), partitions: PARTITIONS };
    const all = Array.from({ length: PARTITIONS }, (_, p) => p);
    this.#pipelines = all.map((p) => new PartitionPipeline(p, options, { state: null, lastAlarm: null }));
    this.#judged = judgedGroups(options.rules, options.windows);
    this.#merges = all.map(() => new GroupMerge(options.windows, PARTITIONS));
    this.#told = this.partials.map(() => ({ offset: -1, ordinal: -1 }));
    this.tables = {
      rollups: new Map(),
      alarms: new Map(),
      alarm_events: new Map(),
      devices: new Map(),
      readings: new Map(),
    };
  }

  /** Works at what has come since. Resolves with whether there was anything of TELEMETRY or PARTIALS. */
  async advance(): Promise<void> {
    for (let p = 0; p < PARTITIONS; p++) {
      for (const frame of await this.#fresh(TELEMETRY, p)) this.#telemetry(p, frame);
      for (const { bytes } of await this.#fresh(ALARMS, p)) this.eventsLogged[p].push(...textsOf(bytes));
      for (const { bytes } of await this.#fresh(PARTIALS, p)) this.#partial(p, bytes);
      for (const { bytes } of await this.#fresh(FACTS, p)) for (const fact of payloadsOf(bytes)) this.#fact(p, fact);
    }
    for (const { bytes } of await this.#fresh(OPERATIONS, 0)) this.operations.push(...textsOf(bytes));
  }

  async #fresh(topic: string, partition: number): Promise<LogFrame[]> {
    const key = `${topic}/${partition}`;
    const frames = await this.#contents.frames(topic, partition, this.#next.get(key) ?? 0);
    const last = frames.at(-1);
    if (last !== undefined) this.#next.set(key, last.offset + 1);
    return frames;
  }

  #telemetry(partition: number, { offset, bytes }: LogFrame): void {
    this.operationsTaken[partition].push(...textsOf(bytes, OPERATION_TOPIC));
    for (const payload of payloadsOf(bytes, FACT_TOPIC)) {
      const text = Buffer.from(payload).toString('utf8');
      if (decodeTold(payload).kind === 'rollup') this.resultsTaken[partition].add(text);
      else this.factsTaken[partition].push(text);
    }
    const pipeline = this.#pipelines[partition];
    pipeline.process(offset, bytes, null, true);
    const { blocks, alarmFrames, partials, facts } = pipeline.take();
    for (const table of REPLAYED) for (const block of blocks[table]) this.#rows(table, readNative(block));
    for (const frame of alarmFrames) this.events[partition].push(...textsOf(frame));
    this.facts[partition].push(...facts.map((fact) => Buffer.from(encodeTold(fact)).toString('utf8')));
    for (const { partition: to, frame } of partialFrames(partials, PARTITIONS)) {
      for (const bytes of payloadsOf(frame)) this.partials[to * PARTITIONS + partition].push(hexOf(bytes));
    }
  }

  #rows(table: ReplayedTable, rows: readonly NativeRow[]): void {
    const version = VERSION[table];
    for (const row of rows) {
      if (table === 'readings' && ((row.flags as number) & FLAG_DERIVED) === 0) continue;
      const key = keyOf(table, row);
      const before = this.tables[table].get(key);
      if (before !== undefined && version !== undefined && Number(before[version]) > Number(row[version])) continue;
      this.tables[table].set(key, row);
    }
  }

  #fact(partition: number, bytes: Uint8Array): void {
    const told = decodeTold(bytes);
    const text = Buffer.from(bytes).toString('utf8');
    if (told.kind === 'rollup') this.resultsLogged.add(text);
    else if (isNew(told, this.#factTold[partition])) this.factsLogged[partition].push(text);
  }

  #partial(partition: number, frame: Uint8Array): void {
    const block = new RollupsBlock();
    const merge = this.#merges[partition];
    const emit: EmitGroup = (rollup, definition) => {
      block.add(rollup, partition);
      if (!this.#judged.has(rollup.window)) return;
      this.results.add(Buffer.from(encodeTold({ kind: 'rollup', definition, rollup })).toString('utf8'));
    };
    for (const bytes of payloadsOf(frame)) {
      const message = decodePartial(bytes);
      merge.take(message, emit);
      const at = partition * PARTITIONS + message.partition;
      if (isNew(message, this.#told[at])) this.partialsLogged[at].push(hexOf(bytes));
    }
    merge.endFrame(emit);
    if (block.rows > 0) for (const bytes of block.finish()) this.#rows('rollups', readNative(bytes));
  }
}

/** Whether its place is behind the newest one so far, which it then becomes. */
function isNew({ offset, ordinal }: { offset: number; ordinal: number }, told: { offset: number; ordinal: number }) {
  if (offset < told.offset || (offset === told.offset && ordinal <= told.ordinal)) return false;
  Object.assign(told, { offset, ordinal });
  return true;
}

export function keyOf(table: ReplayedTable, row: NativeRow): string {
  return JSON.stringify(KEYS[table].map((name) => row[name]));
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

function payloadsOf(frame: Uint8Array, topic?: string): Uint8Array[] {
  const reader = new FrameReader();
  const out: Uint8Array[] = [];
  reader.reset(frame);
  while (reader.next()) if (topic === undefined || reader.topic() === topic) out.push(reader.payload().slice());
  return out;
}

function textsOf(frame: Uint8Array, topic?: string): string[] {
  return payloadsOf(frame, topic).map((bytes) => Buffer.from(bytes).toString('utf8'));
}

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { systemClock } from '../../model/clock.ts';
import { FrameReader } from '../../model/frame.ts';
import { silentLogger } from '../../model/logger.ts';
import { partitionOf } from '../../model/partition.ts';
import { ALARMS, TELEMETRY } from '../../model/topics.ts';
import { DECODE_LIMITS } from '../decode/decoder.ts';
import { type Processor, type ProcessorOptions, startProcessor } from '../processor.ts';
import { MemoryCheckpoints, MemoryLog, MemoryStore } from './memory.ts';
import type { NativeRow } from './native-rows.ts';
import { rule, window } from './run.ts';
import { troubledFrames } from './scenario.ts';

export const workerFile = pathToFileURL(join(process.cwd(), 'dist/processors/worker.js'));

export const pipeline = {
  payload: [],
  limits: DECODE_LIMITS,
  clockSkewMaxMs: 600_000,
  idleMs: 30_000,
  ledgerMs: 10_000,
  seq: 'seq',
  windows: [
    window({ name: '5s', sizeMs: 5000, outOfOrderMs: 1000, allowedLatenessMs: 10_000 }),
    window({ name: '20s', sizeMs: 20_000, metrics: ['t'] }),
  ],
  rules: [
    rule(),
    rule({
      ...{ name: 'dry', metric: 'h', devices: ['d*'], above: null, below: 40, clear: 60 },
      ...{ forMs: 2000, severity: 'minor', message: 'dry' },
    }),
  ],
} satisfies Partial<ProcessorOptions>;

export const PARTITIONS = 2;
/** Two devices for each partition. */
export const DEVICES = Array.from({ length: PARTITIONS }, (_, p) =>
  Array.from({ length: 50 }, (_, i) => `d${i}`)
    .filter((d) => partitionOf(d, PARTITIONS) === p)
    .slice(0, 2),
);

export interface World {
  log: MemoryLog;
  checkpoints: MemoryCheckpoints;
  store: MemoryStore;
}

export const newWorld = (): World => ({
  log: new MemoryLog(PARTITIONS),
  checkpoints: new MemoryCheckpoints(),
  store: new MemoryStore(),
});

const open = new Set<Processor>();
/** After each test. */
export async function stopAll(): Promise<void> {
  for (const processor of open) await processor.close();
  open.clear();
}

export async function start(world: World, more: Partial<ProcessorOptions> = {}): Promise<Processor> {
  const processor = await startProcessor({
    ...pipeline,
    ...world,
    group: 'processor',
    workers: 2,
    workerFile,
    checkpointMs: 40,
    batchBytesMax: 600,
    clock: systemClock,
    logger: silentLogger,
    tuning: { insertIntervalMs: 5, insertLingerMs: 1, drainMs: 5000 },
    ...more,
  });
  open.add(processor);
  return processor;
}

export async function stop(processor: Processor): Promise<void> {
  await processor.close();
  open.delete(processor);
}

export async function until(what: () => boolean, why: string): Promise<void> {
  for (let i = 0; i < 2000; i++) {
    if (what()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`never came to be: ${why}`);
}

export async function appendAll(log: MemoryLog, seed: number, frames: number): Promise<void> {
  for (let p = 0; p < PARTITIONS; p++) {
    for (const frame of troubledFrames(seed + p, frames, DEVICES[p])) await log.append(TELEMETRY, p, frame);
  }
}

export const isDone = (world: World) => () =>
  Array.from({ length: PARTITIONS }, (_, p) => p).every(
    (p) => world.log.commits.get(p) === world.log.frames(TELEMETRY, p).length,
  );

/** Rows in an order of their own; of those with the same key the newest version, as FINAL gives them. */
export function final(rows: NativeRow[], key: string[], version: string | null): string[] {
  const newest = new Map<string, NativeRow>();
  for (const row of rows) {
    const k = JSON.stringify(key.map((name) => row[name]));
    const before = newest.get(k);
    if (!before || version === null || Number(row[version]) >= Number(before[version])) newest.set(k, row);
  }
  return [...newest.values()].map((row) => JSON.stringify(row)).sort();
}

export function alarmEvents(world: World): string[][] {
  return Array.from({ length: PARTITIONS }, (_, p) =>
    world.log.frames(ALARMS, p).flatMap((frame) => {
      const reader = new FrameReader();
      reader.reset(frame.bytes);
      const out: string[] = [];
      while (reader.next()) out.push(`${reader.topic()} ${Buffer.from(reader.payload()).toString()}`);
      return out;
    }),
  );
}

/** All that a processor has given: what must be the same whatever has died. */
export function outcome({ store, log, ...rest }: World) {
  return {
    readings: store.rows.readings.map((row) => JSON.stringify(row)).sort(),
    quarantine: final(store.rows.quarantine, ['device', 'received', 'partition', 'offset', 'index'], null),
    rollups: final(store.rows.rollups, ['window', 'device', 'metric', 'start'], 'revision'),
    alarms: final(store.rows.alarms, ['device', 'rule', 'id'], 'version'),
    events: alarmEvents({ store, log, ...rest }),
  };
}

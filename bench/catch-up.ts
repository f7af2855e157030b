import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openKafkaLog } from '../log/kafka.ts';
import { openLmdbLog } from '../log/lmdb.ts';
import type { Log } from '../log/log.ts';
import { TELEMETRY } from '../model/topics.ts';
import { query } from './clickhouse.ts';
import { costBetween, type ProcessCost, type ProcessSample } from './processes.ts';
import { type RunningProgram, startProgram } from './program.ts';

/**
 * The program from the log on, without a generator beside it: a log that was filled before is worked off, as after a pause. So one can
 * have a million devices without as many sockets, and cores that nobody else uses.
 */
export interface CatchUp {
  readings: number;
  /** From the first look that found FROM_PART of the readings stored until all were. */
  readingsPerSecond: number;
  /** CPU-µs per reading in that time, by process. */
  cpuMicrosPerReading: { name: string; micros: number }[];
  /** Peak since each was started. */
  peakMemoryBytes: { name: string; bytes: number }[];
}

/** What comes before is of starting, compiling, and the first sight of every series. */
const FROM_PART = 0.25;
const POLL_MS = 50;
const PATIENCE_MS = 60_000;
const MAP_BYTES_MAX = 16 * 2 ** 30;
const APPENDS_IN_FLIGHT = 32;

export interface Filling {
  partition: number;
  bytes: Uint8Array<ArrayBuffer>;
}

export interface LogPlace {
  dataDir: string;
  /** Where Kafka is the log. */
  kafkaAddress?: string | null;
  partitions: number;
}

/** Puts frames onto a log that nobody works at yet, as a door would have. */
export async function fillLog(place: LogPlace, frames: Iterable<Filling>): Promise<void> {
  const log = await openToFill(place);
  try {
    const waiting = new Set<Promise<unknown>>();
    for (const { partition, bytes } of frames) {
      const append = log.append(TELEMETRY, partition, bytes);
      const done = append.finally(() => waiting.delete(done));
      waiting.add(done);
      if (waiting.size >= APPENDS_IN_FLIGHT) await Promise.race(waiting);
    }
    await Promise.all(waiting);
  } finally {
    await log.close();
  }
}

function openToFill({ dataDir, kafkaAddress = null, partitions }: LogPlace): Promise<Log> {
  if (kafkaAddress === null)
    return openLmdbLog({ dir: join(dataDir, 'log'), partitions, writes: [TELEMETRY], mapBytesMax: MAP_BYTES_MAX });
  return openKafkaLog({ brokers: [kafkaAddress], clientId: 'bench-fill', topicPrefix: 'sluice.', partitions });
}

/** Starts the program on a log that was filled with these frames, and gives it when so many readings are stored. */
export async function caughtUp(
  folder: string,
  options: { settings?: string; partitions: number; readings: number },
  frames: Iterable<Filling>,
): Promise<{ program: RunningProgram; run: CatchUp }> {
  const { settings, partitions, readings } = options;
  const prepare = (dataDir: string) => fillLog({ dataDir, partitions }, frames);
  const program = await startProgram('lmdb', folder, { settings, prepare });
  try {
    return { program, run: await catchUp(program, readings) };
  } catch (error) {
    await program.stop();
    throw error;
  }
}

/** Waits until that many readings are stored. */
export async function catchUp(
  program: Pick<RunningProgram, 'storeUrl' | 'sample'>,
  readings: number,
): Promise<CatchUp> {
  let rows = 0;
  let seenMs = performance.now();
  let from: { rows: number; atMs: number; sample: ProcessSample[] } | null = null;
  for (;;) {
    const [{ n }] = await query<{ n: number }>(program.storeUrl, 'SELECT count() AS n FROM sluice.readings');
    const nowMs = performance.now();
    if (Number(n) !== rows) seenMs = nowMs;
    rows = Number(n);
    if (from === null && rows >= readings * FROM_PART) from = { rows, atMs: nowMs, sample: program.sample() };
    if (rows >= readings) break;
    if (nowMs - seenMs > PATIENCE_MS) throw new Error(`${readings - rows} of ${readings} readings were not stored`);
    await sleep(POLL_MS);
  }
  if (from === null || from.rows >= readings) throw new Error(`${readings} readings are too few to measure`);
  const worked = rows - from.rows;
  const costs: ProcessCost[] = costBetween(from.sample, program.sample());
  return {
    readings,
    readingsPerSecond: (worked * 1000) / (seenMs - from.atMs),
    cpuMicrosPerReading: costs.map(({ name, cpuMicros }) => ({ name, micros: cpuMicros / worked })),
    peakMemoryBytes: costs.map(({ name, peakMemoryBytes }) => ({ name, bytes: peakMemoryBytes })),
  };
}

export function cpuOfCatchUp({ cpuMicrosPerReading }: CatchUp, name: string): number {
  return cpuMicrosPerReading.find((cost) => cost.name === name)?.micros ?? 0;
}

export function memoryOfCatchUp({ peakMemoryBytes }: CatchUp, name: string): number {
  return peakMemoryBytes.find((process) => process.name === name)?.bytes ?? 0;
}

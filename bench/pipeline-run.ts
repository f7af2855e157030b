import { setTimeout as sleep } from 'node:timers/promises';
import type { BlastResult } from '../device-sim/blast.ts';
import { query } from './clickhouse.ts';
import { runBlast } from './generator.ts';
import type { Load } from './load.ts';
import { costBetween, OwnMemory, type ProcessCost } from './processes.ts';
import { type LogName, type RunningProgram, startProgram } from './program.ts';
import type { Round } from './result.ts';
import type { Ask } from './stored-series.ts';
import { verifyStored } from './verify.ts';

/** How long the number of stored rows may stand still before the rest is given up. */
const PATIENCE_MS = 30_000;
const POLL_MS = 50;

/**
 * One program with one log: warm it up, then for each round blast, wait until all is stored, and compare. The clock of a round runs
 * from the first publish until the last reading can be queried.
 */
export async function pipelineRounds(log: LogName, load: Load, folder: string): Promise<Round[]> {
  const program = await startProgram(log, folder, { settings: load.connections > CROWD ? CROWD_SETTINGS : '' });
  try {
    const rounds: Round[] = [];
    const warm = await blastAndWait(program, load, 'warm', load.warmUpSeconds);
    if (warm.storedMs === null) throw new Error(`the warm-up was not stored: ${warm.missing} readings are missing`);
    for (let i = 0; i < load.rounds; i++) rounds.push(await oneRound(program, load, `round${i + 1}`));
    return rounds;
  } finally {
    await program.stop();
  }
}

/** Warm-up and rounds connect from one address; as many machines would come from many. */
const CROWD = 1000;
const CROWD_SETTINGS = 'mqtt: { perAddress: { connectsPerSecondMax: 0, connectionsMax: 100000 } }\n';

export interface RoundOptions {
  /** Whether others publish as well. */
  others?: boolean;
  /** Called when all is stored, or given up, and the verification begins. */
  onStored?(): void;
}

/** Blasts, waits until all is stored, and verifies it by content. What becomes of the verification is told in the round's problems, also when it fails. */
export async function oneRound(
  program: RunningProgram,
  load: Load,
  prefix: string,
  { others = false, onStored }: RoundOptions = {},
): Promise<Round> {
  const ask: Ask = (sql, settings) => query(program.storeUrl, sql, settings);
  const before = program.sample();
  const memory = new OwnMemory(() => program.sample());
  const { result, storedMs, missing } = await blastAndWait(program, load, prefix, load.seconds, others);
  const own = memory.stop();
  const costs = costBetween(before, program.sample());
  onStored?.();
  const problems = await verifyStored(ask, result).catch((error: Error) => [
    `it could not be verified: ${error.message}`,
  ]);
  if (missing > 0) problems.unshift(`${missing} readings were not stored within ${PATIENCE_MS / 1000} s`);
  if (result.unacknowledged > 0) problems.push(`${result.unacknowledged} messages were not acknowledged`);
  if (result.acksUnexpected > 0) problems.push(`${result.acksUnexpected} acknowledgements of nothing`);
  for (const { device, reason } of result.closed) problems.push(`the connection of ${device} was lost: ${reason}`);
  const [{ bytes, rows }] = await ask<{ bytes: number; rows: number }>(
    "SELECT sum(bytes_on_disk) AS bytes, sum(rows) AS rows FROM system.parts WHERE active AND database = 'sluice' AND table = 'readings'",
  );
  return roundOf(result, costs, problems, storedMs, Number(bytes) / Math.max(1, Number(rows)), own);
}

export async function blastAndWait(
  program: Pick<RunningProgram, 'mqttUrl' | 'storeUrl'>,
  load: Load,
  prefix: string,
  seconds: number,
  others = false,
): Promise<{ result: BlastResult; storedMs: number | null; missing: number }> {
  // The number of rows in a table is known without reading it, so asking often costs next to nothing. Where others publish too, only
  // the devices of the blast count, which takes reading: that is asked once all rows together are enough.
  const count = async (where: string) => {
    const [{ n }] = await query<{ n: number }>(program.storeUrl, `SELECT count() AS n FROM sluice.readings${where}`);
    return Number(n);
  };
  const rowsBefore = await count('');
  const result = await runBlast({ ...blastOptions(load, seconds), url: program.mqttUrl, devicePrefix: prefix });
  const { readings } = result.expected;
  const all = await untilRows(() => count(''), rowsBefore + readings);
  const own = others && all.missing === 0 ? await untilRows(() => count(ownRows(prefix)), readings) : all;
  return { result, storedMs: own.missing === 0 ? own.seenMs : null, missing: own.missing };
}

function ownRows(prefix: string): string {
  return ` WHERE device >= '${prefix}-' AND device < '${prefix}.'`;
}

/** Looks until there are so many rows or the number stands still for PATIENCE_MS. `seenMs`: time of day of the last look that found more. */
async function untilRows(count: () => Promise<number>, target: number): Promise<{ seenMs: number; missing: number }> {
  let rows = await count();
  let seenMs = Date.now();
  while (rows < target && Date.now() - seenMs < PATIENCE_MS) {
    await sleep(POLL_MS);
    const now = await count();
    if (now !== rows) seenMs = Date.now();
    rows = now;
  }
  return { seenMs, missing: Math.max(0, target - rows) };
}

export function blastOptions(load: Load, seconds: number) {
  const { connections, payload, qos, ratePerSecond } = load;
  return {
    durationMs: seconds * 1000,
    connections,
    payload,
    qos,
    ...(ratePerSecond === null ? {} : { ratePerSecond }),
  };
}

/** `storedMs`: time of day when all was stored, null when nothing is stored or not all was. */
export function roundOf(
  result: BlastResult,
  costs: readonly ProcessCost[],
  problems: string[],
  storedMs: number | null,
  bytesPerReading: number | null,
  own: ReadonlyMap<string, number> = new Map(),
): Round {
  const { messages, readings } = result.expected;
  const seconds = storedMs === null ? null : (storedMs - result.startedMs) / 1000;
  const processes: Round['processes'] = costs.map(({ name, cpuMicros, peakMemoryBytes }) => ({
    name,
    cpuMicrosPerMessage: cpuMicros / Math.max(1, messages),
    peakMemoryBytes,
    ownMemoryBytes: own.get(name),
  }));
  processes.push({
    name: 'generator',
    cpuMicrosPerMessage: result.cpuMicrosPerMessage,
    peakMemoryBytes: result.peakMemoryBytes,
  });
  return {
    messages,
    readings,
    ackedPerSecond: result.messagesPerSecond,
    storedPerSecond: seconds === null ? null : messages / seconds,
    readingsStoredPerSecond: seconds === null ? null : readings / seconds,
    pubackP50Ms: result.pubackLatency?.p50Ms ?? null,
    pubackP99Ms: result.pubackLatency?.p99Ms ?? null,
    puback: result.pubackLatency,
    pubackHistogram: result.pubackHistogram,
    processes,
    bytesPerReading,
    problems,
  };
}

import type { PayloadName, Qos } from '../device-sim/blast-payload.ts';
import type { LatencySummary } from '../device-sim/latency.ts';
import type { Load } from './load.ts';
import type { Machine } from './machine.ts';

/** What the bench measured, as it stands in the JSON file. Rates are per second of wall time, costs per acknowledged message. */
export interface Report {
  version: 1;
  at: string;
  machine: Machine;
  settings: RunSettings;
  runs: Run[];
  /** Latencies and costs at parts of what the program can take. */
  sweep?: SweepPoint[];
  /** Half of it with the data in memory: what is left of latencies without a disk. */
  inMemory?: SweepPoint;
  limits?: Limit[];
  idle?: IdleResult;
  pages?: PagesResult;
  /** What was left out and why: time was over, or it failed. */
  leftOut?: string[];
}

export interface RunSettings {
  seconds: number;
  connections: number;
  payload: PayloadName;
  qos: Qos;
  ratePerSecond: number | null;
  rounds: number;
}

export interface Run {
  name: string;
  about: string;
  /** Why it was not run; null when it was. */
  skipped: string | null;
  /** One for each round, in order. */
  rounds: Round[];
  /** What is different from the report's. */
  settings?: Partial<RunSettings & Load>;
}

/** One rate of an open loop. Latencies are counted from when a message was due. */
export interface SweepPoint {
  /** Of the capacity that was measured before. */
  fraction: number;
  ratePerSecond: number;
  ackedPerSecond: number;
  puback: LatencySummary | null;
  /** Publish until a query finds the row. */
  visible: LatencySummary | null;
  /** Publish until a subscriber of alarms/# has the event. */
  alarm: LatencySummary | null;
  /** Flushes of 64 KiB to the same disk meanwhile, by the bench itself. Absent in older results. */
  flush?: LatencySummary | null;
  /** CPU-µs per message, by process. */
  processes: Round['processes'];
  /** Rounds that were run, and those that the figures are of: without those in which a flush took too long, unless one did in all. Absent in older results. */
  rounds?: { all: number; taken: number };
  problems: string[];
}

/** What a part can do at most, when nothing else happens. */
export interface Limit {
  name: string;
  about: string;
  perSecond: number;
  unit: string;
}

export interface IdleResult {
  connections: number;
  /** Resident memory of the door for each, above what it had without. */
  bytesEach: number;
}

export interface PagesResult {
  /** Rows of `readings` that the queries were asked over. */
  readings: number;
  series: number;
  /** Rows a second while the table was filled by Native blocks. */
  insertedPerSecond: number;
  /** After the merges had ended, or were no longer waited for. */
  bytesPerReading: number;
  queries: { name: string; count: number; p50Ms: number; p95Ms: number; maxMs: number }[];
  /** Over all queries. */
  p95Ms: number;
}

export interface Round {
  messages: number;
  readings: number;
  /** From the first publish to the last acknowledgement. */
  ackedPerSecond: number;
  /** From the first publish until all was stored; null where nothing is stored. */
  storedPerSecond: number | null;
  readingsStoredPerSecond: number | null;
  /** From when a message was due (closed loop: sent) to its PUBACK; null with QoS 0. */
  pubackP50Ms: number | null;
  pubackP99Ms: number | null;
  /** Absent in results of older versions. */
  puback?: LatencySummary | null;
  pubackHistogram?: string | null;
  processes: {
    name: string;
    cpuMicrosPerMessage: number;
    peakMemoryBytes: number;
    /** The peak without pages of files; absent in results of older versions, and where it was not looked at. */
    ownMemoryBytes?: number;
  }[];
  /** In the store, before merges have finished; null where nothing is stored. */
  bytesPerReading: number | null;
  /** What is wrong with what was stored; empty when it is exactly what was acknowledged. */
  problems: string[];
}

/** The round in the middle by what matters: stored, or else acknowledged, messages per second. */
export function medianRound(rounds: readonly Round[]): Round | null {
  return rounds.length === 0 ? null : medianBy(rounds, (round) => -rateOf(round));
}

/** The one in the middle, the less the better; of an even number the worse of the two. At least one has to be there. */
export function medianBy<Value>(values: readonly Value[], by: (value: Value) => number): Value {
  return values.toSorted((a, b) => by(a) - by(b))[Math.floor(values.length / 2)];
}

/** CPU-µs per message of everything but the generator. */
export function cpuOf(processes: Round['processes']): number {
  return processes.reduce((sum, p) => sum + (p.name === 'generator' ? 0 : p.cpuMicrosPerMessage), 0);
}

export function rateOf(round: Round): number {
  return round.storedPerSecond ?? round.ackedPerSecond;
}

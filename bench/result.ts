import type { Machine } from './machine.ts';

/** What the bench measured, as it stands in the JSON file. Rates are per second of wall time, costs per acknowledged message. */
export interface Report {
  version: 1;
  at: string;
  machine: Machine;
  settings: {
    seconds: number;
    connections: number;
    payload: string;
    qos: 0 | 1;
    ratePerSecond: number | null;
    rounds: number;
  };
  runs: Run[];
}

export interface Run {
  name: string;
  about: string;
  /** Why it was not run; null when it was. */
  skipped: string | null;
  /** One for each round, in order. */
  rounds: Round[];
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
  processes: { name: string; cpuMicrosPerMessage: number; peakMemoryBytes: number }[];
  /** In the store, before merges have finished; null where nothing is stored. */
  bytesPerReading: number | null;
  /** What is wrong with what was stored; empty when it is exactly what was acknowledged. */
  problems: string[];
}

/** The round in the middle by what matters: stored, or else acknowledged, messages per second. */
export function medianRound(rounds: readonly Round[]): Round | null {
  const sorted = [...rounds].sort((a, b) => rateOf(a) - rateOf(b));
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
}

export function rateOf(round: Round): number {
  return round.storedPerSecond ?? round.ackedPerSecond;
}

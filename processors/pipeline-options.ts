import type { AlarmRule } from '../model/alarm.ts';
import type { Maintenance } from '../model/alarm-life.ts';
import type { DerivedMetric } from '../model/derived.ts';
import type { WindowSpec } from '../model/window.ts';
import type { DecodeLimits } from './decode/decoder.ts';
import type { FormatName } from './decode/formats.ts';

/** What is the same for all partitions. Passed to the worker threads as it is. */
export interface PipelineOptions {
  /** How the payloads of devices are read: the first entry that matches counts, JSON where none does. */
  payload: readonly { match: string; format: FormatName }[];
  windows: readonly WindowSpec[];
  rules: readonly AlarmRule[];
  /** How many partitions there are, which tell each other what alarms need to know of all; absent for one that stands alone. */
  partitions?: number;
  /** Times of maintenance; absent for none. */
  maintenance?: readonly Maintenance[];
  /** Metrics that are computed; none when it is left out. */
  derived?: readonly DerivedMetric[];
  limits: DecodeLimits;
  /** Series that are known at most, those that are computed apart; absent for no bound. Readings of others are stored only. */
  seriesMax?: number;
  /** Series and devices that were not heard of for so long by the partition's clock are forgotten; null, or absent, for never. */
  stateTtlMs?: number | null;
  /** A ts further ahead of the time received than this is stored, and moves no time. */
  clockSkewMaxMs: number;
  idleMs: number;
  /** How often the ledger's counts are written, by the clock of the partition. */
  ledgerMs: number;
  /** Name of the value in which devices number their messages; empty where they do not. */
  seq: string;
}

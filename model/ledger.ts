import { SluiceError } from './errors.ts';

/**
 * The ledger: what became of the messages of each device, by minute of the time received and by hop. ARCHITECTURE.md, "The
 * ledger", tells how the counts come about and why they can be trusted after a crash.
 *
 * The door counts what it takes and writes its counts into the partition that the messages are in, behind them: as a message with
 * an empty device, as a tick is, and the topic LEDGER_TOPIC. Whoever reads the log passes over it. Its payload is a claim, as JSON:
 *
 *     { "door": "…", "n": 7, "rows": [[minute, "device", received, failed], …] }
 *
 *     door    which life of which door; n counts its claims of this partition up from 1
 *     minute  of the time received, in minutes since the epoch
 *     failed  of those taken, now or in an earlier claim: the log did not take their frame, so that they were not acknowledged
 *
 * A claim whose append failed is written again as it was; by `door` and `n` it counts once, should it have been there after all.
 */
export const LEDGER_TOPIC = '$ledger';

export const MINUTE_MS = 60_000;

export interface Claim {
  door: string;
  n: number;
  rows: ClaimRow[];
}

/** Minute of the time received, device, messages taken, messages failed. */
export type ClaimRow = [minute: number, device: string, received: number, failed: number];

const utf8 = new TextEncoder();

export function encodeClaim(claim: Claim): Uint8Array<ArrayBuffer> {
  return utf8.encode(JSON.stringify(claim));
}

/** Throws INPUT_INVALID when the bytes are not a claim. */
export function decodeClaim(bytes: Uint8Array): Claim {
  let claim: Claim;
  try {
    claim = JSON.parse(new TextDecoder().decode(bytes)) as Claim;
  } catch (cause) {
    throw new SluiceError('INPUT_INVALID', 'a claim of the door is not JSON', { cause });
  }
  const isCount = (n: unknown): boolean => Number.isSafeInteger(n) && (n as number) >= 0;
  const isRow = (row: unknown): boolean =>
    Array.isArray(row) &&
    row.length === 4 &&
    typeof row[1] === 'string' &&
    isCount(row[0]) &&
    row[0] <= MINUTE_MAX &&
    isCount(row[2]) &&
    isCount(row[3]);
  if (typeof claim?.door !== 'string' || !isCount(claim.n) || !Array.isArray(claim.rows) || !claim.rows.every(isRow)) {
    throw new SluiceError('INPUT_INVALID', 'a claim of the door is not of its form');
  }
  return claim;
}

/** The last minute of the year 2199, where times received end as well. */
const MINUTE_MAX = Date.UTC(2200, 0, 1) / MINUTE_MS - 1;

/** What a row of the ledger counts: every hop of a message's way in its order, then its readings, then its device's own numbers. */
export const LEDGER_COUNTS = [
  /** Messages that a door took. */
  'received',
  /** Messages that the log did not take, so that no acknowledgement went out. */
  'failed',
  /** Messages on the log. */
  'logged',
  /** Messages in the quarantine. The others were decoded. */
  'quarantined',
  /** Readings that were decoded. */
  'readings',
  /** Readings that were given to the store. */
  'stored',
  /** Readings that were known already, and went nowhere else. */
  'duplicates',
  /** Readings that were too late for a window. They are stored. */
  'late',
  /** Readings that were stored without a look at whether they were known: too old, or too far in the future. */
  'unchecked',
  /** Numbers that the device gave its messages: those that came, those left out, left-out ones that came after all, and new beginnings. */
  'seq_seen',
  'seq_missing',
  'seq_found',
  'seq_restarts',
] as const;

export type LedgerCount = (typeof LEDGER_COUNTS)[number];

/** One row of the table `ledger`: a device's messages of one minute, in frames [offsetFirst, offsetNext) of one partition. */
export interface LedgerRow extends Record<LedgerCount, number> {
  /** Start of the minute of the time received. */
  minuteMs: number;
  partition: number;
  /** Empty for what names no device, and in the row that says how far a partition has been counted. */
  device: string;
  offsetFirst: number;
  offsetNext: number;
  /** Every frame of the partition before this offset has been counted. Of rows with the same key the one with the highest holds. */
  countedTo: number;
}

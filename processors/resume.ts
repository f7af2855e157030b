import type { Checkpoint } from '../log/checkpoints.ts';
import type { Log, LogBounds, LogFrame } from '../log/log.ts';
import { FrameReader } from '../model/frame.ts';
import type { Logger } from '../model/logger.ts';
import { ALARMS, TELEMETRY } from '../model/topics.ts';
import type { Store } from '../store/store.ts';
import type { LastAlarm, StoredFrames } from './batch-output.ts';

/**
 * What a partition has given before it was last stopped, found out from those who hold it: the store and the log. A replay from
 * the checkpoint gives everything again, and these say what to leave out.
 */
export interface Resume {
  /** Frames up to this offset may have rows in the store; −1 when there are none. */
  storedTo: number;
  /**
   * Rows of before this time received were not looked at. A message from before it was received by a door whose clock had
   * been set back, perhaps within a frame; then the store is asked again, from that frame on (`reachesBefore`).
   */
  receivedFromMs: number;
  /** Frames from this offset on came onto the log after this was found out: nobody has stored anything of them. */
  freshFrom: number;
  lastAlarm: LastAlarm | null;
}

/** The state of a checkpoint; null when there is none, or when it is of a log that went further than this one. Says what is amiss. */
export function usableState(
  partition: number,
  checkpoint: Checkpoint | null,
  bounds: LogBounds,
  logger: Logger,
): Uint8Array | null {
  if (checkpoint === null) return null;
  const { offsetNext } = checkpoint;
  if (offsetNext > bounds.next) {
    logger.warn('the checkpoint is ahead of its log, and is not used', { partition, offsetNext, logNext: bounds.next });
    return null;
  }
  if (offsetNext < bounds.first) {
    const frames = bounds.first - offsetNext;
    logger.error('retention has removed frames that were not processed', { partition, frames });
  }
  return checkpoint.state;
}

/** Doors' clocks differ a little, and a frame waits for its linger and its append. */
const RECEIVED_SLACK_MS = 60_000;

export async function findResume(log: Log, store: Store, partition: number, offset: number): Promise<Resume> {
  const [frame] = await log.read(TELEMETRY, partition, offset, 1);
  // With nothing to replay nothing can be given twice.
  const stored =
    frame === undefined
      ? { storedTo: -1, receivedFromMs: 0 }
      : await findStoredTo(store, partition, offset, receivedMinMs([frame]));
  const newest = await findLastAlarm(log, partition);
  const { next: freshFrom } = await log.bounds(TELEMETRY, partition);
  // An event of a message that the log has not had yet is of an earlier log.
  const lastAlarm = newest !== null && newest.offset < freshFrom ? newest : null;
  return { ...stored, freshFrom, lastAlarm };
}

/** Whether a message of these frames was received before the time that the store was asked from. */
export function reachesBefore(frames: readonly LogFrame[], receivedMs: number): boolean {
  return receivedMs > 0 && receivedMinMs(frames) < receivedMs;
}

/** The newest offset from `offset` on of which the store has rows, received not long before `receivedMs` or after it. */
export async function findStoredTo(
  store: Store,
  partition: number,
  offset: number,
  receivedMs: number,
): Promise<Pick<Resume, 'storedTo' | 'receivedFromMs'>> {
  const receivedFromMs = Math.max(0, receivedMs - RECEIVED_SLACK_MS);
  const [row] = await store.query<{ offset_max: string | number; row_count: string | number }>(
    `SELECT max(\`offset\`) AS offset_max, count() AS row_count FROM readings
     WHERE \`partition\` = {partition:UInt16} AND \`offset\` >= {offset:UInt64}
       AND received >= fromUnixTimestamp64Milli({received:Int64})`,
    { partition, offset, received: receivedFromMs },
  );
  const some = row !== undefined && Number(row.row_count) > 0;
  return { storedTo: some ? Number(row.offset_max) : -1, receivedFromMs };
}

/** The rows that the store holds of these frames, which follow each other. */
export async function findStored(store: Store, partition: number, frames: readonly LogFrame[]): Promise<StoredFrames> {
  const first = frames[0].offset;
  const last = frames[frames.length - 1].offset;
  const rows = await store.query<Record<'offset' | 'row_count' | 'min_ms' | 'max_ms', string | number>>(
    `SELECT \`offset\`, count() AS row_count,
       toUnixTimestamp64Milli(min(received)) AS min_ms, toUnixTimestamp64Milli(max(received)) AS max_ms
     FROM readings
     WHERE \`partition\` = {partition:UInt16} AND \`offset\` BETWEEN {first:UInt64} AND {last:UInt64}
       AND received >= fromUnixTimestamp64Milli({received:Int64})
     GROUP BY \`offset\``,
    { partition, first, last, received: receivedMinMs(frames) },
  );
  return {
    offsets: rows.map((row) => Number(row.offset)),
    rows: rows.map((row) => Number(row.row_count)),
    receivedMinMs: rows.map((row) => Number(row.min_ms)),
    receivedMaxMs: rows.map((row) => Number(row.max_ms)),
  };
}

/** The last event of the last frame of alarms, or null when there is none that can be read. */
async function findLastAlarm(log: Log, partition: number): Promise<LastAlarm | null> {
  const frame = await log.last(ALARMS, partition);
  if (frame === null) return null;
  const reader = new FrameReader();
  reader.reset(frame.bytes);
  let last: LastAlarm | null = null;
  try {
    while (reader.next()) {
      const event = JSON.parse(Buffer.from(reader.payload()).toString('utf8'));
      const offset = event?.data?.position?.offset;
      if (typeof offset === 'number' && typeof event.id === 'string') last = { offset, eventId: event.id };
    }
  } catch {
    return null;
  }
  return last;
}

/** The smallest time received of all messages, since a clock may be set back within a frame; 0 where nothing can be read. */
export function receivedMinMs(frames: readonly LogFrame[]): number {
  const reader = new FrameReader();
  let minMs = Number.POSITIVE_INFINITY;
  for (const { bytes } of frames) {
    reader.reset(bytes);
    try {
      while (reader.next()) minMs = Math.min(minMs, reader.receivedMs);
    } catch {
      // What cannot be read has no rows.
    }
  }
  return Number.isFinite(minMs) ? minMs : 0;
}

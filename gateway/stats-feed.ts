import type { Log, LogFrame, LogTail } from '../log/log.ts';
import { FrameReader } from '../model/frame.ts';
import type { Logger } from '../model/logger.ts';
import type { RoleStats } from '../model/stats.ts';
import { STATS } from '../model/topics.ts';
import { HISTORY_SECONDS_MAX, type StatsBoard } from './stats-board.ts';

const utf8 = new TextDecoder();

/** The payloads of a frame, as JSON; what is not JSON is passed over and counted in `onBad`. */
export function jsonPayloads(frame: LogFrame, onBad: (reason: string) => void): unknown[] {
  const reader = new FrameReader();
  const out: unknown[] = [];
  try {
    reader.reset(frame.bytes);
    while (reader.next()) {
      if (reader.payloadEnd === reader.payloadStart) continue;
      out.push(JSON.parse(utf8.decode(reader.bytes.subarray(reader.payloadStart, reader.payloadEnd))));
    }
  } catch (error) {
    onBad(error instanceof Error ? error.message : String(error));
  }
  return out;
}

/** Follows the stats topics, starting a few minutes back so that a page that has just been opened has a past to show. */
export async function followStats(
  log: Log,
  board: StatsBoard,
  logger: Logger,
  onLost: (e: Error) => void,
): Promise<LogTail[]> {
  const tails: LogTail[] = [];
  for (const topic of Object.values(STATS)) {
    tails.push(
      await log.tail(topic, {
        from: async (partition) => {
          const { first, next } = await log.bounds(topic, partition);
          return Math.max(first, next - HISTORY_SECONDS_MAX);
        },
        onFrames: (_partition, frames) => {
          for (const frame of frames) {
            const payloads = jsonPayloads(frame, (reason) =>
              logger.warn('a stats record could not be read', { topic, offset: frame.offset, reason }),
            );
            for (const payload of payloads) if (isRoleStats(payload)) board.add(payload);
          }
        },
        onError: onLost,
      }),
    );
  }
  return tails;
}

function isRoleStats(value: unknown): value is RoleStats {
  if (typeof value !== 'object' || value === null) return false;
  const v = value as Partial<RoleStats>;
  return (
    (v.role === 'door' || v.role === 'processor' || v.role === 'store') &&
    typeof v.instance === 'string' &&
    Number.isFinite(v.atMs) &&
    Number.isFinite(v.startedMs)
  );
}

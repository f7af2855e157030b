import type { Log } from '../log/log.ts';
import type { Clock, TimerHandle } from '../model/clock.ts';
import { encodeMessage } from '../model/frame.ts';
import type { Logger } from '../model/logger.ts';
import type { RoleStats } from '../model/stats.ts';

/** How often a role tells how it does. */
const INTERVAL_MS = 1000;

const utf8 = new TextEncoder();

/** Appends `read()` to a stats topic once a second, until closed. A failed append is told once and does not end the role. */
export function startStatsWriter(options: {
  log: Log;
  topic: string;
  read: () => RoleStats;
  clock: Clock;
  logger: Logger;
}): { close(): Promise<void> } {
  const { log, topic, read, clock, logger } = options;
  let timer: TimerHandle | null = null;
  let inFlight: Promise<void> = Promise.resolve();
  let closed = false;
  let failing = false;

  const write = async (): Promise<void> => {
    try {
      await log.append(topic, 0, encodeMessage(clock.nowMs(), '', topic, utf8.encode(JSON.stringify(read()))));
      failing = false;
    } catch (error) {
      if (!failing && !closed) logger.warn('cannot tell how this role does', { error: String(error) });
      failing = true;
    }
  };
  const next = (): void => {
    inFlight = write().then(() => {
      if (!closed) timer = clock.after(INTERVAL_MS, next);
    });
  };
  next();
  return {
    async close() {
      closed = true;
      timer?.cancel();
      await inFlight;
    },
  };
}

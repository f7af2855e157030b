import type { Clock, TimerHandle } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { TierSpec } from '../model/tier.ts';
import { type RefreshOptions, refreshTier, type TierStore } from './tiers.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

export interface TierKeeperOptions {
  store: TierStore;
  /** A tier stands behind those that it is made from. */
  tiers: readonly TierSpec[];
  clock: Clock;
  logger: Logger;
  refresh?: RefreshOptions;
}

export interface TierKeeper {
  /** Runs that ended, runs that failed, changed rows that they took in, and when the last one ended. */
  stats(): TierKeeperStats;
  /** Breaks off what runs, which is harmless. */
  close(): Promise<void>;
}

export interface TierKeeperStats {
  runs: number;
  failures: number;
  rowsChanged: number;
  /** null before the first. */
  lastRunMs: number | null;
}

/** How often a tier is made: 24 times in a period, so that a row below is read a dozen times on the way, but at least once an hour. */
export function tierIntervalMs(sizeMs: number): number {
  return Math.min(HOUR_MS, Math.max(MINUTE_MS, Math.floor(sizeMs / 24)));
}

/** Keeps the tiers made. Every processor may run one: they do the same work twice, to the same end. */
export function startTierKeeper(options: TierKeeperOptions): TierKeeper {
  const { store, tiers, clock, logger } = options;
  const counts: TierKeeperStats = { runs: 0, failures: 0, rowsChanged: 0, lastRunMs: null };
  const stop = new AbortController();
  const due = new Map<string, number>();
  let timer: TimerHandle | null = null;
  let running: Promise<void> = Promise.resolve();
  const runDue = async (): Promise<void> => {
    for (const tier of tiers) {
      if (stop.signal.aborted) return;
      if (clock.nowMs() < (due.get(tier.name) ?? 0)) continue;
      due.set(tier.name, clock.nowMs() + tierIntervalMs(tier.sizeMs));
      try {
        const { changed } = await refreshTier(store, tier, { ...options.refresh, signal: stop.signal });
        counts.runs++;
        counts.rowsChanged += changed;
        counts.lastRunMs = clock.nowMs();
      } catch (error) {
        if (stop.signal.aborted) return;
        counts.failures++;
        logger.warn('a tier of rollups could not be made, it is tried again', {
          tier: tier.name,
          error: String(error),
        });
      }
    }
  };
  const again = (): void => {
    running = runDue().finally(() => {
      if (!stop.signal.aborted) timer = clock.after(MINUTE_MS, again);
    });
  };
  if (tiers.length > 0) again();
  return {
    stats: () => ({ ...counts }),
    async close() {
      stop.abort();
      timer?.cancel();
      await running;
    },
  };
}

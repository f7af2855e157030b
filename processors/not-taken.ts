import type { Logger } from '../model/logger.ts';
import { addNotTaken } from './batch-output.ts';
import type { NotTaken } from './windows/limits.ts';

/** What windows had no room for since the processor was started, of all its partitions. Says so in the log once for each window and bound. */
export class NotTakenCounts {
  readonly #logger: Logger;
  readonly #counts = new Map<string, NotTaken>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(more: ReadonlyMap<string, NotTaken>): void {
    if (more.size === 0) return;
    for (const [window, { ofSeries, ofReadings }] of more) {
      const before = this.#counts.get(window);
      if (ofSeries > 0 && (before?.ofSeries ?? 0) === 0)
        this.#logger.warn(
          'a window takes as many series as it may: readings of further ones are stored, and are not in it; raise its seriesMax',
          { window },
        );
      if (ofReadings > 0 && (before?.ofReadings ?? 0) === 0)
        this.#logger.warn(
          'a window holds as many readings of a series as it may: the oldest leave before their time; raise its readingsMax',
          { window },
        );
    }
    addNotTaken(this.#counts, more);
  }

  /** By window, for model/stats.ts. */
  by(bound: keyof NotTaken): Record<string, number> {
    // Names of the settings are keys here, whatever they are.
    const counts = Object.create(null) as Record<string, number>;
    for (const [window, notTaken] of this.#counts) counts[window] = notTaken[bound];
    return counts;
  }
}

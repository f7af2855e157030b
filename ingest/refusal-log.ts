import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';

/** Lines a second; a flood of bad clients must not become a flood of lines. */
const LINES_PER_SECOND_MAX = 20;

/** Tells why connections and clients are refused, up to a rate; what was left out is counted in the next line that is not. */
export class RefusalLog {
  readonly #logger: Logger;
  readonly #clock: Clock;
  #sinceMs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #omitted = 0;

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  say(message: string, values: Record<string, unknown>): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#sinceMs >= 1000) {
      this.#sinceMs = nowMs;
      this.#lines = 0;
    }
    if (this.#lines >= LINES_PER_SECOND_MAX) {
      this.#omitted++;
      return;
    }
    this.#lines++;
    this.#logger.warn(message, this.#omitted === 0 ? values : { ...values, linesOmitted: this.#omitted });
    this.#omitted = 0;
  }
}

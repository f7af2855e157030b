import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';

/** Different reasons that are told apart; further ones count as `other`. Reasons are few: numbers and names are taken out of them. */
const REASONS_MAX = 48;
/** Lines a second over all reasons: a flood of bad clients must not become a flood of lines. */
const LINES_PER_SECOND_MAX = 20;

interface Reason {
  count: number;
  /** Not told since the last line. */
  suppressed: number;
  linedMs: number;
}

/**
 * Tells why connections and clients are refused: one line a second for each reason, which says how many others of the same
 * reason were left out since the last. What a client chose (its name, its numbers) does not make a reason of its own.
 */
export class RefusalLog {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #reasons = new Map<string, Reason>();
  #sinceMs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #authFailures = 0;
  #subscribersCutOff = 0;

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  say(message: string, values: Record<string, unknown>): void {
    const nowMs = this.#clock.nowMs();
    const text = typeof values.reason === 'string' ? values.reason : message;
    if (message === 'client refused') this.#authFailures++;
    if (DRAIN.test(text)) this.#subscribersCutOff++;
    const reason = this.#reason(text);
    reason.count++;
    if (nowMs - this.#sinceMs >= 1000) {
      this.#sinceMs = nowMs;
      this.#lines = 0;
    }
    if (nowMs - reason.linedMs < 1000 || this.#lines >= LINES_PER_SECOND_MAX) {
      reason.suppressed++;
      return;
    }
    this.#lines++;
    this.#logger.warn(message, reason.suppressed === 0 ? values : { ...values, suppressed: reason.suppressed });
    reason.suppressed = 0;
    reason.linedMs = nowMs;
  }

  /** Since the start, for model/stats.ts. */
  counts(): { refusals: Record<string, number>; authFailures: number; subscribersCutOff: number } {
    const refusals = Object.fromEntries([...this.#reasons].map(([reason, { count }]) => [reason, count]));
    return { refusals, authFailures: this.#authFailures, subscribersCutOff: this.#subscribersCutOff };
  }

  #reason(text: string): Reason {
    let key = reasonOf(text);
    let found = this.#reasons.get(key);
    if (found === undefined) {
      if (this.#reasons.size >= REASONS_MAX) key = 'other';
      found = this.#reasons.get(key) ?? { count: 0, suppressed: 0, linedMs: Number.NEGATIVE_INFINITY };
      this.#reasons.set(key, found);
    }
    return found;
  }
}

/** What the broker says when a subscriber has not drained in time. */
const DRAIN = /drain/i;

/** A reason without what differs from client to client: what is quoted, numbers, and what comes after a colon or semicolon. */
export function reasonOf(text: string): string {
  const bare = text
    .replace(/"[^"]*"|'[^']*'|`[^`]*`/g, '…')
    .replace(/[:;].*$/s, '')
    .replace(/\d+/g, 'N')
    .replace(/[^\x20-\x7e…]/g, '')
    .trim();
  return bare === '' ? 'other' : bare.slice(0, 80);
}

import type { Clock } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import type { Store } from '../store/store.ts';
import { HttpProblem } from './problem.ts';

/** Queries of pages that the store is given at once; the rest wait their turn. Inserts have the rest of the machine. */
const RUNNING_MAX = 4;
/** Queries that wait; one more is refused, so that a crowd of pages cannot pile up work that nobody waits for any longer. */
const WAITING_MAX = 64;
/** What one query may take. The server is told the same, and stops by itself; the client's own limit is a little later. */
const QUERY_SECONDS_MAX = 8;
const QUERY_BYTES_MAX = 1_500_000_000;

/** Bounds that protect inserts from what a page asks. */
const SETTINGS = { max_execution_time: QUERY_SECONDS_MAX, max_memory_usage: QUERY_BYTES_MAX, max_threads: 2 };
/** Lets GROUP BY follow the order of the table, so that it needs little memory and can stop at a LIMIT. */
export const IN_ORDER = { optimize_aggregation_in_order: 1 };

/** The store as pages see it: few queries at once, each with an end. */
export class StoreGate {
  running = 0;
  queries = 0;
  failures = 0;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Rows of a query. Throws an HttpProblem 503 when too many wait, 504 when the time is up, and
   * the store's own errors. That it would read more than its `max_rows_to_read` is no failure: who sets it asks in another way then.
   */
  async query<Row>(
    sql: string,
    params: Record<string, unknown> = {},
    settings: Record<string, number> = {},
  ): Promise<Row[]> {
    if (this.running >= RUNNING_MAX) {
      if (this.#waiting.length >= WAITING_MAX) {
        throw new HttpProblem(503, 'GATEWAY_BUSY', `${WAITING_MAX} queries wait already`, 'try again in a few seconds');
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.running++;
    }
    this.queries++;
    const abort = new AbortController();
    const timer = this.#clock.after((QUERY_SECONDS_MAX + 2) * 1000, () => abort.abort());
    try {
      return await this.#store.query<Row>(sql, params, {
        signal: abort.signal,
        settings: { ...SETTINGS, ...settings },
      });
    } catch (error) {
      if (!wouldReadTooMuch(error)) this.failures++;
      throw abort.signal.aborted || tookTooLong(error) ? tooLong() : error;
    } finally {
      timer.cancel();
      const next = this.#waiting.shift();
      if (next) next();
      else this.running--;
    }
  }
}

/** Whether the server refused a query, before it began, for the `max_rows_to_read` that it was given. */
export function wouldReadTooMuch(error: unknown): boolean {
  return error instanceof SluiceError && /TOO_MANY_ROWS\b/.test(error.message);
}

function tookTooLong(error: unknown): boolean {
  return error instanceof SluiceError && /TIMEOUT_EXCEEDED|Timeout exceeded/.test(error.message);
}

function tooLong(): HttpProblem {
  return new HttpProblem(
    504,
    'QUERY_TOO_LONG',
    `the store did not answer within ${QUERY_SECONDS_MAX} s`,
    'ask for a shorter range',
  );
}

import type { Clock } from '../../model/clock.ts';
import { Histogram } from '../../model/histogram.ts';
import type { StoreClientStats } from '../../model/stats.ts';
import type { Store, TableName } from '../../store/store.ts';
import { Waiting } from './waiting.ts';

/** The store as it was, with its inserts measured. A retry belongs to its insert: the time is that until it was in the table. */
export class MeasuredStore {
  readonly store: Store;
  insertRetries = 0;
  readonly #insertSeconds = new Map<TableName, Histogram>();
  readonly #waiting: Waiting;
  #insertErrors = 0;

  constructor(inner: Store, clock: Clock) {
    this.#waiting = new Waiting(clock);
    this.store = {
      migrate: () => inner.migrate(),
      insert: (table, blocks, options) => this.#insert(inner, table, blocks, options),
      query: (sql, params, options) => inner.query(sql, params, options),
      command: (sql, params) => inner.command(sql, params),
      ping: () => inner.ping(),
      close: () => inner.close(),
    };
  }

  stats(): StoreClientStats {
    return {
      insertSeconds: Object.fromEntries([...this.#insertSeconds].map(([table, h]) => [table, h.snapshot()])),
      insertErrors: this.#insertErrors,
      insertRetries: this.insertRetries,
      waiting: this.#waiting.count,
      silentMs: this.#waiting.oldestMs(),
    };
  }

  async #insert(
    inner: Store,
    table: TableName,
    blocks: readonly Uint8Array<ArrayBuffer>[],
    options: Parameters<Store['insert']>[2],
  ): Promise<void> {
    const entry = this.#waiting.begin();
    try {
      await inner.insert(table, blocks, options);
      let seconds = this.#insertSeconds.get(table);
      if (seconds === undefined) {
        seconds = new Histogram();
        this.#insertSeconds.set(table, seconds);
      }
      seconds.add(this.#waiting.ageMs(entry) / 1000);
    } catch (error) {
      this.#insertErrors++;
      throw error;
    } finally {
      this.#waiting.end(entry);
    }
  }
}

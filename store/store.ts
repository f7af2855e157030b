/**
 * The store, as the rest of the program sees it: a ClickHouse behind a URL. Implementation: store/clickhouse.ts (the only file
 * that imports @clickhouse/client). Embedded or cluster is only the address.
 */
export interface Store {
  /** Creates the database and brings the tables to the newest version. Safe to run from several processes at once. */
  migrate(): Promise<void>;

  /**
   * Inserts Native blocks (one or more, one after another in `blocks`) into a table of store/tables.ts. Resolves when they are
   * in the table. Retries as long as the failure may pass, always with the same bytes and the same `token`, which the
   * server uses to insert them once; rejects with STORE_REFUSED when the server says that it never will, and with
   * STORE_UNAVAILABLE when `signal` is aborted.
   *
   * `release`: nobody uses the blocks again, each of which has a buffer of its own; a store that has read them to their end may give
   * their memory back, so they may be empty from now on.
   */
  insert(table: TableName, blocks: readonly Uint8Array<ArrayBuffer>[], options: InsertOptions): Promise<void>;

  /**
   * Rows of a query as objects. `params` are bound by the server ({name:Type} in the SQL). `settings` are ClickHouse's own, for this
   * query alone: a reader's may bound the work, while a SETTINGS clause in its SQL would be refused.
   */
  query<Row>(sql: string, params?: Record<string, unknown>, options?: QueryOptions): Promise<Row[]>;

  /** Runs a statement that gives no rows. */
  command(sql: string, params?: Record<string, unknown>): Promise<void>;

  /** True when the server answers. */
  ping(): Promise<boolean>;

  close(): Promise<void>;
}

export interface QueryOptions {
  signal?: AbortSignal;
  settings?: Readonly<Record<string, number>>;
}

export type TableName = 'readings' | 'rollups' | 'alarms' | 'alarm_events' | 'quarantine' | 'ledger' | 'devices';

/** See `Store.insert`. */
export interface InsertOptions {
  token: string;
  signal?: AbortSignal;
  release?: boolean;
}

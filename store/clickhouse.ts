import { Readable } from 'node:stream';
import {
  type ClickHouseClient,
  ClickHouseError,
  ClickHouseLogLevel,
  type ClickHouseSettings,
  createClient,
} from '@clickhouse/client';
import { type Clock, systemClock } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import { releaseBuffer } from '../model/release-buffer.ts';
import { migrate } from './migrations.ts';
import { Slots } from './slots.ts';
import type { InsertOptions, QueryOptions, Store, TableName } from './store.ts';
import type { Ttls } from './tables.ts';

export interface StoreOptions extends Ttls {
  /** `http://HOST:PORT` or `https://…`; without user, password or database in it. */
  url: string;
  username?: string;
  password?: string;
  /** Default `sluice`. A word of letters, digits and underscores. */
  database?: string;
  /** A request that has had no answer for this long is given up, and an insert is tried again. Default 60 s. */
  requestTimeoutMs?: number;
  /** Inserts on the wire at once; more calls wait their turn. Default 4. */
  insertsInFlightMax?: number;
  /** Pause before the second try; it doubles with each try up to the maximum, and a random part is taken off. Defaults 100 ms, 10 s. */
  retryPauseMs?: number;
  retryPauseMsMax?: number;
  clock?: Clock;
  random?: () => number;
  /** Told before each pause, so that an operator sees why nothing moves. */
  onRetry?: (retry: { table: TableName; tries: number; pauseMs: number; error: string }) => void;
}

/**
 * Server errors that pass: load, memory, disk, replication and network trouble on the server's side.
 * Source: src/Common/ErrorCodes.cpp of ClickHouse.
 */
const PASSING_CODES = new Map([
  ['74', 'CANNOT_READ_FROM_FILE_DESCRIPTOR'],
  ['75', 'CANNOT_WRITE_TO_FILE_DESCRIPTOR'],
  ['76', 'CANNOT_OPEN_FILE'],
  ['159', 'TIMEOUT_EXCEEDED'],
  ['202', 'TOO_MANY_SIMULTANEOUS_QUERIES'],
  ['203', 'NO_FREE_CONNECTION'],
  ['209', 'SOCKET_TIMEOUT'],
  ['210', 'NETWORK_ERROR'],
  ['225', 'NO_ZOOKEEPER'],
  ['236', 'ABORTED'],
  ['241', 'MEMORY_LIMIT_EXCEEDED'],
  ['242', 'TABLE_IS_READ_ONLY'],
  ['243', 'NOT_ENOUGH_SPACE'],
  ['252', 'TOO_MANY_PARTS'],
  ['279', 'ALL_CONNECTION_TRIES_FAILED'],
  ['319', 'UNKNOWN_STATUS_OF_INSERT'],
  ['341', 'UNFINISHED'],
  ['394', 'QUERY_WAS_CANCELLED'],
  ['425', 'SYSTEM_ERROR'],
  ['439', 'CANNOT_SCHEDULE_TASK'],
  ['473', 'DEADLOCK_AVOIDED'],
  ['745', 'SERVER_OVERLOADED'],
  ['999', 'KEEPER_EXCEPTION'],
]);

/** Settings of every request. */
const SETTINGS: ClickHouseSettings = {
  // Rows come as objects with numbers; counts beyond 2^53 do not occur.
  output_format_json_quote_64bit_integers: 0,
  session_timezone: 'UTC',
};

/**
 * Settings of an insert. Duplicates are told by the token alone; the blocks are not looked through for rows of the same key
 * (half of an insert's time), since merges and FINAL do that anyway.
 */
const INSERT_SETTINGS: ClickHouseSettings = { async_insert: 0, optimize_on_insert: 0, wait_end_of_query: 1 };

/** Opens a store. Nothing is sent yet: a server that is away shows at the first call. */
export function openStore(options: StoreOptions): Store {
  return new ClickHouseStore(options);
}

class ClickHouseStore implements Store {
  readonly #options: StoreOptions;
  readonly #database: string;
  readonly #client: ClickHouseClient;
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  readonly #inserts: Slots;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#database = options.database ?? 'sluice';
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(this.#database)) {
      throw new SluiceError('CONFIG_INVALID', `database ${JSON.stringify(this.#database)} is not a word`, {
        remedy: 'use letters, digits and underscores',
      });
    }
    this.#clock = options.clock ?? systemClock;
    this.#inserts = new Slots(options.insertsInFlightMax ?? 4);
    this.#client = this.#connect(this.#database);
  }

  #connect(database: string): ClickHouseClient {
    const { url, username, password, requestTimeoutMs = 60_000, insertsInFlightMax = 4 } = this.#options;
    return createClient({
      url,
      username,
      password,
      database,
      application: 'sluice',
      request_timeout: requestTimeoutMs,
      max_open_connections: insertsInFlightMax + 12,
      // Servers keep an idle connection for 3 s (up to 23.11) or 10 s; one that is reused at that moment would be reset.
      keep_alive: { enabled: true, idle_socket_ttl: 2000, eagerly_destroy_stale_sockets: true },
      compression: { request: false, response: false },
      clickhouse_settings: SETTINGS,
      log: { level: ClickHouseLogLevel.OFF }, // What goes wrong is told to the caller.
    });
  }

  async migrate(): Promise<void> {
    const outside = this.#connect('default');
    try {
      await outside
        .command({ query: `CREATE DATABASE IF NOT EXISTS ${this.#database}` })
        .catch((error: unknown) => Promise.reject(asStoreError(error)));
    } finally {
      await outside.close();
    }
    await migrate(this, this.#options);
  }

  async insert(table: TableName, blocks: readonly Uint8Array<ArrayBuffer>[], options: InsertOptions): Promise<void> {
    if (blocks.length === 0) return;
    const signal = options.signal ? AbortSignal.any([options.signal, this.#closing.signal]) : this.#closing.signal;
    await this.#inserts.take(signal).catch(() => Promise.reject(stopped(null)));
    try {
      for (let tries = 1; ; tries++) {
        try {
          await this.#insertOnce(table, blocks, options.token, signal);
          // A try that failed may have left a socket behind that still reads them.
          if (options.release && tries === 1) for (const block of blocks) releaseBuffer(block);
          return;
        } catch (cause) {
          const error = asStoreError(cause);
          if (!error.retryable) throw error;
          if (signal.aborted) throw stopped(error);
          const pauseMs = this.#pauseMs(tries);
          this.#options.onRetry?.({ table, tries, pauseMs, error: error.message });
          await this.#pause(pauseMs, signal);
          if (signal.aborted) throw stopped(error);
        }
      }
    } finally {
      this.#inserts.give();
    }
  }

  async #insertOnce(
    table: TableName,
    blocks: readonly Uint8Array[],
    token: string,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const { stream } = await this.#client.exec({
      query: `INSERT INTO ${table} FORMAT Native`,
      values: Readable.from(blocks, { objectMode: false }),
      clickhouse_settings: { ...INSERT_SETTINGS, insert_deduplication_token: token },
      abort_signal: signal,
    });
    for await (const _ of stream); // The socket is free again only when the answer has been read.
  }

  async query<Row>(sql: string, params?: Record<string, unknown>, options?: QueryOptions): Promise<Row[]> {
    try {
      const result = await this.#client.query({
        query: sql,
        format: 'JSONEachRow',
        query_params: params,
        clickhouse_settings: options?.settings as ClickHouseSettings | undefined,
        abort_signal: this.#signal(options?.signal),
      });
      return await result.json<Row>();
    } catch (error) {
      throw asStoreError(error);
    }
  }

  async command(sql: string, params?: Record<string, unknown>): Promise<void> {
    try {
      await this.#client.command({ query: sql, query_params: params, abort_signal: this.#closing.signal });
    } catch (error) {
      throw asStoreError(error);
    }
  }

  async ping(): Promise<boolean> {
    const result = await this.#client.ping();
    return result.success;
  }

  async close(): Promise<void> {
    this.#closing.abort(new SluiceError('STORE_UNAVAILABLE', 'the store has been closed', { remedy: '' }));
    await this.#client.close();
  }

  #signal(signal: AbortSignal | undefined): AbortSignal {
    return signal ? AbortSignal.any([signal, this.#closing.signal]) : this.#closing.signal;
  }

  #pauseMs(tries: number): number {
    const { retryPauseMs = 100, retryPauseMsMax = 10_000, random = Math.random } = this.#options;
    const full = Math.min(retryPauseMsMax, retryPauseMs * 2 ** Math.min(tries - 1, 30));
    return Math.round(full * (0.5 + 0.5 * random()));
  }

  #pause(pauseMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = this.#clock.after(pauseMs, done);
      signal.addEventListener('abort', done);
      if (signal.aborted) done();
    });
  }
}

function stopped(cause: SluiceError | null): SluiceError {
  return new SluiceError('STORE_UNAVAILABLE', cause ? `gave up: ${cause.message}` : 'gave up before the insert began', {
    cause: cause ?? undefined,
    remedy: '',
  });
}

/** What the client threw, as an error of ours: the server's own refusal, or a failure that may pass. */
function asStoreError(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  if (error instanceof ClickHouseError) {
    const message = `${error.type ?? 'error'} (code ${error.code}): ${error.message.trim()}`;
    const passes = PASSING_CODES.has(error.code) || /No space left on device/.test(error.message);
    return new SluiceError(passes ? 'STORE_UNAVAILABLE' : 'STORE_REFUSED', message, {
      cause: error,
      values: { code: error.code, type: error.type },
      ...(passes ? { remedy: 'see the message of ClickHouse' } : {}),
    });
  }
  const message =
    error instanceof Error ? error.message || String((error as NodeJS.ErrnoException).code) : String(error);
  return new SluiceError('STORE_UNAVAILABLE', message === '' ? 'no answer' : message.slice(0, 1000), { cause: error });
}

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { type Clock, systemClock } from '../../model/clock.ts';
import { SluiceError } from '../../model/errors.ts';
import type { Logger } from '../../model/logger.ts';
import { readCredentials } from './credentials.ts';
import { type Engine, openEngine } from './engine.ts';
import { MERGE_THREADS } from './engine-config.ts';
import { type Counts, handle } from './http.ts';
import { MERGE_BACKLOG_PARTS, MergeBacklog } from './merge-backlog.ts';
import { yieldMerges } from './merge-threads.ts';

export interface EmbeddedStoreOptions {
  /** The store's folder: the engine's data, its configuration, and the file `credentials` (credentials.ts). */
  dir: string;
  /** Where to listen; port 0 takes a free one. */
  http: { host: string; port: number };
  /** Whether clients without the writer's password may only read. Default true. */
  readOnly?: boolean;
  /** Most memory that the engine's queries, inserts and merges may take together. Default 1 GiB. */
  memoryBytesMax?: number;
  /**
   * Threads of libuv's pool, which is what statements run on: UV_THREADPOOL_SIZE of the process. Up to three are for
   * writing, up to eight of the others for reading. Default 4, libuv's own, of which two long reads take half: 13 is better.
   */
  poolThreads?: number;
  /** A reader's statement is ended after this long. Default 60 s. */
  readerTimeMsMax?: number;
  /** Parts in one partition of a table at which the store merges by itself. Default 100 (merge-backlog.ts). */
  backlogPartsMax?: number;
  /** Default the machine's. */
  clock?: Clock;
  logger: Logger;
}

export interface EmbeddedStore {
  /** `http://HOST:PORT` */
  url: string;
  /** Counts since the start. */
  stats(): Counts;
  /** Resolves when a part of a table turns out to be unreadable, as after a full disk; a start of the engine puts it aside. */
  readonly corrupt: Promise<Error>;
  /** Takes no new connections, answers what is being worked at, then closes the engine. Idempotent. */
  close(): Promise<void>;
}

/** Longer than the client's 2 s (store/clickhouse.ts), so that it is never the server that lets go of a connection first. */
const KEEP_ALIVE_MS = 10_000;
/** How long a client that reads its answer slowly may hold up closing. */
const DRAIN_MS = 10_000;

/**
 * Starts chDB behind ClickHouse's HTTP interface. Call it in the main thread of a process that does nothing else: the native
 * engine crashes when a worker thread ends, and would take others down with it. Rejects with STORE_UNAVAILABLE when another
 * process has the folder, and with LISTEN_FAILED when the address is taken.
 */
export async function startEmbeddedStore(options: EmbeddedStoreOptions): Promise<EmbeddedStore> {
  const { dir, logger, memoryBytesMax = 2 ** 30, poolThreads = 4 } = options;
  const writer = readCredentials(dir);
  const writesMax = poolThreads >= 8 ? 3 : poolThreads >= 4 ? 2 : 1;
  const readsMax = Math.max(1, Math.min(8, poolThreads - writesMax));
  const engine = openEngine({ dir, memoryBytesMax, readsMax, writesMax });
  const merges = yieldMerges(MERGE_THREADS, logger);
  const counts: Counts = {
    queries: 0,
    inserts: 0,
    rowsInserted: 0,
    errors: 0,
    insertMs: 0,
    queryMs: 0,
    mergesRelieved: 0,
  };
  let onCorrupt: (error: Error) => void = () => {};
  const corrupt = new Promise<Error>((settle) => {
    onCorrupt = settle;
  });
  const http = {
    engine,
    onCorrupt,
    dir: resolve(dir),
    identity: { displayName: 'sluice', version: engine.version, timezone: engine.timezone },
    access: { writer: writer.username, password: writer.password, readOnly: options.readOnly ?? true },
    readerTimeMsMax: options.readerTimeMsMax ?? 60_000,
    readerThreadsMax: Math.max(1, Math.ceil(availableParallelism() / 2)),
    readerMemoryBytesMax: Math.round(memoryBytesMax / 4),
    counts,
  };
  const server = createServer({ maxHeaderSize: 2 ** 20, keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0 });
  server.on('request', (message, response) => {
    message.on('error', () => {}); // A client that breaks off shows where its body is read.
    response.on('error', () => {});
    void handle(http, message, response);
  });
  const backlog = new MergeBacklog({
    run: (sql) => runOwn(engine, sql),
    clock: options.clock ?? systemClock,
    logger,
    partsMax: options.backlogPartsMax ?? MERGE_BACKLOG_PARTS,
    onMerge: () => counts.mergesRelieved++,
  });
  try {
    await listen(server, options.http);
  } catch (error) {
    merges?.stop();
    await backlog.stop();
    await engine.close();
    throw error;
  }
  const { port } = server.address() as AddressInfo;
  const host = options.http.host.includes(':') ? `[${options.http.host}]` : options.http.host;
  const url = `http://${host}:${port}`;
  logger.debug('the embedded store is open', { url, dir, version: engine.version });
  let closing: Promise<void> | null = null;
  return {
    url,
    stats: () => ({ ...counts }),
    corrupt,
    close() {
      merges?.stop();
      closing ??= Promise.all([stop(server), backlog.stop()]).then(() => engine.close());
      return closing;
    },
  };
}

/** A statement of the store itself; it counts as nobody's query. */
async function runOwn(engine: Engine, sql: string): Promise<string> {
  const [settings, parameters] = [new Map<string, string>(), new Map<string, string>()];
  const options = { database: 'default', readOnly: false, settings, parameters, format: 'TabSeparated', isOwn: true };
  const { bytes } = await engine.run(sql, options);
  return new TextDecoder().decode(bytes);
}

function listen(server: Server, address: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        new SluiceError('LISTEN_FAILED', `the store cannot listen on ${address.host}:${address.port}: ${cause.code}`, {
          cause,
        }),
      );
    });
    server.listen(address.port, address.host, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
    // A kept-alive connection that is working now becomes idle only after its answer.
    const idle = setInterval(() => server.closeIdleConnections(), 50);
    server.close(() => {
      clearTimeout(cut);
      clearInterval(idle);
      resolve();
    });
    server.closeIdleConnections();
  });
}

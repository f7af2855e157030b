import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { drainPending, Session } from 'chdb';
import { SluiceError } from '../../model/errors.ts';
import { Lease, Slots } from '../slots.ts';
import { configXml, usersXml } from './engine-config.ts';

/** What a statement runs with. */
export interface RunOptions {
  database: string;
  /** Whether the engine's `readonly = 1` is set: no writing, no other settings, no table functions that reach outside. */
  readOnly: boolean;
  settings: ReadonlyMap<string, string>;
  /** Values for `{name:Type}`, as text. */
  parameters: ReadonlyMap<string, string>;
  /** The output format of statements that name none. */
  format: string;
  signal?: AbortSignal;
  /** Of the store itself: does not wait for a place among the statements of clients, nor takes one. */
  isOwn?: boolean;
}

export interface RunResult {
  bytes: Uint8Array;
  /** Rows read, or written by an INSERT. */
  rows: number;
  rowBytes: number;
  elapsedMs: number;
}

/** An error of the engine, with ClickHouse's number for it. */
export class EngineError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.name = 'EngineError';
    this.code = code;
  }
}

/** Sessions kept for the next statement that wants the same settings. */
const IDLE_SESSIONS_MAX = 16;
/** Statements of the store itself that run at once: a merge, and what looks after it. */
const OWN_MAX = 2;
/** Results that may be on their way to clients at once; each holds its session and a few blocks of rows. */
const STREAMS_MAX = 32;

/**
 * The embedded ClickHouse of one folder: chDB, which must live in the main thread of a process of its own.
 *
 * Each statement runs on a session (a native connection) that no other uses meanwhile; statements on different sessions run
 * truly side by side, on libuv's threads. After an error a session is closed: what a failed statement
 * had written so far would stand in the answer of the next. A session's settings are sticky, so a session is used again only for the same database,
 * settings and rights. Parameters are set for each statement and overwrite those of before; whoever calls checks that
 * none is missing. Closing a session waits, inside chdb, for everything that runs at the time: hence used again rather than closed.
 */
export class Engine {
  readonly version: string;
  readonly timezone: string;
  readonly incomingDir: string;
  readonly #dir: string;
  readonly #root: Session;
  readonly #idle: { key: string; session: Session }[] = [];
  readonly #reads: Slots;
  readonly #writes: Slots;
  readonly #own = new Slots(OWN_MAX);
  readonly #streams = new Slots(STREAMS_MAX);
  #closed = false;

  constructor(root: Session, dir: string, incomingDir: string, reads: number, writes: number) {
    this.#root = root;
    this.#dir = dir;
    this.incomingDir = incomingDir;
    this.#reads = new Slots(reads);
    this.#writes = new Slots(writes);
    [this.version, this.timezone] = root.query('SELECT version(), serverTimezone()', 'TSV').trim().split('\t');
  }

  /** Runs one statement and gives its whole output. */
  async run(sql: string, options: RunOptions): Promise<RunResult> {
    return this.#withSession(options, async (session) => {
      const result = await session.queryAsync(sql, { format: options.format });
      return {
        bytes: result.bytes(),
        rows: result.rowsRead,
        rowBytes: result.bytesRead,
        elapsedMs: result.elapsed * 1000,
      };
    });
  }

  /**
   * Runs a SELECT and hands out its output piece by piece, in constant memory; the next piece is made when `onPiece` has resolved. Only for
   * formats whose pieces may stand one behind the other: each is written as if it were all.
   */
  async stream(
    sql: string,
    options: RunOptions,
    onPiece: (piece: Uint8Array, rows: number) => Promise<void>,
  ): Promise<void> {
    await this.#streams.take(options.signal);
    try {
      await this.#withSession(options, async (session, lease) => {
        const stream = session.queryStream(sql, { format: options.format, signal: options.signal });
        for await (const piece of stream) {
          // A client that reads slowly keeps its session, but no place that another could run in.
          lease.give();
          await onPiece(piece.raw(), piece.numRows);
          await lease.take();
        }
      });
    } finally {
      this.#streams.give();
    }
  }

  /** Waits for what runs, then lets go of the folder. Later statements are refused. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([this.#streams.drain(), this.#reads.drain(), this.#writes.drain(), this.#own.drain()]);
    await drainPending();
    for (const { session } of this.#idle.splice(0)) session.close();
    this.#root.close();
    await drainPending();
  }

  async #withSession<T>(options: RunOptions, use: (session: Session, lease: Lease) => Promise<T>): Promise<T> {
    const places = options.isOwn ? this.#own : options.readOnly ? this.#reads : this.#writes;
    const lease = new Lease(places, options.signal);
    await lease.take();
    try {
      if (this.#closed) throw new EngineError(210, 'The store is shutting down');
      const key = sessionKey(options);
      const session = this.#takeIdle(key) ?? (await this.#openSession(options));
      let isSound = false;
      try {
        if (options.parameters.size > 0) await session.queryAsync(setStatement(parameterSettings(options.parameters)));
        const result = await use(session, lease);
        isSound = true;
        return result;
      } finally {
        if (isSound && !options.signal?.aborted) this.#keep(key, session);
        else session.close();
      }
    } catch (error) {
      throw asEngineError(error);
    } finally {
      lease.give();
    }
  }

  async #openSession(options: RunOptions): Promise<Session> {
    const session = new Session(this.#dir);
    try {
      await session.queryAsync(`USE ${quoteName(options.database)}`);
      const settings = new Map(options.settings);
      if (options.readOnly) settings.set('readonly', '1');
      if (settings.size > 0) await session.queryAsync(setStatement(settings));
      return session;
    } catch (error) {
      session.close();
      throw error;
    }
  }

  #takeIdle(key: string): Session | undefined {
    const at = this.#idle.findLastIndex((idle) => idle.key === key);
    return at < 0 ? undefined : this.#idle.splice(at, 1)[0].session;
  }

  #keep(key: string, session: Session): void {
    this.#idle.push({ key, session });
    if (this.#idle.length > IDLE_SESSIONS_MAX) this.#idle.shift()?.session.close();
  }
}

export interface EngineOptions {
  /** The store's folder; the engine's own files are below it. */
  dir: string;
  memoryBytesMax: number;
  /** Statements that run at once; each takes one of libuv's threads, which files need as well. */
  readsMax: number;
  writesMax: number;
}

/**
 * Opens the engine, after a kill as after a clean end. Throws STORE_UNAVAILABLE when another process has the folder, and
 * CONFIG_INVALID for a folder that the engine cannot work in.
 */
export function openEngine(options: EngineOptions): Engine {
  const { dir } = options;
  if (/[*?{}\n]/.test(dir)) {
    throw new SluiceError('CONFIG_INVALID', `the store's folder ${JSON.stringify(dir)} holds one of * ? { }`, {
      remedy: 'choose a folder without them: the engine takes them for patterns',
    });
  }
  const data = join(dir, 'clickhouse');
  const incoming = join(dir, 'incoming');
  const config = join(dir, 'config');
  for (const folder of [data, incoming, config]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(config, 'users.xml'), usersXml(options.memoryBytesMax));
  writeFileSync(join(config, 'config.xml'), configXml(join(config, 'users.xml'), options.memoryBytesMax));
  let root: Session;
  try {
    root = new Session(data, { connectionArgs: [`--config-file=${join(config, 'config.xml')}`] });
  } catch (cause) {
    throw notOpened(data, cause);
  }
  // What a killed process left of inserts that were never answered.
  rmSync(incoming, { recursive: true, force: true });
  mkdirSync(incoming, { mode: 0o700 });
  return new Engine(root, data, incoming, options.readsMax, options.writesMax);
}

/** The engine holds a lock on the file `status`, which says who it is. */
function notOpened(data: string, cause: unknown): SluiceError {
  let holder = 0;
  try {
    holder = Number(/^PID: (\d+)/m.exec(readFileSync(join(data, 'status'), 'utf8'))?.[1] ?? 0);
    if (holder > 0) process.kill(holder, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') holder = 0;
  }
  if (holder > 0) {
    return new SluiceError('STORE_UNAVAILABLE', `${data} is in use by process ${holder}`, {
      cause,
      remedy: 'stop that process, or choose another data folder',
      values: { holder },
    });
  }
  return new SluiceError('STORE_UNAVAILABLE', `the embedded engine cannot open ${data}: ${String(cause)}`, {
    cause,
    remedy: 'see what the engine wrote to standard error; check rights and free space',
  });
}

function sessionKey(options: RunOptions): string {
  const settings = [...options.settings].sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([options.readOnly, options.database, settings]);
}

function parameterSettings(parameters: ReadonlyMap<string, string>): Map<string, string> {
  return new Map([...parameters].map(([name, value]) => [`param_${name}`, value]));
}

function setStatement(settings: ReadonlyMap<string, string>): string {
  for (const name of settings.keys()) {
    if (!/^[A-Za-z_]\w*$/.test(name)) throw new EngineError(115, `Unknown setting ${JSON.stringify(name)}`);
  }
  return `SET ${[...settings].map(([name, value]) => `${name} = ${quoteText(value)}`).join(', ')}`;
}

/** Text as a literal of SQL. */
export function quoteText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** Text as an identifier of SQL. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``;
}

function asEngineError(error: unknown): unknown {
  if (error instanceof EngineError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = /^Code: (\d+)\. /.exec(message)?.[1];
  return code === undefined ? error : new EngineError(Number(code), message);
}

import { existsSync, mkdirSync, realpathSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { SluiceError } from '../model/errors.ts';

/**
 * One LMDB environment as a plain ordered map of bytes. This is the only file that knows lmdb-js.
 *
 * - A commit is one LMDB transaction and one fdatasync: with `overlappingSync: false` lmdb-js resolves after mdb_txn_commit,
 *   which has written and flushed the data pages and then the meta page.
 * - Reads take the newest commit of any process: the read transaction of lmdb-js is renewed before each look, and given back
 *   after it, since one that stays open keeps the pages of deleted frames from being used again.
 * - Bytes that are handed out are copies, never LMDB's memory.
 */
export interface Env {
  /** Runs `look` on one snapshot: the newest. `look` may not wait. */
  read<T>(look: (get: (key: Uint8Array) => Uint8Array | undefined) => T): T;
  /** Durable when resolved. Values must not change until then. Rejects with LOG_FULL or LOG_UNAVAILABLE; nothing is then written. */
  commit(puts: readonly (readonly [Uint8Array, Uint8Array])[], removes?: readonly Uint8Array[]): Promise<void>;
  /** Size of the data file. */
  fileBytes(): number;
  close(): Promise<void>;
}

interface Shared {
  db: RootDatabase<Uint8Array, Uint8Array>;
  writable: boolean;
  uses: number;
}

/**
 * lmdb-js keeps one environment a process for each file, with the flags of the first open. A reader that came first would make
 * it read-only for the writer, so the environments of this process are shared here, and reopened when a writer comes.
 */
const environments = new Map<string, Shared>();

/** Opens (and creates) an environment for writing. The caller holds its writer lock. */
export function openWritableEnv(dir: string, mapBytes: number): Env {
  mkdirSync(dir, { recursive: true });
  const path = realpathSync(dir);
  const shared = environments.get(path);
  if (shared === undefined) return use(path, { db: openDb(path, mapBytes, false), writable: true, uses: 0 });
  if (!shared.writable) {
    void shared.db.close();
    shared.db = openDb(path, mapBytes, false);
    shared.writable = true;
  }
  return use(path, shared);
}

/** Opens an environment that another process writes; null as long as it has not been created. */
export function openReadableEnv(dir: string, mapBytes: number): Env | null {
  const data = join(dir, 'data.mdb');
  // Two meta pages are the least that an environment holds; with fewer bytes its creation is still under way.
  if (!existsSync(data) || statSync(data).size < 8192) return null;
  const path = realpathSync(dir);
  const shared = environments.get(path);
  return use(path, shared ?? { db: openDb(path, mapBytes, true), writable: false, uses: 0 });
}

function openDb(path: string, mapBytes: number, readOnly: boolean): RootDatabase<Uint8Array, Uint8Array> {
  try {
    return open<Uint8Array, Uint8Array>({
      path,
      readOnly,
      noSubdir: false,
      encoding: 'binary',
      keyEncoding: 'binary',
      mapSize: mapBytes,
      maxDbs: 1,
      overlappingSync: false,
      eventTurnBatching: false,
      noMemInit: true,
    });
  } catch (error) {
    throw new SluiceError('LOG_UNAVAILABLE', `cannot open the LMDB environment ${path}: ${String(error)}`, {
      values: { path },
      cause: error,
      remedy: 'check the permissions of the data directory and that its disk has room',
    });
  }
}

function use(path: string, shared: Shared): Env {
  environments.set(path, shared);
  shared.uses++;
  let closed = false;
  return {
    read(look) {
      const { db } = shared;
      db.resetReadTxn();
      try {
        return look((key) => db.getBinary(key));
      } finally {
        db.resetReadTxn();
      }
    },
    commit: (puts, removes = []) => commit(shared.db, path, puts, removes),
    fileBytes: () => statSync(join(path, 'data.mdb')).size,
    async close() {
      if (closed) return;
      closed = true;
      if (--shared.uses > 0) return;
      environments.delete(path);
      await shared.db.close();
    },
  };
}

async function commit(
  db: RootDatabase<Uint8Array, Uint8Array>,
  path: string,
  puts: readonly (readonly [Uint8Array, Uint8Array])[],
  removes: readonly Uint8Array[],
): Promise<void> {
  try {
    await db.batch(() => {
      for (const key of removes) db.remove(key);
      for (const [key, value] of puts) db.put(key, value);
    });
  } catch (error) {
    const cause = await commitError(error);
    const text = String(cause);
    const full = /MDB_MAP_FULL|ENOSPC|No space left|quota exceeded|File too large/i.test(text) || isDiskFull(path);
    throw new SluiceError(full ? 'LOG_FULL' : 'LOG_UNAVAILABLE', `commit to ${path} failed: ${text}`, {
      values: { path },
      cause,
      ...(full ? { remedy: 'free space on the disk of the data directory, or shorten log.retention' } : {}),
    });
  }
}

/** LMDB calls a write that was cut short an input/output error, so the disk itself is asked. */
function isDiskFull(path: string): boolean {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize < 4 << 20;
}

/** lmdb-js rejects with a wrapper whose `commitError` is a promise that rejects with the cause. */
async function commitError(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !('commitError' in error)) return error;
  const late = new Promise<unknown>((resolve) => setTimeout(() => resolve(error), 200).unref());
  const known = Promise.resolve(error.commitError).then(
    () => error,
    (cause: unknown) => cause,
  );
  return Promise.race([known, late]);
}

import type { Logger } from '../../model/logger.ts';
import { silentLogger } from '../../model/logger.ts';
import { MIGRATIONS } from '../../store/migrations.ts';
import type { Store } from '../../store/store.ts';
import { openStoreClient } from '../engines.ts';
import { type Check, fail, inBytes, inTime, ok, type Patient, reasonOf, warn } from './check.ts';

/** The store, through the same client as the program's: an embedded one can be asked only while it runs. */

const PATIENCE_MS = 8_000;
const CLOCK_APART_MS = 2_000;
/** ClickHouse delays inserts from 1000 active parts of a partition on, and refuses them from 3000. */
const PARTS_MANY = 300;
const PARTS_TOO_MANY = 1000;
const QUARANTINE_SHARE = 0.01;

export async function checkStore(patient: Patient, logger: Logger = silentLogger): Promise<Check[]> {
  const { config, running } = patient;
  const embedded = config.store.url === null;
  if (embedded && !running.has('store')) {
    if (running.size === 0)
      return [ok('store', 'the embedded store does not run; its tables are checked while it does')];
    return [fail('store', 'the embedded store does not run, and other roles do', 'see the log of the role store')];
  }
  let store: Store;
  try {
    store = await openStoreClient(config, 'read', logger);
  } catch (error) {
    return [fail('store', `cannot be asked: ${reasonOf(error)}`, 'correct the store section of the settings')];
  }
  try {
    return await examine(store, patient);
  } finally {
    await store.close();
  }
}

async function examine(store: Store, patient: Patient): Promise<Check[]> {
  const options = { signal: AbortSignal.timeout(PATIENCE_MS) };
  const ask = <Row>(sql: string): Promise<Row[]> => store.query<Row>(sql, {}, options);
  const startMs = performance.now();
  let clockMs: number;
  try {
    const [row] = await ask<{ ms: number; version: string }>(
      'SELECT toUnixTimestamp64Milli(now64(3)) AS ms, version() AS version',
    );
    clockMs = row.ms;
  } catch (error) {
    return [
      fail(
        'store',
        `does not answer: ${reasonOf(error)}`,
        'check store.url, the user, the password file, and ClickHouse',
      ),
    ];
  }
  const tookMs = performance.now() - startMs;
  const out = [ok('store', `answers within ${inTime(tookMs)}`), checkStoreClock(clockMs - patient.nowMs(), tookMs)];
  const tables = await ask<{ name: string; engine_full: string }>(
    'SELECT name, engine_full FROM system.tables WHERE database = currentDatabase()',
  );
  const versions = tables.some((t) => t.name === 'migrations')
    ? await ask<{ version: number }>('SELECT max(version) AS version FROM migrations')
    : [];
  out.push(checkVersion(versions[0]?.version ?? 0));
  if (tables.length === 0) return out;
  out.push(checkWindow(tables));
  const parts = await ask<{ table: string; most: number; bytes: number }>(
    'SELECT table, max(n) AS most, sum(b) AS bytes FROM (SELECT table, partition, count() AS n, sum(bytes_on_disk) AS b FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table, partition) GROUP BY table ORDER BY most DESC',
  );
  out.push(checkParts(parts));
  if (tables.some((t) => t.name === 'quarantine')) {
    const [row] = await ask<{ bad: number; good: number }>(
      'SELECT (SELECT count() FROM quarantine WHERE received > now() - INTERVAL 1 HOUR) AS bad, (SELECT count() FROM readings WHERE received > now() - INTERVAL 1 HOUR) AS good',
    );
    out.push(checkQuarantine(row.bad, row.good));
  }
  return out;
}

export function checkStoreClock(apartMs: number, tookMs: number): Check {
  const beyondMs = Math.abs(apartMs) - tookMs;
  if (beyondMs <= CLOCK_APART_MS) return ok('store.clock', 'its clock agrees with this one');
  return warn(
    'store.clock',
    `its clock is ${inTime(beyondMs)} ${apartMs > 0 ? 'ahead of' : 'behind'} this one`,
    'let NTP keep both: retention and "the last hour" go by them',
  );
}

export function checkVersion(version: number): Check {
  const newest = Math.max(...MIGRATIONS.map((m) => m.version));
  if (version === newest) return ok('store.tables', `the tables are of the newest version, ${newest}`);
  if (version === 0) return ok('store.tables', 'there are no tables yet; the first processor makes them');
  if (version < newest) {
    return warn(
      'store.tables',
      `the tables are of version ${version}, and this program brings ${newest}`,
      'restart the processors: they migrate',
    );
  }
  return fail(
    'store.tables',
    `the tables are of version ${version}, and this program knows ${newest}`,
    'run the newer program, or another store.database',
  );
}

/** Inserts are repeated with the same token when an answer was lost; the window is how many tokens the server remembers. */
export function checkWindow(tables: readonly { name: string; engine_full: string }[]): Check {
  const names = ['readings', 'rollups', 'alarms', 'quarantine'];
  const without = tables.filter(
    ({ name, engine_full }) =>
      names.includes(name) &&
      !/^Replicated|^Shared/.test(engine_full) &&
      !/non_replicated_deduplication_window = [1-9]/.test(engine_full),
  );
  if (without.length === 0) return ok('store.deduplication', 'a repeated insert is told from a new one in every table');
  return warn(
    'store.deduplication',
    `a repeated insert is not told from a new one in ${without.map((t) => t.name).join(', ')}`,
    'ALTER TABLE … MODIFY SETTING non_replicated_deduplication_window = 1000 (until then only FINAL hides such rows)',
  );
}

export function checkParts(parts: readonly { table: string; most: number; bytes: number }[]): Check {
  const [worst] = parts;
  if (worst === undefined) return ok('store.parts', 'the tables are empty');
  const bytes = parts.reduce((sum, p) => sum + p.bytes, 0);
  const what = `${worst.table} has up to ${worst.most} parts in a partition; all tables take ${inBytes(bytes)}`;
  const remedy =
    'merges do not keep up: give the store CPU and disk, raise processors.batchBytesMax, run fewer processors';
  if (worst.most >= PARTS_TOO_MANY) return fail('store.parts', `${what}: inserts are slowed down or refused`, remedy);
  if (worst.most >= PARTS_MANY) return warn('store.parts', what, remedy);
  return ok('store.parts', what);
}

export function checkQuarantine(bad: number, good: number): Check {
  const what = `${bad} messages went to the quarantine in the last hour, beside ${good} readings`;
  if (bad > 10 && bad > good * QUARANTINE_SHARE) {
    return warn('store.quarantine', what, 'SELECT reason, count() FROM sluice.quarantine GROUP BY reason tells why');
  }
  return ok('store.quarantine', what);
}

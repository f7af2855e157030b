import { SluiceError } from '../model/errors.ts';
import type { TableName } from './store.ts';
import {
  CREATE_ALARM_EVENTS,
  CREATE_ALARMS,
  CREATE_DEVICES,
  CREATE_LEDGER,
  CREATE_QUARANTINE,
  CREATE_READINGS,
  CREATE_ROLLUPS,
  DATE_ROLLUPS,
  EXTEND_ALARMS,
  EXTEND_ROLLUPS,
  FIND_DEVICES,
  GROUP_ROLLUPS,
  LIGHTEN_READINGS,
  MERGE_READINGS_BY_COLUMN,
  TTL_COLUMN,
  type Ttls,
} from './tables.ts';

/**
 * Versions of the tables, forward only. A migration is a list of statements that may each be run again (`IF NOT EXISTS`), so that
 * several processes may migrate at once, and one that was killed halfway is finished by the next: whoever finds a version
 * missing runs its statements and then records it. Migrations that were released are never changed; a correction is a new one.
 *
 * The record is the table `migrations`: version, name, when it was applied (ReplacingMergeTree: twice recorded is once read).
 */
export interface Migration {
  version: number;
  name: string;
  statements: readonly string[];
}

export const MIGRATIONS: readonly Migration[] = [
  {
    version: 1,
    name: 'readings, rollups, alarms, quarantine',
    statements: [CREATE_READINGS, CREATE_ROLLUPS, CREATE_ALARMS, CREATE_QUARANTINE],
  },
  { version: 2, name: 'ledger', statements: [CREATE_LEDGER] },
  { version: 3, name: 'devices', statements: [CREATE_DEVICES, FIND_DEVICES] },
  { version: 4, name: 'phase, further aggregates and label of rollups', statements: [EXTEND_ROLLUPS] },
  { version: 5, name: 'life and history of alarms', statements: [EXTEND_ALARMS, CREATE_ALARM_EVENTS] },
  { version: 6, name: 'when rollups were written, and tiers', statements: DATE_ROLLUPS },
  { version: 7, name: 'rollups of groups', statements: [GROUP_ROLLUPS] },
  { version: 8, name: 'lighter codecs of readings', statements: [LIGHTEN_READINGS] },
  { version: 9, name: 'merges of readings by column', statements: [MERGE_READINGS_BY_COLUMN] },
];

const CREATE_MIGRATIONS = `CREATE TABLE IF NOT EXISTS migrations (
  \`version\` UInt32,
  \`name\` String,
  \`applied\` DateTime64(3)
) ENGINE = ReplacingMergeTree ORDER BY \`version\``;

/** What a migration needs of the store: statements and queries, in the database that is migrated. */
export interface MigrationTarget {
  command(sql: string, params?: Record<string, unknown>): Promise<void>;
  query<Row>(sql: string, params?: Record<string, unknown>): Promise<Row[]>;
}

/**
 * Brings the tables to the newest version, and their retention to `ttls`. Rejects with STORE_REFUSED when the database was
 * written by a newer program: going on would write rows that it may not understand.
 */
export async function migrate(
  target: MigrationTarget,
  ttls: Ttls = {},
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<void> {
  await target.command(CREATE_MIGRATIONS);
  const rows = await target.query<{ version: number }>('SELECT DISTINCT version FROM migrations');
  const applied = new Set(rows.map((row) => row.version));
  const known = Math.max(...migrations.map((m) => m.version));
  const newest = Math.max(0, ...applied);
  if (newest > known) {
    throw new SluiceError('STORE_REFUSED', `the tables are of version ${newest}, this program knows ${known}`, {
      remedy: 'run the newer program, or another database',
      values: { version: newest, known },
    });
  }
  for (const migration of migrations) {
    if (applied.has(migration.version)) continue;
    for (const statement of migration.statements) await target.command(statement);
    await target.command(
      'INSERT INTO migrations SELECT {version:UInt32}, {name:String}, now64(3) WHERE {version:UInt32} NOT IN (SELECT version FROM migrations)',
      { version: migration.version, name: migration.name },
    );
  }
  await keepFor(target, 'readings', ttls.readingsTtlMs);
  await keepRollups(target, ttls.rollupsKeepMs ?? []);
  await keepFor(target, 'quarantine', ttls.quarantineTtlMs);
  await keepFor(target, 'ledger', ttls.ledgerTtlMs);
}

/** Sets a table's TTL where it is not as wanted. Existing parts are dropped by it as well, at one of the next merges. */
async function keepFor(
  target: MigrationTarget,
  table: Exclude<TableName, 'alarms' | 'alarm_events' | 'rollups' | 'devices'>,
  ttlMs: number | null | undefined,
): Promise<void> {
  const wanted = ttlMs == null ? null : `toDateTime(${TTL_COLUMN[table]}) + ${seconds(ttlMs)}`;
  await setTtl(target, table, wanted);
}

/** Windows and tiers have a retention each. */
async function keepRollups(target: MigrationTarget, keep: NonNullable<Ttls['rollupsKeepMs']>): Promise<void> {
  const wanted = keep.flatMap(({ name, keepMs }) =>
    keepMs === null ? [] : [`written + ${seconds(keepMs)} WHERE window = ${quoted(name)}`],
  );
  await setTtl(target, 'rollups', wanted.length === 0 ? null : wanted.join(', '));
}

async function setTtl(target: MigrationTarget, table: TableName, wanted: string | null): Promise<void> {
  const [row] = await target.query<{ engine_full: string }>(
    'SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = {table:String}',
    { table },
  );
  const has = / TTL (.*?)(?: SETTINGS |$)/s.exec(row?.engine_full ?? '')?.[1] ?? null;
  if (has === wanted) return;
  if (wanted === null) await target.command(`ALTER TABLE ${table} REMOVE TTL`);
  else await target.command(`ALTER TABLE ${table} MODIFY TTL ${wanted}`);
}

// As the server prints them back, so that nothing is altered when nothing has changed.
const seconds = (ms: number): string => `toIntervalSecond(${Math.ceil(ms / 1000)})`;
const quoted = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`;

import { LEDGER_COUNTS } from '../model/ledger.ts';
import type { TableName } from './store.ts';

/**
 * The tables of database `sluice`, as migration 1 creates them (store/migrations.ts). Names and types of design section 4 are
 * what other people rely on; columns may be added by later migrations. Why they are as they are:
 *
 * **readings** is a ReplacingMergeTree: a redelivery (same device, metric, ts) has the same key, so it counts once when read
 * with FINAL, and once on disk after merges.
 * - *Key* (device, metric, ts, arrival): one series lies together in order of time, which is what a chart reads. `arrival` is 0
 *   for readings with a time of the device's own. A reading without one has the door's time, and two such within the same
 *   millisecond are two readings: `arrival` then is a number unique to the message (from its offset and index), the same
 *   after a replay.
 * - *Partition* by day of `received`, in UTC: the door's clock, never the device's. A device with a wild clock would otherwise
 *   split one insert into hundreds of parts; and an insert of one block must be one part, so that it is atomic. A day rather
 *   than a month: retention drops whole days (`ttl_only_drop_parts`) without rewriting a row, and a merge never rewrites more
 *   than a day. A month would make fewer parts, but a day of a busy pipeline is 10^10 rows, and parts of a past day
 *   have long been merged into a few.
 * - *ts_range*: since the partition says nothing about `ts`, a min-max index of `ts` lets "the last hour of all devices" skip
 *   the granules of other days.
 * - *device* is a plain String: a LowCardinality dictionary suits up to some ten thousand values, and fleets are larger. Sorted by
 *   device it takes 0.1 bytes a row or less, and inserting it costs the same (0.23 against 0.26 µs a row). Metrics are few: LowCardinality.
 * - *Codecs*: `ZSTD` for values (2.6 bytes a row of noisy two-decimal ones; Gorilla 4.6). All other columns are sorted, constant or nearly
 *   so, and LZ4 does as well there for two thirds of a merge's CPU: migration 8 (docs/decisions/004-store-cost.md).
 * - `partition`, `offset`, `index` say where on the log the message is: recovery resumes from what the table holds.
 * - *Compact parts* for inserts: two files instead of thirty, a third faster and with fewer fsyncs. Merged parts are wide, from 48 MiB
 *   on, and merged column by column: migration 9.
 *
 * **rollups**: ReplacingMergeTree(revision), so FINAL gives the newest revision. Not partitioned: `start` is event time, and nothing else of
 * it is the same after a replay.
 *
 * **alarms**: ReplacingMergeTree(version), one row an alarm with FINAL. Few, and kept for ever.
 *
 * **alarm_events**: ReplacingMergeTree, one row a transition with FINAL; what an alarm has been through, for ever like the alarm itself.
 *
 * **quarantine**: keyed by the position of the message, so that a replay leaves each message once. Partitioned by day like readings.
 *
 * **ledger**: what became of the messages of each device and minute (model/ledger.ts). A row is written again while its minute goes
 * on, and by a replay; ReplacingMergeTree(counted_to), so FINAL gives the newest. The key begins with the minute, which is what an
 * audit asks for; few rows beside the readings, so it is not partitioned.
 *
 * **devices**: the registry (model/device.ts), one row a device with FINAL; ReplacingMergeTree(revision). A removed device keeps its row,
 * marked, and one that came by its telemetry has one with source `seen`.
 *
 * **Durability.** `fsync_after_insert` with `fsync_part_directory`: an insert that was answered is on disk, not in the page cache, so
 * a power loss takes nothing away that the processor's checkpoint builds on. Merged parts are flushed as well, since
 * their sources are deleted. The list of seen deduplication tokens is not flushed: after a power loss a retried block may be inserted
 * twice, and then counts once by its key.
 */
const FLUSHED = 'fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1';

/** How many of the newest inserts a table knows by their deduplication token; a retry comes within seconds. */
const DEDUPLICATION_WINDOW = 10_000;

const COMMON = `non_replicated_deduplication_window = ${DEDUPLICATION_WINDOW}, ${FLUSHED}, min_bytes_for_wide_part = 134217728, materialize_ttl_recalculate_only = 1`;

const POSITION = `
  \`partition\` UInt16 CODEC(ZSTD),
  \`offset\` UInt64 CODEC(Delta, ZSTD),
  \`index\` UInt32 CODEC(ZSTD)`;

export const CREATE_READINGS = `CREATE TABLE IF NOT EXISTS readings (
  \`device\` String CODEC(ZSTD),
  \`metric\` LowCardinality(String),
  \`ts\` DateTime64(3) CODEC(Delta, ZSTD),
  \`value\` Float64 CODEC(ZSTD),
  \`text\` String CODEC(ZSTD),
  \`received\` DateTime64(3) CODEC(Delta, ZSTD),${POSITION},
  \`arrival\` UInt64 DEFAULT 0 CODEC(ZSTD),
  \`flags\` UInt8 DEFAULT 0 CODEC(ZSTD),
  INDEX ts_range \`ts\` TYPE minmax GRANULARITY 1
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(\`received\`, 'UTC')
ORDER BY (\`device\`, \`metric\`, \`ts\`, \`arrival\`)
SETTINGS ${COMMON}, ttl_only_drop_parts = 1`;

export const CREATE_ROLLUPS = `CREATE TABLE IF NOT EXISTS rollups (
  \`window\` LowCardinality(String),
  \`device\` String CODEC(ZSTD),
  \`metric\` LowCardinality(String),
  \`start\` DateTime64(3) CODEC(Delta, ZSTD),
  \`end\` DateTime64(3) CODEC(Delta, ZSTD),
  \`count\` UInt64 CODEC(ZSTD),
  \`sum\` Float64 CODEC(ZSTD),
  \`min\` Float64 CODEC(ZSTD),
  \`max\` Float64 CODEC(ZSTD),
  \`avg\` Float64 CODEC(ZSTD),
  \`first\` Float64 CODEC(ZSTD),
  \`last\` Float64 CODEC(ZSTD),
  \`revision\` UInt32 CODEC(ZSTD),
  \`partition\` UInt16 CODEC(ZSTD)
) ENGINE = ReplacingMergeTree(\`revision\`)
ORDER BY (\`window\`, \`device\`, \`metric\`, \`start\`)
SETTINGS ${COMMON}`;

/** Migration 4. Further aggregates of a window by name (`stddev`, `p99`, `le_10` …), and what a state window lasted in. */
export const EXTEND_ROLLUPS = `ALTER TABLE rollups
  ADD COLUMN IF NOT EXISTS \`phase\` LowCardinality(String) DEFAULT 'final',
  ADD COLUMN IF NOT EXISTS \`extra\` Map(LowCardinality(String), Float64) CODEC(ZSTD),
  ADD COLUMN IF NOT EXISTS \`label\` String CODEC(ZSTD)`;

export const CREATE_ALARMS = `CREATE TABLE IF NOT EXISTS alarms (
  \`id\` String,
  \`rule\` LowCardinality(String),
  \`device\` String,
  \`metric\` LowCardinality(String),
  \`severity\` LowCardinality(String),
  \`state\` LowCardinality(String),
  \`raised_at\` DateTime64(3),
  \`acked_at\` Nullable(DateTime64(3)),
  \`cleared_at\` Nullable(DateTime64(3)),
  \`value\` Float64,
  \`message\` String,
  \`version\` UInt32,${POSITION}
) ENGINE = ReplacingMergeTree(\`version\`)
ORDER BY (\`device\`, \`rule\`, \`id\`)
SETTINGS ${COMMON}`;

/** Migration 5: what operators do, and why. Rows of before it were raised or cleared, and nothing else. */
export const EXTEND_ALARMS = `ALTER TABLE alarms
  ADD COLUMN IF NOT EXISTS \`life\` LowCardinality(String) DEFAULT if(\`state\` = 'cleared', 'normal', 'unacknowledged'),
  ADD COLUMN IF NOT EXISTS \`acked_by\` String,
  ADD COLUMN IF NOT EXISTS \`comments\` String DEFAULT '[]',
  ADD COLUMN IF NOT EXISTS \`shelved_until\` Nullable(DateTime64(3)),
  ADD COLUMN IF NOT EXISTS \`shelved_by\` String,
  ADD COLUMN IF NOT EXISTS \`suppressed\` LowCardinality(String),
  ADD COLUMN IF NOT EXISTS \`latched\` UInt8,
  ADD COLUMN IF NOT EXISTS \`chattering\` UInt8,
  ADD COLUMN IF NOT EXISTS \`raises\` UInt32 DEFAULT 1,
  ADD COLUMN IF NOT EXISTS \`severity_max\` LowCardinality(String) DEFAULT \`severity\`,
  ADD COLUMN IF NOT EXISTS \`group_id\` String,
  ADD COLUMN IF NOT EXISTS \`rule_version\` LowCardinality(String),
  ADD COLUMN IF NOT EXISTS \`evidence\` String DEFAULT '[]' CODEC(ZSTD),
  ADD COLUMN IF NOT EXISTS \`watermark\` Nullable(DateTime64(3))`;

/** Migration 5. One row a transition, the same after a replay. */
export const CREATE_ALARM_EVENTS = `CREATE TABLE IF NOT EXISTS alarm_events (
  \`id\` String,
  \`version\` UInt32,
  \`rule\` LowCardinality(String),
  \`device\` String,
  \`metric\` LowCardinality(String),
  \`transition\` LowCardinality(String),
  \`at\` DateTime64(3),
  \`by\` String,
  \`comment\` String CODEC(ZSTD),
  \`severity\` LowCardinality(String),
  \`state\` LowCardinality(String),
  \`life\` LowCardinality(String),
  \`value\` Float64,
  \`message\` String CODEC(ZSTD),
  \`suppressed\` LowCardinality(String),
  \`group_id\` String,
  \`notify\` UInt8,
  \`shelved_until\` Nullable(DateTime64(3)),
  \`rule_version\` LowCardinality(String),
  \`evidence\` String CODEC(ZSTD),
  \`watermark\` Nullable(DateTime64(3)),${POSITION}
) ENGINE = ReplacingMergeTree
ORDER BY (\`id\`, \`version\`)
SETTINGS ${COMMON}`;

export const CREATE_QUARANTINE = `CREATE TABLE IF NOT EXISTS quarantine (
  \`device\` String,
  \`topic\` String CODEC(ZSTD),
  \`received\` DateTime64(3) CODEC(Delta, ZSTD),
  \`reason\` String CODEC(ZSTD),
  \`payload\` String CODEC(ZSTD),${POSITION}
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(\`received\`, 'UTC')
ORDER BY (\`device\`, \`received\`, \`partition\`, \`offset\`, \`index\`)
SETTINGS ${COMMON}, ttl_only_drop_parts = 1`;

/** Migration 2. `acknowledged` is received − failed; a row may hold a failure of messages that an earlier one counted. */
export const CREATE_LEDGER = `CREATE TABLE IF NOT EXISTS ledger (
  \`minute\` DateTime64(3) CODEC(Delta, ZSTD),
  \`partition\` UInt16 CODEC(ZSTD),
  \`device\` String CODEC(ZSTD),
  \`offset_first\` UInt64 CODEC(Delta, ZSTD),
  \`offset_next\` UInt64 CODEC(Delta, ZSTD),
  \`counted_to\` UInt64 CODEC(Delta, ZSTD),
  \`acknowledged\` Int32 CODEC(ZSTD),
  ${LEDGER_COUNTS.map((name) => `\`${name}\` UInt32 CODEC(ZSTD)`).join(',\n  ')}
) ENGINE = ReplacingMergeTree(\`counted_to\`)
ORDER BY (\`minute\`, \`partition\`, \`device\`, \`offset_first\`)
SETTINGS ${COMMON}`;

/** With it: devices of before are those that have readings; a row of a processor's replaces each of these. */
export const FIND_DEVICES = `INSERT INTO devices (\`id\`, \`source\`, \`first_seen\`, \`changed_at\`, \`partition\`)
SELECT \`device\`, 'seen', min(\`received\`), min(\`received\`), any(\`partition\`) FROM readings GROUP BY \`device\`
SETTINGS optimize_aggregation_in_order = 1`;

/** Migration 3. `version` is that of what people said, 0 where nobody said anything. */
export const CREATE_DEVICES = `CREATE TABLE IF NOT EXISTS devices (
  \`id\` String,
  \`name\` String,
  \`site\` LowCardinality(String),
  \`model\` LowCardinality(String),
  \`tags\` Map(LowCardinality(String), String),
  \`thresholds\` Map(LowCardinality(String), Float64),
  \`source\` LowCardinality(String),
  \`first_seen\` Nullable(DateTime64(3)),
  \`changed_at\` DateTime64(3),
  \`removed\` UInt8,
  \`version\` UInt64,
  \`revision\` UInt64,
  \`partition\` UInt16 CODEC(ZSTD),
  \`offset\` UInt64 CODEC(Delta, ZSTD)
) ENGINE = ReplacingMergeTree(\`revision\`)
ORDER BY \`id\`
SETTINGS ${COMMON}`;

/**
 * Migration 6. When a rollup was written, by the store's clock: what tiers (store/tiers.ts) take for changed, and what retention counts
 * from, so that neither a device's clock nor a processor that was away makes rows go before a tier has them. Rows that
 * were there before are taken to be written at their end. Then the tiers' own account of their runs.
 */
/** What `device` is a value of, for windows of groups: `site`, `model`, `tag:NAME`; empty for devices. */
export const GROUP_ROLLUPS =
  "ALTER TABLE rollups ADD COLUMN IF NOT EXISTS `grouping` LowCardinality(String) DEFAULT ''";

export const DATE_ROLLUPS = [
  'ALTER TABLE rollups ADD COLUMN IF NOT EXISTS `written` DateTime64(3) DEFAULT `end` CODEC(Delta, ZSTD)',
  'ALTER TABLE rollups MATERIALIZE COLUMN `written` SETTINGS mutations_sync = 1',
  'ALTER TABLE rollups MODIFY COLUMN `written` DateTime64(3) DEFAULT now64(3) CODEC(Delta, ZSTD)',
  'ALTER TABLE rollups ADD INDEX IF NOT EXISTS written_range `written` TYPE minmax GRANULARITY 1',
  `CREATE TABLE IF NOT EXISTS tier_runs (
  \`tier\` String,
  \`definition\` String,
  \`through\` DateTime64(3),
  \`run\` UInt64
) ENGINE = ReplacingMergeTree(\`run\`)
ORDER BY \`tier\`
SETTINGS ${COMMON}`,
] as const;

/**
 * Migration 8. Every row is merged about twice, and a third of that was ZSTD on columns that LZ4 makes as small. Parts of before are
 * rewritten only when they are merged anyway.
 */
export const LIGHTEN_READINGS = `ALTER TABLE readings
  MODIFY COLUMN \`device\` CODEC(LZ4),
  MODIFY COLUMN \`ts\` CODEC(Delta, LZ4),
  MODIFY COLUMN \`text\` CODEC(LZ4),
  MODIFY COLUMN \`received\` CODEC(Delta, LZ4),
  MODIFY COLUMN \`partition\` CODEC(LZ4),
  MODIFY COLUMN \`offset\` CODEC(Delta, LZ4),
  MODIFY COLUMN \`index\` CODEC(LZ4),
  MODIFY COLUMN \`arrival\` CODEC(LZ4),
  MODIFY COLUMN \`flags\` CODEC(LZ4)`;

/**
 * Migration 9. A merged part lies in a file for each column, and is merged column by column: the key's columns tell the order of the rows,
 * and the others are then copied in runs, which takes a quarter less CPU than row by row. A single insert stays below the bound and
 * makes a compact part, two files instead of thirty (docs/decisions/004-store-cost.md).
 */
export const MERGE_READINGS_BY_COLUMN = `ALTER TABLE readings
  MODIFY SETTING min_bytes_for_wide_part = 50331648, vertical_merge_algorithm_min_columns_to_activate = 1`;

/** The column that a table's retention counts from; null where rows are kept for ever. Rollups have one for each window. */
export const TTL_COLUMN = {
  readings: 'received',
  rollups: null,
  alarms: null,
  alarm_events: null,
  quarantine: 'received',
  ledger: 'minute',
  devices: null,
} as const satisfies Record<TableName, string | null>;

/** How long rows are kept, ms; null or absent keeps them for ever. Whole seconds: fractions are rounded up. */
export interface Ttls {
  readingsTtlMs?: number | null;
  /** Of each window or tier by itself, by its name; those that are not named are kept. */
  rollupsKeepMs?: readonly { name: string; keepMs: number | null }[];
  quarantineTtlMs?: number | null;
  ledgerTtlMs?: number | null;
}

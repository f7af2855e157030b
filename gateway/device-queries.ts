import type { DeviceEntry, DeviceSource } from '../model/device.ts';
import { IN_ORDER, type StoreGate } from './store-gate.ts';

/** What the gateway asks of the table `devices`. Times are epoch milliseconds. */

const ms = (column: string) => `toUnixTimestamp64Milli(${column})`;

export interface DeviceFilter {
  /** Part of the id or of the name, in any case; empty: all. */
  search: string;
  /** Null: any. */
  site: string | null;
  model: string | null;
  source: DeviceSource | null;
  /** `name` or `name:value`; a device has all of them. */
  tags: readonly string[];
}

/** A device as the API tells of it. */
export interface ListedDevice {
  device: string;
  name: string;
  site: string;
  model: string;
  tags: Record<string, string>;
  thresholds: Record<string, number>;
  source: DeviceSource;
  /** False for one that nobody told of: it appeared by its telemetry. */
  known: boolean;
  version: number;
  firstSeenMs: number | null;
  changedMs: number;
  /** Time received of its newest reading; null when none is stored. */
  lastSeenMs: number | null;
  metrics: number;
}

type Row = Omit<ListedDevice, 'known' | 'lastSeenMs' | 'metrics' | 'device'> & { id: string; removed: number };

const COLUMNS = `id, name, site, model, tags, thresholds, source, version, removed,
  ${ms('first_seen')} AS firstSeenMs, ${ms('changed_at')} AS changedMs`;

/** Devices by id, after `after`. */
export async function listDevices(
  store: StoreGate,
  options: DeviceFilter & { after: string; limit: number },
): Promise<ListedDevice[]> {
  const tags = options.tags.map((tag) => {
    const colon = tag.indexOf(':');
    return colon === -1 ? { name: tag, value: null } : { name: tag.slice(0, colon), value: tag.slice(colon + 1) };
  });
  const params: Record<string, unknown> = {
    after: options.after,
    limit: options.limit,
    search: options.search,
    site: options.site ?? '',
    model: options.model ?? '',
    source: options.source ?? '',
  };
  const where = ['id > {after:String}', 'removed = 0'];
  if (options.search !== '') {
    where.push('positionCaseInsensitiveUTF8(concat(id, char(10), name), {search:String}) > 0');
  }
  for (const column of ['site', 'model', 'source'] as const) {
    if (options[column] !== null) where.push(`${column} = {${column}:String}`);
  }
  for (const [i, { name, value }] of tags.entries()) {
    params[`tag${i}`] = name;
    params[`value${i}`] = value ?? '';
    where.push(value === null ? `mapContains(tags, {tag${i}:String})` : `tags[{tag${i}:String}] = {value${i}:String}`);
  }
  const rows = await store.query<Row>(
    `SELECT ${COLUMNS} FROM devices FINAL WHERE ${where.join(' AND ')} ORDER BY id LIMIT {limit:UInt32}`,
    params,
  );
  const seen = await newest(
    store,
    rows.map((row) => row.id),
  );
  return rows.map((row) => listed(row, seen.get(row.id)));
}

/** One device of the table, a removed one too; null when the table has never had it. */
export async function findDevice(
  store: StoreGate,
  id: string,
): Promise<{ device: ListedDevice; removed: boolean } | null> {
  const [row] = await store.query<Row>(`SELECT ${COLUMNS} FROM devices FINAL WHERE id = {id:String}`, { id });
  if (row === undefined) return null;
  const seen = await newest(store, [id]);
  return { device: listed(row, seen.get(id)), removed: row.removed === 1 };
}

/** What was said of devices: of those named here, and of all that come from settings or files. By id; also where it was removed. */
export async function saidOf(
  store: StoreGate,
  ids: readonly string[],
): Promise<Map<string, { version: number; entry: DeviceEntry | null }>> {
  const found = new Map<string, { version: number; entry: DeviceEntry | null }>();
  for (let at = 0; at === 0 || at < ids.length; at += 1000) {
    const rows = await store.query<Row>(
      `SELECT ${COLUMNS} FROM devices FINAL
       WHERE id IN {ids:Array(String)} ${at === 0 ? "OR source IN ('config', 'file')" : ''}`,
      { ids: ids.slice(at, at + 1000) },
    );
    for (const row of rows) found.set(row.id, { version: Number(row.version), entry: entryOf(row) });
  }
  return found;
}

/** Values that devices can be grouped by, with how many have each. */
export interface DeviceGroups {
  sites: { value: string; devices: number }[];
  models: { value: string; devices: number }[];
  /** `name:value`. */
  tags: { value: string; devices: number }[];
  known: number;
  /** Devices that nobody told of. */
  unknown: number;
}

const GROUPS_MAX = 500;

export async function deviceGroups(store: StoreGate): Promise<DeviceGroups> {
  const count = (what: string, of: string) =>
    store.query<{ value: string; devices: number }>(
      `SELECT ${what} AS value, count() AS devices FROM devices FINAL ${of} WHERE removed = 0 AND value != ''
       GROUP BY value ORDER BY devices DESC, value LIMIT ${GROUPS_MAX}`,
    );
  const [sites, models, tags, totals] = await Promise.all([
    count('toString(site)', ''),
    count('toString(model)', ''),
    count("concat(tag.1, ':', tag.2)", 'ARRAY JOIN tags AS tag'),
    store.query<{ known: number; unknown: number }>(
      "SELECT countIf(source != 'seen') AS known, countIf(source = 'seen') AS unknown FROM devices FINAL WHERE removed = 0",
    ),
  ]);
  const plain = (rows: { value: string; devices: number }[]) =>
    rows.map(({ value, devices }) => ({ value, devices: Number(devices) }));
  return {
    sites: plain(sites),
    models: plain(models),
    tags: plain(tags),
    known: Number(totals[0].known),
    unknown: Number(totals[0].unknown),
  };
}

async function newest(
  store: StoreGate,
  ids: readonly string[],
): Promise<Map<string, { lastSeenMs: number; metrics: number }>> {
  if (ids.length === 0) return new Map();
  const rows = await store.query<{ device: string; lastSeenMs: number; metrics: number }>(
    `SELECT device, ${ms('max(received)')} AS lastSeenMs, uniqExact(metric) AS metrics
     FROM readings WHERE device IN {ids:Array(String)} GROUP BY device`,
    { ids },
    IN_ORDER,
  );
  return new Map(rows.map((r) => [r.device, { lastSeenMs: Number(r.lastSeenMs), metrics: Number(r.metrics) }]));
}

function listed(row: Row, seen: { lastSeenMs: number; metrics: number } | undefined): ListedDevice {
  const { id, removed, ...rest } = row;
  return {
    device: id,
    ...rest,
    version: Number(row.version),
    firstSeenMs: row.firstSeenMs === null ? null : Number(row.firstSeenMs),
    changedMs: Number(row.changedMs),
    known: row.source !== 'seen' && removed === 0,
    lastSeenMs: seen?.lastSeenMs ?? null,
    metrics: seen?.metrics ?? 0,
  };
}

function entryOf(row: Row): DeviceEntry | null {
  if (row.source === 'seen' || row.removed === 1) return null;
  const { id, name, site, model, source } = row;
  const version = Number(row.version);
  const tags = new Map(Object.entries(row.tags));
  const thresholds = new Map(Object.entries(row.thresholds));
  return { id, name, site, model, tags, thresholds, source, version };
}

import { partitionOfResult } from '../../model/group-result.ts';
import { decodeOperation } from '../../model/operation.ts';
import { partitionOf } from '../../model/partition.ts';
import { decodeTold } from '../../model/told.ts';
import type { NativeRow } from '../../processors/testing/native-rows.ts';
import { PARTITIONS } from './log-contents.ts';
import { keyOf, type LogReplay, REPLAYED, type ReplayedTable } from './log-replay.ts';
import type { Operators, Taken } from './operators.ts';
import type { Rig } from './rig.ts';
import type { Verdict } from './verdict.ts';

const TIMES = [
  'start',
  'end',
  'raised_at',
  'acked_at',
  'cleared_at',
  'shelved_until',
  'watermark',
  'at',
  'ts',
  'received',
];
/** An insert may be seen this much later than its time of writing says; the next run takes it in then. */
const SETTLED_MS = 10_000;
const TIME_COLUMNS = new Set([...TIMES, 'first_seen', 'changed_at']);

/** Everything that came of the log, against a replay of it: tables, the topics of alarm events and of partials, byte for byte. */
export async function judgeReplay(
  rig: Rig,
  replay: LogReplay,
  prefix: string,
  subscriberHeardAll: boolean,
  v: Verdict,
): Promise<void> {
  await replay.advance();
  for (const table of REPLAYED) {
    const wrong = await judgeTable(rig, replay, table, prefix, v);
    if (table === 'rollups') v.wrongRollups += wrong;
    else if (table === 'readings') v.lost += wrong;
    else v.wrongAlarms += wrong;
  }
  await judgeTiers(rig, v);
  sameList('alarm events of partition', replay.eventsLogged, replay.events, (wrong) => (v.wrongAlarms += wrong), v);
  sameList('partials to and from', replay.partialsLogged, replay.partials, (wrong) => (v.wrongRollups += wrong), v);
  sameList('facts of partition', replay.factsLogged, replay.facts, (wrong) => (v.wrongAlarms += wrong), v);
  judgeFacts(replay, v);
  judgeResults(replay, v);
  if (!subscriberHeardAll) return;
  const missing = replay.events.flat().filter((text) => {
    const { id, subject, data } = JSON.parse(text);
    return String(subject).startsWith(prefix) && data.notify !== false && !rig.heard.has(id);
  });
  if (missing.length === 0) return;
  v.wrongAlarms += missing.length;
  v.notes.push(`a subscriber did not hear ${missing.length} alarm events, ${missing[0]} for one`);
}

/** Each result of a group that rules look at is told, and is in the partition that owns the group, and nowhere else. */
function judgeResults({ results, resultsLogged, resultsTaken }: LogReplay, v: Verdict): void {
  const wrong = differing(results, resultsLogged);
  for (const [partition, taken] of resultsTaken.entries()) {
    const own = new Set([...results].filter((text) => ownerOf(text) === partition));
    wrong.push(...differing(own, taken));
  }
  if (wrong.length === 0) return;
  v.wrongAlarms += wrong.length;
  v.notes.push(`${wrong.length} results of groups are not told, or not where they should be: ${wrong[0]}`);
}

/** What only one of them has. */
function differing(a: ReadonlySet<string>, b: ReadonlySet<string>): string[] {
  return [...[...a].filter((one) => !b.has(one)), ...[...b].filter((one) => !a.has(one))];
}

function ownerOf(text: string): number {
  const told = decodeTold(Buffer.from(text));
  return told.kind === 'rollup' ? partitionOfResult(told, PARTITIONS) : -1;
}

/** Each fact is in every partition but its own, and nothing there is of anybody else. A late one is settled by another look. */
function judgeFacts(replay: LogReplay, v: Verdict): void {
  for (const [partition, here] of replay.factsTaken.entries()) {
    const taken = new Set(here);
    for (const [from, told] of replay.facts.entries()) {
      if (from === partition) continue;
      const missing = told.filter((fact) => !taken.delete(fact));
      if (missing.length === 0) continue;
      v.lost += missing.length;
      v.notes.push(
        `${missing.length} facts of partition ${from} did not get into partition ${partition}: ${missing[0]}`,
      );
    }
    if (taken.size === 0) continue;
    v.doubled += taken.size;
    v.notes.push(`partition ${partition} has ${taken.size} facts that nobody told: ${[...taken][0]}`);
  }
}

/** Devices of a round, and its groups: `r1-d2`, `site=r1-north`, `site:r1-north`. */
const roundPattern = (prefix: string): string => `(^|[=:])${prefix}`;
const isOfRound = (device: string, prefix: string): boolean => new RegExp(roundPattern(prefix)).test(device);

/** Rows under FINAL of this round's devices and groups. Resolves with how many differ. */
async function judgeTable(
  rig: Rig,
  replay: LogReplay,
  table: ReplayedTable,
  prefix: string,
  v: Verdict,
): Promise<number> {
  const name = table === 'devices' ? 'id' : 'device';
  const wanted = new Map<string, NativeRow>();
  for (const [key, row] of replay.tables[table]) if (isOfRound(String(row[name]), prefix)) wanted.set(key, row);
  if (replay.tables[table].size === 0) return 0;
  const columns = [...new Set([...replay.tables[table].values()].flatMap((row) => Object.keys(row)))].sort();
  const selected = columns.map((c) =>
    TIME_COLUMNS.has(c) ? `toUnixTimestamp64Milli(\`${c}\`) AS \`${c}\`` : `\`${c}\``,
  );
  const only = table === 'readings' ? ' AND bitAnd(flags, 2) != 0' : '';
  const tiers = table === 'rollups' ? " AND window != '1m'" : '';
  const rows = await rig.program.query<NativeRow>(
    `SELECT ${selected.join(', ')} FROM sluice.${table} FINAL WHERE match(${name}, '${roundPattern(prefix)}')${only}${tiers}`,
  );
  let wrong = 0;
  const note = (text: string): void => {
    if (++wrong < 4) v.notes.push(`${table}: ${text}`);
  };
  for (const stored of rows) {
    const row = plain(stored, columns);
    const key = keyOf(table, row);
    const should = wanted.get(key);
    wanted.delete(key);
    const [is, told] = [lineOf(row, columns), should === undefined ? null : lineOf(plain(should, columns), columns)];
    if (is !== told) note(`${key} is\n          ${is}\n      not ${told}`);
  }
  for (const [key, row] of wanted) note(`${key} is missing: ${lineOf(plain(row, columns), columns)}`);
  return wrong;
}

/** Numbers as numbers, what is no number as null, maps as pairs in order: the same from JSON as from a Native block. */
function plain(row: NativeRow, columns: readonly string[]): NativeRow {
  const out: NativeRow = {};
  for (const name of columns) out[name] = plainValue(name, row[name]);
  return out;
}

const WHOLE = new Set([...TIME_COLUMNS, 'count', 'offset', 'arrival', 'version', 'revision']);

function plainValue(name: string, value: NativeRow[string] | undefined): NativeRow[string] {
  // A block leaves out the columns in which it has nothing but what is usual.
  if (value === undefined) return name === 'extra' ? '[]' : '';
  if (value === null || Number.isNaN(value)) return null;
  if (WHOLE.has(name)) return Number(value);
  if (name === 'tags' || name === 'thresholds') {
    const pairs: [string, unknown][] = typeof value === 'string' ? JSON.parse(value) : Object.entries(value);
    return JSON.stringify(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
  }
  if (typeof value !== 'object') return value;
  const pairs = Object.entries(value).map(([key, one]) => [key, Number.isNaN(one) ? null : one]);
  return JSON.stringify(pairs.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)));
}

function lineOf(row: NativeRow, columns: readonly string[]): string {
  return JSON.stringify(columns.map((name) => row[name]));
}

function sameList(
  what: string,
  here: readonly string[][],
  there: readonly string[][],
  count: (wrong: number) => void,
  v: Verdict,
): void {
  for (const [i, list] of here.entries()) {
    const wanted = there[i];
    if (list.length === wanted.length && list.every((text, n) => text === wanted[n])) continue;
    const at = wanted.findIndex((text, n) => list[n] !== text);
    count(1);
    v.notes.push(`${what} ${i}: ${list.length} on the log, ${wanted.length} of a replay, from ${at}:`);
    v.notes.push(`  ${list[at]?.slice(0, 300)}`, `  instead of ${wanted[at]?.slice(0, 300)}`);
  }
}

/**
 * The tier against one SQL over what it is made from, for all devices so far: periods below which nothing was written since the
 * tier's last run. A minute passes between two runs, and each start of a processor begins with one.
 */
async function judgeTiers(rig: Rig, v: Verdict): Promise<void> {
  const [{ through }] = await rig.program.query<{ through: string }>(
    "SELECT max(toUnixTimestamp64Milli(through)) AS through FROM sluice.tier_runs WHERE tier = '1m'",
  );
  const period = 'intDiv(toUnixTimestamp64Milli(start), 60000) * 60000';
  const source = "window = '1s' AND count > 0 AND phase != 'early'";
  const settled = `SELECT device, metric, ${period} FROM sluice.rollups WHERE window = '1s' GROUP BY ALL
    HAVING max(toUnixTimestamp64Milli(written)) < ${Number(through) - SETTLED_MS}`;
  const brute = `SELECT device, metric, ${period} AS period, sum(count) AS n, round(sum(r.sum), 6) AS total,
      min(r.min) AS least, max(r.max) AS greatest, toUInt64(sum(revision)) AS versions
    FROM sluice.rollups AS r FINAL WHERE ${source} GROUP BY device, metric, period`;
  const tier = `SELECT device, metric, ${period} AS period, count AS n, round(r.sum, 6) AS total,
      r.min AS least, r.max AS greatest, toUInt64(revision) AS versions
    FROM sluice.rollups AS r FINAL WHERE window = '1m'`;
  const only = (rows: string): string => `SELECT * FROM (${rows}) WHERE (device, metric, period) IN (${settled})`;
  const rows = await rig.program.query<{ device: string }>(
    `SELECT * FROM (${only(brute)} EXCEPT DISTINCT ${only(tier)})
     UNION ALL SELECT * FROM (${only(tier)} EXCEPT DISTINCT ${only(brute)})`,
  );
  v.wrongRollups += rows.length;
  if (rows.length === 0) return;
  const [first] = rows.map(({ device }) => rows.filter((row) => row.device === device));
  v.notes.push(`${rows.length} rows of the tier are not what its window gives: ${JSON.stringify(first)}`);
}

/** Operations that are not yet in every partition that they concern. */
export function missingOperations(replay: LogReplay, operators: Operators): number {
  const taken = replay.operationsTaken.map(countOf);
  return operators.taken.filter((operation) => partitionsOf(operation).some((p) => !taken[p].has(operation.id))).length;
}

/** Facts on their topic that are not yet in every other partition, and results of groups that are not in their own. */
export function missingFacts(replay: LogReplay): number {
  let missing = 0;
  for (const text of replay.resultsLogged) if (!replay.resultsTaken[ownerOf(text)]?.has(text)) missing++;
  for (const [partition, here] of replay.factsTaken.entries()) {
    const taken = new Set(here);
    for (const [from, told] of replay.factsLogged.entries()) {
      if (from !== partition) missing += told.filter((fact) => !taken.has(fact)).length;
    }
  }
  return missing;
}

/** Each operation that was answered is on the log in every partition that it concerns, and has taken effect, once. */
export async function judgeOperations(
  rig: Rig,
  replay: LogReplay,
  operators: Operators,
  prefix: string,
  v: Verdict,
): Promise<void> {
  await replay.advance();
  const asked = countOf(replay.operations);
  const taken = replay.operationsTaken.map(countOf);
  for (const operation of operators.taken) {
    const times = asked.get(operation.id) ?? 0;
    if (times < 1 || times > operation.asked) {
      v.lost++;
      v.notes.push(
        `operation ${operation.id} is ${times} times on its topic, and was asked for ${operation.asked} times`,
      );
    }
    for (const partition of partitionsOf(operation)) {
      if (taken[partition].has(operation.id)) continue;
      v.lost++;
      v.notes.push(`operation ${operation.id} did not get into partition ${partition}`);
    }
  }
  const rows = await rig.program.query<{ comment: string; id: string; n: string }>(
    // One command may make two transitions: acknowledging an alarm that is latched clears it as well.
    `SELECT comment, id, count() AS n FROM sluice.alarm_events FINAL
     WHERE startsWith(comment, 'note ${prefix}') GROUP BY comment, id, transition HAVING n > 1`,
  );
  v.doubled += rows.length;
  for (const { comment, id, n } of rows) v.notes.push(`"${comment}" took effect on alarm ${id} ${n} times`);
  const entries = await rig.program.query<{ id: string; site: string; line: string; t_max: number; version: string }>(
    `SELECT id, site, tags['line'] AS line, thresholds['t_max'] AS t_max, version FROM sluice.devices FINAL WHERE startsWith(id, '${prefix}')`,
  );
  const found = new Map(entries.map((entry) => [entry.id, entry]));
  for (const [device, put] of operators.entries) {
    const is = found.get(device);
    const should = put && `${put.site} ${put.line} ${put.limit} ${put.version}`;
    if (is !== undefined && `${is.site} ${is.line} ${is.t_max} ${is.version}` === should) continue;
    v.lost++;
    v.notes.push(`the entry of ${device} is ${JSON.stringify(is)}, not ${should}`);
  }
}

function partitionsOf({ device }: Taken): number[] {
  return device === null ? Array.from({ length: PARTITIONS }, (_, p) => p) : [partitionOf(device, PARTITIONS)];
}

/** How often each operation is there; those of devices by device and version. */
function countOf(payloads: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const payload of payloads) {
    const operation = decodeOperation(Buffer.from(payload));
    const id = operation.kind === 'device' ? `${operation.device}@${operation.version}` : operation.id;
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

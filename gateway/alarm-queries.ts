import type { Alarm, Evidence, Severity } from '../model/alarm.ts';
import type { AlarmComment, LifeState, Transition } from '../model/alarm-life.ts';
import type { StoreGate } from './store-gate.ts';

/** What the gateway asks of the store about alarms. Times are epoch milliseconds. */

const ms = (column: string) => `toUnixTimestamp64Milli(${column})`;

/** As alarm events have it, but for the place on the log. */
export type AlarmRow = Alarm;

export interface AlarmFilter {
  /**
   * open: raised, or waiting to be acknowledged, and nobody has put it aside; raised: whatever lies over it; unacked: nobody has
   * acknowledged it; shelved: put aside by people or by design; all: also what is over.
   */
  state: 'open' | 'raised' | 'unacked' | 'shelved' | 'all';
  severities: readonly string[];
  site: string;
  rule: string;
  device: string;
  /** Members of a group; '' for any. */
  group: string;
  limit: number;
}

const STATES: Record<AlarmFilter['state'], string> = {
  open: "(state = 'raised' OR life = 'returned')",
  raised: "state = 'raised'",
  unacked: "life IN ('unacknowledged', 'returned', 'latched') AND acked_at IS NULL",
  shelved: "life IN ('shelved', 'suppressed', 'out-of-service')",
  all: '',
};

const COLUMNS = `id, rule, device, metric, severity, state, life, ${ms('raised_at')} AS raisedMs,
  ${ms('acked_at')} AS ackedMs, acked_by AS ackedBy, ${ms('cleared_at')} AS clearedMs, value, message, version,
  comments, ${ms('shelved_until')} AS shelvedUntilMs, shelved_by AS shelvedBy, suppressed, latched, chattering, raises,
  severity_max AS severityMax, group_id AS groupId, rule_version AS ruleVersion`;

/** Alarms, those that changed last first. */
export async function listAlarms(store: StoreGate, filter: AlarmFilter): Promise<AlarmRow[]> {
  const where = [
    STATES[filter.state],
    filter.severities.length === 0 ? '' : 'severity IN {severities:Array(String)}',
    filter.rule === '' ? '' : 'rule = {rule:String}',
    filter.device === '' ? '' : 'device = {device:String}',
    filter.group === '' ? '' : 'group_id = {group:String}',
    filter.site === ''
      ? ''
      : "(device IN (SELECT id FROM devices FINAL WHERE site = {site:String}) OR device = concat('site:', {site:String}))",
  ].filter((w) => w !== '');
  const rows = await store.query<StoredAlarm>(
    `SELECT ${COLUMNS} FROM alarms FINAL
     ${where.length === 0 ? '' : `WHERE ${where.join(' AND ')}`}
     ORDER BY greatest(raised_at, coalesce(cleared_at, raised_at), coalesce(acked_at, raised_at)) DESC, id
     LIMIT {limit:UInt32}`,
    { ...filter },
  );
  return rows.map(alarmOf);
}

export async function findAlarm(store: StoreGate, id: string): Promise<AlarmRow | null> {
  const rows = await store.query<StoredAlarm>(`SELECT ${COLUMNS} FROM alarms FINAL WHERE id = {id:String}`, { id });
  return rows.length === 0 ? null : alarmOf(rows[0]);
}

export interface AlarmTransition {
  version: number;
  transition: Transition;
  atMs: number;
  by: string;
  comment: string;
  severity: Severity;
  life: LifeState;
  value: number | null;
  message: string;
  suppressed: string;
  notify: boolean;
  shelvedUntilMs: number | null;
  ruleVersion: string;
  evidence: Evidence[];
  watermarkMs: number | null;
  position: { partition: number; offset: number; index: number };
}

/** What an alarm has been through, oldest first; its newest `limit` transitions. */
export async function alarmHistory(store: StoreGate, id: string, limit: number): Promise<AlarmTransition[]> {
  const rows = await store.query<Record<string, unknown>>(
    `SELECT version, transition, ${ms('at')} AS atMs, \`by\`, comment, severity, life, value, message, suppressed, notify,
            ${ms('shelved_until')} AS shelvedUntilMs, rule_version AS ruleVersion, evidence, ${ms('watermark')} AS watermarkMs,
            \`partition\`, \`offset\`, \`index\`
     FROM alarm_events FINAL WHERE id = {id:String} ORDER BY version DESC LIMIT {limit:UInt32}`,
    { id, limit },
  );
  return rows.reverse().map(({ partition, offset, index, ...row }) => ({
    ...(row as unknown as AlarmTransition),
    version: Number(row.version),
    atMs: Number(row.atMs),
    notify: Number(row.notify) === 1,
    shelvedUntilMs: numberOrNull(row.shelvedUntilMs),
    watermarkMs: numberOrNull(row.watermarkMs),
    evidence: listOf<Evidence>(row.evidence),
    position: { partition: Number(partition), offset: Number(offset), index: Number(index) },
  }));
}

interface StoredAlarm extends Omit<Alarm, 'comments' | 'latched' | 'chattering'> {
  comments: string;
  latched: number;
  chattering: number;
}

function alarmOf(row: StoredAlarm): AlarmRow {
  return {
    ...row,
    raisedMs: Number(row.raisedMs),
    ackedMs: numberOrNull(row.ackedMs),
    clearedMs: numberOrNull(row.clearedMs),
    shelvedUntilMs: numberOrNull(row.shelvedUntilMs),
    version: Number(row.version),
    raises: Number(row.raises),
    latched: Number(row.latched) === 1,
    chattering: Number(row.chattering) === 1,
    comments: listOf<AlarmComment>(row.comments),
  };
}

function numberOrNull(value: unknown): number | null {
  return value === null ? null : Number(value);
}

function listOf<Item>(json: unknown): Item[] {
  try {
    const list: unknown = JSON.parse(String(json));
    return Array.isArray(list) ? (list as Item[]) : [];
  } catch {
    return [];
  }
}

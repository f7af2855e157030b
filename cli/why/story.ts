import type { Log } from '../../log/log.ts';
import type { AlarmRule, Evidence, Position } from '../../model/alarm.ts';
import type { AlarmCloudEvent } from '../../model/cloudevent.ts';
import { SluiceError } from '../../model/errors.ts';
import { FrameReader } from '../../model/frame.ts';
import { ALARMS } from '../../model/topics.ts';
import { ruleVersionOf } from '../../processors/alarms/turn.ts';
import type { Store } from '../../store/store.ts';
import { type LoggedMessage, readMessages } from '../audit/way.ts';

/** The story of an alarm, from its raise to its end. */
export interface Story {
  id: string;
  rule: string;
  device: string;
  metric: string;
  severity: string;
  life: string;
  message: string;
  ruleVersion: string;
  /** What the present settings say of the rule. */
  ruleNow: 'the same' | 'defined in another way' | 'not there any more';
  definition: AlarmRule | null;
  chapters: Chapter[];
  /** Values of the alarm's metric around its raise and its end, in order of time. */
  values: { tsMs: number; value: number; deciding: boolean }[];
}

export interface Chapter {
  version: number;
  transition: string;
  atMs: number;
  life: string;
  severity: string;
  value: number;
  by: string;
  comment: string;
  suppressed: string;
  notified: boolean;
  watermarkMs: number | null;
  position: Position;
  evidence: (Evidence & { message: string })[];
}

/** Readings shown before and after each of raise and clear. */
const VALUES_AROUND = 6;
const PAYLOAD_SHOWN = 400;

interface EventRow {
  id: string;
  version: number;
  rule: string;
  device: string;
  metric: string;
  transition: string;
  at_ms: number;
  by: string;
  comment: string;
  severity: string;
  life: string;
  value: number;
  message: string;
  suppressed: string;
  notify: number;
  rule_version: string;
  evidence: string;
  watermark_ms: number | null;
  p: number;
  o: number;
  i: number;
}

const EVENTS = `SELECT id, version, rule, device, metric, transition, toUnixTimestamp64Milli(\`at\`) AS at_ms, \`by\`, comment, severity,
    life, value, message, suppressed, notify, rule_version, evidence, toUnixTimestamp64Milli(watermark) AS watermark_ms,
    \`partition\` AS p, \`offset\` AS o, \`index\` AS i
  FROM alarm_events FINAL`;

/**
 * Tells the story of the alarm whose id begins with `id`; null when there is none. Throws INPUT_INVALID when several begin so. `store`
 * or `log` may be null, and what only they know is then left out.
 */
export async function storyOf(
  id: string,
  parts: { store: Store | null; log: Log | null; rules: readonly AlarmRule[] },
): Promise<Story | null> {
  const { store, log, rules } = parts;
  let chapters = store === null ? [] : await fromStore(store, id);
  if (chapters.length === 0 && log !== null) chapters = await fromLog(log, id);
  const last = chapters.at(-1);
  if (last === undefined) return null;
  const { id: whole, rule, device, metric, message, ruleVersion } = last;
  const definition = rules.find(({ name }) => name === rule) ?? null;
  for (const { chapter } of chapters) {
    for (const evidence of chapter.evidence) evidence.message = await messageOf(log, device, evidence);
  }
  return {
    id: whole,
    rule,
    device,
    metric,
    severity: last.chapter.severity,
    life: last.chapter.life,
    message,
    ruleVersion,
    ruleNow:
      definition === null
        ? 'not there any more'
        : ruleVersionOf(definition) === ruleVersion
          ? 'the same'
          : 'defined in another way',
    definition,
    chapters: chapters.map(({ chapter }) => chapter),
    values: store === null || metric === '' ? [] : await valuesAround(store, device, metric, chapters),
  };
}

interface Found {
  id: string;
  rule: string;
  device: string;
  metric: string;
  message: string;
  ruleVersion: string;
  chapter: Chapter;
}

async function fromStore(store: Store, id: string): Promise<Found[]> {
  const ids = await store.query<{ id: string; rule: string; device: string }>(
    'SELECT id, any(rule) AS rule, any(device) AS device FROM alarms WHERE startsWith(id, {id:String}) GROUP BY id ORDER BY id LIMIT 6',
    { id },
  );
  oneOf(id, ids);
  if (ids.length === 0) return [];
  const rows = await store.query<EventRow>(`${EVENTS} WHERE id = {id:String} ORDER BY version`, { id: ids[0].id });
  return rows.map((row) => ({
    id: row.id,
    rule: row.rule,
    device: row.device,
    metric: row.metric,
    message: row.message,
    ruleVersion: row.rule_version,
    chapter: {
      version: Number(row.version),
      transition: row.transition,
      atMs: Number(row.at_ms),
      life: row.life,
      severity: row.severity,
      value: row.value,
      by: row.by,
      comment: row.comment,
      suppressed: row.suppressed,
      notified: Number(row.notify) === 1,
      watermarkMs: row.watermark_ms === null ? null : Number(row.watermark_ms),
      position: { partition: Number(row.p), offset: Number(row.o), index: Number(row.i) },
      evidence: (JSON.parse(row.evidence) as Evidence[]).map((e) => ({ ...e, message: '' })),
    },
  }));
}

function oneOf(id: string, found: readonly { id: string; rule: string; device: string }[]): void {
  if (found.length < 2) return;
  const some = found.slice(0, 5).map((f) => `${f.id} (${f.rule} on ${f.device})`);
  throw new SluiceError(
    'INPUT_INVALID',
    `several alarms begin with ${id}: ${some.join(', ')}${found.length > 5 ? ' …' : ''}`,
    {
      remedy: 'write more of the id',
    },
  );
}

const READ_BYTES = 1 << 20;

/** The events of the topic ALARMS, where no store can be asked. */
async function fromLog(log: Log, id: string): Promise<Found[]> {
  const found: Found[] = [];
  const reader = new FrameReader();
  for (let partition = 0; partition < log.partitions; partition++) {
    const { first, next } = await log.bounds(ALARMS, partition);
    for (let offset = first; offset < next; ) {
      const frames = await log.read(ALARMS, partition, offset, READ_BYTES);
      if (frames.length === 0) break;
      offset = frames[frames.length - 1].offset + 1;
      for (const { bytes } of frames) {
        reader.reset(bytes);
        while (reader.next()) {
          const event = JSON.parse(Buffer.from(reader.payload()).toString('utf8')) as AlarmCloudEvent;
          if (event.data.id.startsWith(id)) found.push(ofEvent(event));
        }
      }
    }
  }
  oneOf(id, [...new Map(found.map((f) => [f.id, f])).values()]);
  return found.sort((a, b) => a.chapter.version - b.chapter.version);
}

function ofEvent({ data }: AlarmCloudEvent): Found {
  const { id, rule, device, metric, message, ruleVersion, version, transition, atMs, life, severity, value } = data;
  const { by, comment, suppressed, notify, watermarkMs, position, evidence } = data;
  return {
    id,
    rule,
    device,
    metric,
    message,
    ruleVersion,
    chapter: {
      version,
      transition,
      atMs,
      life,
      severity,
      value,
      by,
      comment,
      suppressed,
      notified: notify,
      watermarkMs,
      position,
      evidence: evidence.map((e) => ({ ...e, message: '' })),
    },
  };
}

/** The message at a position, as it came; or why it cannot be shown. */
async function messageOf(log: Log | null, device: string, at: Position): Promise<string> {
  if (log === null) return 'the log cannot be read from here';
  const found: LoggedMessage[] = [];
  const { partition, offset } = at;
  const passed = await readMessages(log, partition, { first: offset, next: offset + 1, device }, (message) => {
    if (message.index === at.index) found.push({ ...message, payload: message.payload.slice() });
  });
  if (passed.first > offset || passed.next <= offset) return 'the log no longer holds it (log.retention)';
  if (found.length === 0) return 'the log has another message at this place: it was begun anew since';
  const text = Buffer.from(found[0].payload.subarray(0, PAYLOAD_SHOWN)).toString('utf8');
  return found[0].payload.length > PAYLOAD_SHOWN ? `${text} …` : text;
}

async function valuesAround(
  store: Store,
  device: string,
  metric: string,
  chapters: readonly Found[],
): Promise<Story['values']> {
  const moments = chapters
    .map(({ chapter }) => chapter)
    .filter(({ transition }) => transition === 'raised' || transition === 'cleared' || transition === 'severity')
    .map(({ atMs }) => atMs);
  const deciding = new Set(
    chapters.flatMap(({ chapter }) => chapter.evidence.filter((e) => e.metric === metric).map((e) => e.tsMs)),
  );
  const values = new Map<number, number>();
  const take = async (sql: string, atMs: number): Promise<void> => {
    const rows = await store.query<{ ts_ms: number | string; value: number }>(
      `SELECT toUnixTimestamp64Milli(ts) AS ts_ms, value FROM readings FINAL
       WHERE device = {device:String} AND metric = {metric:String} AND ${sql} LIMIT ${VALUES_AROUND}`,
      { device, metric, atMs },
    );
    for (const { ts_ms, value } of rows) if (value !== null) values.set(Number(ts_ms), value);
  };
  const at = 'fromUnixTimestamp64Milli({atMs:Int64})';
  for (const atMs of new Set([moments[0], moments.at(-1)])) {
    if (atMs === undefined) continue;
    await take(`ts <= ${at} ORDER BY ts DESC`, atMs);
    await take(`ts > ${at} ORDER BY ts`, atMs);
  }
  return [...values].sort(([a], [b]) => a - b).map(([tsMs, value]) => ({ tsMs, value, deciding: deciding.has(tsMs) }));
}

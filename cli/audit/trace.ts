import type { Log } from '../../log/log.ts';
import type { Store } from '../../store/store.ts';
import { type LoggedMessage, readMessages } from './way.ts';

/** The way of one reading, as the log and the store tell it. */
export interface Trace {
  device: string;
  tsMs: number;
  /** The messages that the rows name, in order. Empty when nothing was stored. */
  messages: TracedMessage[];
  rollups: Record<string, string | number>[];
  alarms: Record<string, string | number | null>[];
  /** Messages of the device that were refused within a minute of the time: only when nothing was stored. */
  quarantined: Record<string, string | number>[];
}

export interface TracedMessage {
  partition: number;
  offset: number;
  index: number;
  receivedMs: number;
  rows: { metric: string; value: number | null; text: string }[];
  /** The message on the log, or why it cannot be shown. */
  frame: { appendedMs: number; bytes: number; messages: number; topic: string; payload: string } | string;
}

interface StoredRow {
  metric: string;
  value: number | null;
  text: string;
  received_ms: number;
  p: number;
  o: number;
  i: number;
}

const AROUND_MS = 60_000;
const PAYLOAD_SHOWN_BYTES = 2048;
const TS = 'fromUnixTimestamp64Milli({tsMs:Int64})';

export async function trace(
  store: Store,
  log: Log | null,
  { device, tsMs, metric }: { device: string; tsMs: number; metric: string },
): Promise<Trace> {
  const params = { device, tsMs, metric, around: AROUND_MS };
  const ofMetric = metric === '' ? '' : 'AND metric = {metric:String}';
  const rows = await store.query<StoredRow>(
    `SELECT metric, value, text, toUnixTimestamp64Milli(received) AS received_ms,
       \`partition\` AS p, \`offset\` AS o, \`index\` AS i
     FROM readings FINAL WHERE device = {device:String} AND ts = ${TS} ${ofMetric} ORDER BY p, o, i, metric`,
    params,
  );
  const messages = new Map<string, TracedMessage>();
  for (const row of rows) {
    const position = { partition: Number(row.p), offset: Number(row.o), index: Number(row.i) };
    const key = `${row.p} ${row.o} ${row.i}`;
    const known = messages.get(key) ?? { ...position, receivedMs: Number(row.received_ms), rows: [], frame: '' };
    known.rows.push({ metric: row.metric, value: row.value, text: row.text });
    messages.set(key, known);
  }
  for (const message of messages.values()) message.frame = await frameOf(log, device, message);
  const rollups = await store.query<Record<string, string | number>>(
    `SELECT window, metric, toUnixTimestamp64Milli(start) AS start_ms, toUnixTimestamp64Milli(end) AS end_ms, count, min, max, avg, revision
     FROM rollups FINAL WHERE device = {device:String} AND start <= ${TS} AND end > ${TS} ${ofMetric} ORDER BY end, window, metric`,
    params,
  );
  const alarms = await store.query<Record<string, string | number | null>>(
    `SELECT rule, metric, severity, state, id, toUnixTimestamp64Milli(raised_at) AS raised_ms,
       toUnixTimestamp64Milli(cleared_at) AS cleared_ms, \`partition\` AS p, \`offset\` AS o, \`index\` AS i
     FROM alarms FINAL WHERE device = {device:String} AND raised_at <= ${TS} AND ifNull(cleared_at >= ${TS}, 1) ${ofMetric}
     ORDER BY raised_at, rule`,
    params,
  );
  const quarantined =
    rows.length > 0
      ? []
      : await store.query<Record<string, string | number>>(
          `SELECT toUnixTimestamp64Milli(received) AS received_ms, topic, reason, toValidUTF8(substring(payload, 1, 256)) AS head,
             \`partition\` AS p, \`offset\` AS o, \`index\` AS i
           FROM quarantine FINAL WHERE device = {device:String}
             AND received BETWEEN fromUnixTimestamp64Milli({tsMs:Int64} - {around:Int64}) AND fromUnixTimestamp64Milli({tsMs:Int64} + {around:Int64})
           ORDER BY received LIMIT 10`,
          params,
        );
  return { device, tsMs, messages: [...messages.values()], rollups, alarms, quarantined };
}

async function frameOf(log: Log | null, device: string, at: TracedMessage): Promise<TracedMessage['frame']> {
  if (log === null) return 'the log cannot be read from here';
  let messages = 0;
  let found = null as LoggedMessage | null;
  const { partition, offset } = at;
  const passed = await readMessages(log, partition, { first: offset, next: offset + 1 }, (message) => {
    messages++;
    if (message.index === at.index) found = { ...message, payload: message.payload.slice() };
  });
  if (passed.first > offset || passed.next <= offset) return 'the log no longer holds this frame (log.retention)';
  const message: LoggedMessage | null = found;
  if (message === null || message.device !== device || message.receivedMs !== at.receivedMs)
    return 'the log has another message at this place: it was begun anew since';
  const shown = Buffer.from(message.payload.subarray(0, PAYLOAD_SHOWN_BYTES)).toString('utf8');
  const more = message.payload.length - PAYLOAD_SHOWN_BYTES;
  return {
    appendedMs: message.appendedMs,
    bytes: message.frameBytes,
    messages,
    topic: message.topic,
    payload: more > 0 ? `${shown} … and ${more} more bytes` : shown,
  };
}

const time = (ms: unknown): string => new Date(Number(ms)).toISOString();

/** The trace as text, in the order of the way. */
export function printTrace(t: Trace): string {
  const lines = [`${t.device} at ${time(t.tsMs)}`];
  for (const m of t.messages) {
    lines.push('', `  received   ${time(m.receivedMs)}, ${m.receivedMs - t.tsMs} ms after the reading's own time`);
    lines.push(`  position   partition ${m.partition}, offset ${m.offset}, message ${m.index} of its frame`);
    if (typeof m.frame === 'string') lines.push(`  frame      ${m.frame}`);
    else {
      lines.push(
        `  frame      ${m.frame.bytes} bytes, ${m.frame.messages} message${m.frame.messages === 1 ? '' : 's'}, on the log from ${time(m.frame.appendedMs)} on`,
      );
      lines.push(`  topic      ${m.frame.topic}`, `  payload    ${m.frame.payload}`);
    }
    for (const row of m.rows)
      lines.push(`  row        ${row.metric} = ${row.text === '' ? row.value : JSON.stringify(row.text)}`);
  }
  if (t.messages.length === 0) {
    lines.push('', '  Nothing with this device and time is stored.');
    if (t.quarantined.length > 0) lines.push('  Refused at about that time:');
    for (const q of t.quarantined) {
      lines.push(`  quarantine ${time(q.received_ms)}, partition ${q.p}, offset ${q.o}, message ${q.i}: ${q.reason}`);
      lines.push(`             ${q.head}`);
    }
  } else if (t.rollups.length === 0) lines.push('  window     none has closed with it yet, or none is set up for it');
  for (const r of t.rollups) {
    const span = `${time(r.start_ms)} to ${time(r.end_ms)}`;
    lines.push(`  window     ${r.window} ${r.metric}: ${span}, count ${r.count}, avg ${r.avg}, revision ${r.revision}`);
  }
  for (const a of t.alarms) {
    const decided = t.messages.some(
      (m) => m.partition === Number(a.p) && m.offset === Number(a.o) && m.index === Number(a.i),
    );
    const until = a.cleared_ms === null ? 'still raised' : `cleared ${time(a.cleared_ms)}`;
    const by = decided ? `; ${a.state} by this message` : '';
    lines.push(`  alarm      ${a.rule} (${a.metric}, ${a.severity}): raised ${time(a.raised_ms)}, ${until}${by}`);
  }
  return lines.join('\n');
}

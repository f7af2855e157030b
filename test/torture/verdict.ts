import { FLAG_DERIVED } from '../../store/readings-block.ts';
import type { LogMessage } from './log-contents.ts';
import type { RollupRow, TortureOracle } from './oracle.ts';
import { judgeReplay } from './replay-verdict.ts';
import type { Rig } from './rig.ts';

/** What is wrong; all 0 and no notes when nothing is. */
export interface Verdict {
  /** Messages that were acknowledged and are not on the log, or are on the log and not in the tables. */
  lost: number;
  /** Readings that count twice under FINAL, or that nobody sent. */
  doubled: number;
  /** Rows that lie twice on disk and count once under FINAL. */
  twiceOnDisk: number;
  wrongRollups: number;
  wrongAlarms: number;
  /** Breaks in a device's order. */
  disordered: number;
  /** 1 when `sluice audit` found that the books do not balance. */
  unbalanced: number;
  notes: string[];
}

export const isClean = (v: Verdict): boolean =>
  v.lost + v.doubled + v.twiceOnDisk + v.wrongRollups + v.wrongAlarms + v.disordered + v.unbalanced === 0;

/** What the devices of a round have sent: payloads in their order, and for a blast how a message's number is told. */
export interface Sent {
  device: string;
  payloads: readonly string[];
}

export interface SentBlast {
  prefix: string;
  baseMs: number;
  stepMs: number;
  messagesOf: readonly number[];
  devices: readonly string[];
}

/**
 * The log against what was sent and acknowledged. Of each device, messages may be repeated (their acknowledgement was lost), but each
 * first comes in its turn, none is missing, and none is there that was not sent.
 */
export function judgeLog(
  messages: readonly LogMessage[],
  sent: readonly Sent[],
  blast: SentBlast,
  into: Verdict,
): void {
  const numberOf = new Map<string, (payload: string) => number>();
  const expected = new Map<string, number>();
  for (const { device, payloads } of sent) {
    const index = new Map(payloads.map((payload, i) => [payload, i]));
    numberOf.set(device, (payload) => index.get(payload) ?? -1);
    expected.set(device, payloads.length);
  }
  blast.devices.forEach((device, i) => {
    numberOf.set(device, (payload) => (Number(/"ts":(\d+)/.exec(payload)?.[1]) - blast.baseMs) / blast.stepMs);
    expected.set(device, blast.messagesOf[i]);
  });
  const seen = new Map<string, Set<number>>();
  const newest = new Map<string, number>();
  for (const { device, payload, partition, offset } of messages) {
    const number = numberOf.get(device)?.(payload) ?? -1;
    if (!(Number.isInteger(number) && number >= 0 && number < (expected.get(device) ?? 0))) {
      into.doubled++;
      into.notes.push(`nobody sent this: ${device} ${payload.slice(0, 80)}`);
      continue;
    }
    const had = seen.get(device) ?? new Set();
    seen.set(device, had);
    if (!had.has(number) && number < (newest.get(device) ?? -1)) {
      into.disordered++;
      into.notes.push(`${device}: message ${number} at ${partition}/${offset} is behind ${newest.get(device)}`);
    }
    had.add(number);
    newest.set(device, Math.max(number, newest.get(device) ?? -1));
  }
  for (const [device, count] of expected) {
    const had = seen.get(device) ?? new Set();
    const missing = Array.from({ length: count }, (_, number) => number).filter((number) => !had.has(number));
    into.lost += missing.length;
    if (missing.length > 0)
      into.notes.push(`${device}: ${count} messages were acknowledged, not on the log are ${missing.slice(0, 10)}`);
  }
}

/** The tables, the topic of alarm events and the subscriber against the oracle. */
export async function judgeTables(
  rig: Rig,
  prefix: string,
  oracle: TortureOracle,
  alarmsFrom: readonly number[],
  subscriberHeardAll: boolean,
): Promise<Verdict> {
  const v: Verdict = {
    lost: 0,
    doubled: 0,
    twiceOnDisk: 0,
    wrongRollups: 0,
    wrongAlarms: 0,
    disordered: 0,
    unbalanced: 0,
    notes: [],
  };
  await judgeReadings(rig, prefix, oracle, v);
  await judgeQuarantine(rig, prefix, oracle, v);
  if (rig.replay !== null) {
    await judgeReplay(rig, rig.replay, prefix, subscriberHeardAll, v);
    return v;
  }
  await judgeRollups(rig, prefix, oracle, v);
  await judgeAlarms(rig, prefix, oracle, v);
  const onTopic = await rig.contents.alarmIds(alarmsFrom);
  onTopic.forEach((ids, partition) => {
    const wanted = oracle.events.get(partition) ?? [];
    if (JSON.stringify(ids) === JSON.stringify(wanted)) return;
    v.wrongAlarms++;
    v.notes.push(`alarm events of partition ${partition}: ${ids.length} on the log, ${wanted.length} expected`);
    const at = wanted.findIndex((id, i) => ids[i] !== id);
    v.notes.push(`  from ${at}: ${ids.slice(at, at + 3)} instead of ${wanted.slice(at, at + 3)}`);
  });
  if (subscriberHeardAll) {
    const missing = [...oracle.events.values()].flat().filter((id) => !rig.heard.has(id));
    if (missing.length > 0) {
      v.wrongAlarms += missing.length;
      v.notes.push(`a subscriber did not hear ${missing.length} alarm events, ${missing[0]} for one`);
    }
  }
  return v;
}

async function judgeReadings(rig: Rig, prefix: string, oracle: TortureOracle, v: Verdict): Promise<void> {
  const position = "concat(toString(`partition`), '/', toString(`offset`), '/', toString(`index`))";
  const rows = await rig.program.query<{ k: [string, string, string, number | null, string, string, string] }>(
    `SELECT (device, metric, toString(toUnixTimestamp64Milli(ts)), if(isNaN(value), NULL, value), text, ${position}, toString(arrival)) AS k
     FROM sluice.readings FINAL WHERE startsWith(device, '${prefix}') AND bitAnd(flags, ${FLAG_DERIVED}) = 0`,
  );
  const found = new Set<string>();
  for (const { k } of rows) {
    const [device, metric, ts, value, text, at, arrival] = Object.values(k);
    const key = JSON.stringify([device, metric, Number(ts), arrival === '0' ? '' : at]);
    const wanted = oracle.readings.get(key);
    if (wanted === undefined || found.has(key)) {
      v.doubled++;
      if (v.doubled < 4) v.notes.push(`not expected in readings: ${key} ${value} ${text} at ${at}`);
      continue;
    }
    found.add(key);
    const inPlace = wanted.position === '' || wanted.position === at;
    if (wanted.value === value && wanted.text === text && inPlace) continue;
    v.lost++;
    v.notes.push(`${key} is ${value} ${text} at ${at}, not ${wanted.value} ${wanted.text} at ${wanted.position}`);
  }
  const missing = [...oracle.readings].filter(([key]) => !found.has(key));
  v.lost += missing.length;
  for (const [key, row] of missing.slice(0, 3)) v.notes.push(`missing in readings: ${key} at ${row.position}`);
  const [{ n }] = await rig.program.query<{ n: string }>(
    `SELECT count() AS n FROM sluice.readings WHERE startsWith(device, '${prefix}') AND bitAnd(flags, ${FLAG_DERIVED}) = 0`,
  );
  v.twiceOnDisk += Math.max(0, Number(n) - oracle.readings.size - oracle.repeatedAhead);
}

async function judgeQuarantine(rig: Rig, prefix: string, oracle: TortureOracle, v: Verdict): Promise<void> {
  const rows = await rig.program.query<{ at: string; payload: string; reason: string }>(
    `SELECT concat(toString(\`partition\`), '/', toString(\`offset\`), '/', toString(\`index\`)) AS at, payload, reason
     FROM sluice.quarantine FINAL WHERE startsWith(device, '${prefix}')`,
  );
  const found = new Set<string>();
  for (const { at, payload, reason } of rows) {
    if (oracle.quarantine.get(at)?.payload !== payload || found.has(at) || reason === '') {
      v.doubled++;
      v.notes.push(`not expected in quarantine: ${at} ${reason} ${payload.slice(0, 60)}`);
    }
    found.add(at);
  }
  const missing = [...oracle.quarantine.keys()].filter((at) => !found.has(at));
  v.lost += missing.length;
  if (missing.length > 0) v.notes.push(`${missing.length} missing in quarantine, ${missing[0]} for one`);
}

async function judgeRollups(rig: Rig, prefix: string, oracle: TortureOracle, v: Verdict): Promise<void> {
  const rows = await rig.program.query<RollupRow & { count: string; startMs: string }>(
    `SELECT window, device, metric, toString(toUnixTimestamp64Milli(start)) AS startMs, toString(count) AS count,
            sum, min, max, first, last, revision
     FROM sluice.rollups FINAL WHERE startsWith(device, '${prefix}')`,
  );
  // Without a revision where it depends on when somebody fell idle.
  const told = (row: RollupRow): string =>
    `${row.count} ${row.sum} ${row.min} ${row.max} ${row.first} ${row.last}${rig.mode === 'exact' ? ` r${row.revision}` : ''}`;
  const left = new Map(oracle.rollups);
  for (const row of rows) {
    const key = JSON.stringify([row.window, row.device, row.metric, Number(row.startMs)]);
    const wanted = left.get(key);
    left.delete(key);
    if (wanted !== undefined && told(wanted) === told(row)) continue;
    // What only idleness closes (the newest windows) is not in the oracle's.
    if (wanted === undefined && rig.mode === 'idle') continue;
    v.wrongRollups++;
    if (v.wrongRollups < 4)
      v.notes.push(`rollup ${key} is ${told(row)}, not ${wanted === undefined ? 'there' : told(wanted)}`);
  }
  v.wrongRollups += left.size;
  for (const [key, row] of [...left].slice(0, 3)) v.notes.push(`missing rollup ${key}: ${told(row)}`);
}

async function judgeAlarms(rig: Rig, prefix: string, oracle: TortureOracle, v: Verdict): Promise<void> {
  const rows = await rig.program.query<Record<string, string | number | null>>(
    `SELECT id, rule, device, state, toString(toUnixTimestamp64Milli(raised_at)) AS raised,
            toString(toUnixTimestamp64Milli(cleared_at)) AS cleared, value
     FROM sluice.alarms FINAL WHERE startsWith(device, '${prefix}')`,
  );
  const left = new Map(oracle.alarms);
  for (const row of rows) {
    const wanted = left.get(String(row.id));
    left.delete(String(row.id));
    const is = `${row.rule} ${row.device} ${row.state} ${row.raised} ${row.cleared} ${row.value}`;
    const should =
      wanted &&
      `${wanted.rule} ${wanted.device} ${wanted.state} ${wanted.raisedMs} ${wanted.clearedMs} ${wanted.value}`;
    if (is === should) continue;
    v.wrongAlarms++;
    v.notes.push(`alarm ${row.id}: ${is}, expected: ${should ?? 'none'}`);
  }
  v.wrongAlarms += left.size;
  for (const alarm of [...left.values()].slice(0, 3)) v.notes.push(`missing alarm ${JSON.stringify(alarm)}`);
}

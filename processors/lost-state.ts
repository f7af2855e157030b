import type { Log, LogFrame } from '../log/log.ts';
import type { DeviceRow, DeviceSource } from '../model/device.ts';
import { SluiceError } from '../model/errors.ts';
import type { Fact } from '../model/fact.ts';
import { FrameReader } from '../model/frame.ts';
import { decodeOperation, type Operation } from '../model/operation.ts';
import { partitionOf } from '../model/partition.ts';
import { decodeTold } from '../model/told.ts';
import { FACTS, OPERATIONS, TELEMETRY } from '../model/topics.ts';
import type { Store } from '../store/store.ts';
import { alarmAfter, type PastAlarm, type PastTransition } from './alarms/alarm-history.ts';
import { receivedMinMs } from './resume.ts';

/**
 * What can be had of a partition's state at a place of its log, when neither a checkpoint nor the frames before that place are left:
 *
 *     registry      table `devices`, and the operations on their topic that were asked for before the place
 *     alarms        those that were not over at the place: the transitions before it, from the table `alarm_events`
 *     facts         the newest on their topic that were told before the place
 *     maintenance   operations on their topic
 *
 * Windows, redeliveries, and how long a condition has held begin afresh. It becomes a checkpoint before anything comes of it, so that what the
 * partition gives is, from then on, what it always is: a function of a checkpoint and the frames behind it.
 */
export interface LostState {
  /** Time received of the first frame that is left, for the partition's clock; 0 when none is. */
  clockMs: number;
  /** Rows of before the place; of the others only when the device was first heard. */
  devices: DeviceRow[];
  operations: Operation[];
  facts: Fact[];
  alarms: PastAlarm[];
}

/** How much was found, for people. */
export function countsOf({ devices, operations, facts, alarms }: LostState): Record<string, number> {
  return { devices: devices.length, operations: operations.length, facts: facts.length, alarms: alarms.length };
}

const READ_BYTES = 4 << 20;
const DEVICES_PER_QUERY = 50_000;

/** `offset` is the first that is left of the partition's log. Asks log and store; rejects with their errors. */
export async function findLostState(log: Log, store: Store, partition: number, offset: number): Promise<LostState> {
  const [frame] = await log.read(TELEMETRY, partition, offset, 1);
  const atMs = frame?.appendedMs ?? Number.POSITIVE_INFINITY;
  const [devices, alarms, facts, operations] = await Promise.all([
    findDevices(store, partition, offset),
    findAlarms(store, partition, offset),
    findFacts(log, partition, offset, atMs),
    findOperations(log, partition, atMs),
  ]);
  return { clockMs: frame === undefined ? 0 : receivedMinMs([frame]), devices, operations, facts, alarms };
}

type Row = Record<string, string | number | null>;

async function findDevices(store: Store, partition: number, offset: number): Promise<DeviceRow[]> {
  const found: DeviceRow[] = [];
  for (let after: string | null = ''; after !== null; ) {
    const rows: (Row & { id: string; tags: Record<string, string>; thresholds: Record<string, number> })[] =
      await store.query(
        `SELECT id, name, site, model, tags, thresholds, source, removed, version, revision, \`offset\`,
           toUnixTimestamp64Milli(first_seen) AS first_ms, toUnixTimestamp64Milli(changed_at) AS changed_ms
         FROM devices FINAL WHERE \`partition\` = {partition:UInt16} AND id > {after:String}
         ORDER BY id LIMIT ${DEVICES_PER_QUERY}`,
        { partition, after },
      );
    for (const row of rows) {
      found.push({
        id: row.id,
        name: String(row.name),
        site: String(row.site),
        model: String(row.model),
        tags: new Map(Object.entries(row.tags)),
        thresholds: new Map(Object.entries(row.thresholds)),
        source: row.source as DeviceSource,
        version: Number(row.version),
        firstSeenMs: row.first_ms === null ? null : Number(row.first_ms),
        changedMs: Number(row.changed_ms),
        removed: Number(row.removed) === 1,
        revision: Number(row.revision),
        partition,
        offset: Number(row.offset),
      });
    }
    after = rows.length < DEVICES_PER_QUERY ? null : (rows.at(-1)?.id ?? null);
  }
  return found.map((row) =>
    row.offset < offset ? row : { ...NOTHING_SAID, ...pick(row), version: 0, source: 'seen', removed: false },
  );
}

const NOTHING_SAID = { name: '', site: '', model: '', tags: new Map(), thresholds: new Map() } as const;

function pick({ id, firstSeenMs, changedMs, revision, partition, offset }: DeviceRow) {
  return { id, firstSeenMs, changedMs, revision, partition, offset };
}

async function findAlarms(store: Store, partition: number, offset: number): Promise<PastAlarm[]> {
  const rows = await store.query<Row & { id: string }>(
    `SELECT id, version, rule, device, metric, transition, toUnixTimestamp64Milli(at) AS at_ms, by, comment, severity, state, life,
       value, message, suppressed, group_id, toUnixTimestamp64Milli(shelved_until) AS shelved_ms, rule_version
     FROM alarm_events FINAL
     WHERE \`partition\` = {partition:UInt16} AND \`offset\` < {offset:UInt64} AND id IN (
       SELECT id FROM alarm_events FINAL WHERE \`partition\` = {partition:UInt16} AND \`offset\` < {offset:UInt64}
       GROUP BY id HAVING argMax(life, version) != 'normal')
     ORDER BY id, version`,
    { partition, offset },
  );
  const of = new Map<string, PastTransition[]>();
  for (const row of rows) {
    const transitions = of.get(row.id) ?? [];
    of.set(row.id, transitions);
    transitions.push(transitionOf(row));
  }
  return [...of.values()].map(alarmAfter);
}

function transitionOf(row: Row): PastTransition {
  const text = (name: string): string => String(row[name]);
  return {
    id: text('id'),
    version: Number(row.version),
    rule: text('rule'),
    device: text('device'),
    metric: text('metric'),
    transition: text('transition') as PastTransition['transition'],
    atMs: Number(row.at_ms),
    by: text('by'),
    comment: text('comment'),
    severity: text('severity') as PastTransition['severity'],
    state: text('state') as PastTransition['state'],
    life: text('life') as PastTransition['life'],
    // JSON has no NaN, which the value of a silent device's alarm is.
    value: row.value === null ? Number.NaN : Number(row.value),
    message: text('message'),
    suppressed: text('suppressed'),
    groupId: text('group_id'),
    shelvedUntilMs: row.shelved_ms === null ? null : Number(row.shelved_ms),
    ruleVersion: text('rule_version'),
  };
}

/** The newest of each subject and partition; of the partition's own those of before `offset`. */
async function findFacts(log: Log, partition: number, offset: number, atMs: number): Promise<Fact[]> {
  const newest = new Map<string, Fact>();
  const partitions = log.partitions > 1 ? log.partitions : 0;
  for (let from = 0; from < partitions; from++) {
    await eachMessage(log, FACTS, from, atMs, (payload) => {
      const fact = decodeTold(payload);
      // What a window of a group had told last comes again with its next result.
      if (fact.kind === 'rollup' || (fact.partition === partition && fact.offset >= offset)) return;
      const { kind, rule, definition, group } = fact;
      const key = JSON.stringify([fact.partition, kind, rule, definition, group]);
      const before = newest.get(key);
      const isNewer = (last: Fact): boolean =>
        fact.offset > last.offset || (fact.offset === last.offset && fact.ordinal > last.ordinal);
      if (before === undefined || isNewer(before)) newest.set(key, fact);
    });
  }
  return [...newest.values()];
}

/** Those of devices of the partition, and maintenance. What was done to alarms is in their transitions. */
async function findOperations(log: Log, partition: number, atMs: number): Promise<Operation[]> {
  const found: Operation[] = [];
  await eachMessage(log, OPERATIONS, 0, atMs, (payload) => {
    const operation = decodeOperation(payload);
    if (operation.kind === 'alarm') return;
    if (operation.kind === 'device' && partitionOf(operation.device, log.partitions) !== partition) return;
    found.push(operation);
  });
  return found;
}

/** Messages of frames that were appended up to a time. What cannot be read is passed over, as it was when it came. */
async function eachMessage(
  log: Log,
  topic: string,
  partition: number,
  atMs: number,
  take: (payload: Uint8Array) => void,
): Promise<void> {
  const reader = new FrameReader();
  const { first, next } = await log.bounds(topic, partition);
  for (let offset = first; offset < next; ) {
    const frames: LogFrame[] = await log.read(topic, partition, offset, READ_BYTES);
    if (frames.length === 0) return;
    for (const { bytes, appendedMs } of frames) {
      if (appendedMs > atMs) return;
      reader.reset(bytes);
      while (readable(() => reader.next())) readable(() => take(reader.payload()));
    }
    offset = frames[frames.length - 1].offset + 1;
  }
}

function readable<Result>(read: () => Result): Result | null {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    return null;
  }
}

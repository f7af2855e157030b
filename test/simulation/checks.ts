import type { LogFrame } from '../../log/log.ts';
import { FrameReader } from '../../model/frame.ts';
import { ALARMS, TELEMETRY } from '../../model/topics.ts';
import { PartitionPipeline } from '../../processors/pipeline.ts';
import { Room } from '../../processors/room.ts';
import { type NativeRow, readNative } from '../../processors/testing/native-rows.ts';
import { checkByItself, isDerived, isOracles, REPLAYED, replayedLines, wholeLine } from './feature-checks.ts';
import { isFeature, isOfGroup } from './features.ts';
import { Oracle } from './oracle.ts';
import type { SimProgram } from './program.ts';
import { pipelineOf, RULES, WINDOWS } from './settings.ts';
import { checkShared } from './shared-checks.ts';
import type { World } from './world.ts';

/** The largest message of the simulation, with what a frame adds. */
const MESSAGE_BYTES = 200;
/** The largest fact, which is the result of a group's window. */
const FACT_BYTES = 700;

/** Rooms of processors that were given more than they have. */
let overfull: string | null = null;
const take = Room.prototype.take;
Room.prototype.take = function (bytes) {
  take.call(this, bytes);
  if (this.bytes > Math.max(this.bytesMax, bytes))
    overfull = `${this.bytes} bytes are under way, of at most ${this.bytesMax}`;
};

/** After every step: no queue grows beyond its bound. */
export function checkBounds(world: World, { doors }: SimProgram): void {
  if (overfull !== null) {
    const what = overfull;
    overfull = null;
    throw new Error(`bounds: ${what}`);
  }
  // Each connection may bring one read too many, and each partition a tick.
  const { inFlightBytesMax, devices, partitions, features, frameBytesMax } = world.plan;
  // Facts come beside the messages of devices, a frame of them at once.
  const factBytes = features === null ? 0 : Math.min(frameBytesMax, inFlightBytesMax) + FACT_BYTES;
  const bound = inFlightBytesMax + (devices + partitions) * MESSAGE_BYTES + factBytes;
  for (const door of doors) {
    const bytes = door?.pressure.bytes ?? 0;
    if (bytes > bound) throw new Error(`bounds: the door holds ${bytes} bytes, and may hold ${bound}`);
    if (bytes < 0) throw new Error(`bounds: the door holds ${bytes} bytes`);
  }
}

/** At the end, when everything has drained: what was promised against what is there. */
export function check(world: World, program: SimProgram): string[] {
  const { log, store } = program;
  const { clockSkewMaxMs, idleMs } = world.plan;
  const failures: string[] = [];
  const oracles = Array.from({ length: log.partitions }, (_, partition) => {
    const oracle = new Oracle(partition, { windows: WINDOWS, rules: RULES, clockSkewMaxMs, idleMs });
    for (const frame of log.frames(TELEMETRY, partition)) oracle.frame(frame);
    return oracle;
  });
  checkDevices(world, program, oracles, failures);
  checkReadings(world, program, oracles, failures);
  same(
    'quarantine',
    [...store.final('quarantine').values()].map(
      (r) => `${r.device} ${r.partition}/${r.offset}/${r.index} ${r.payload}`,
    ),
    oracles.flatMap((oracle) => oracle.quarantine),
    failures,
  );
  // Who else has something open decides at which second a silent device is looked at, and with it what a revision holds.
  if (world.plan.features === null) {
    same(
      'rollups',
      distinct(store.tables.rollups.map(rollupLine)),
      oracles.flatMap((oracle) => oracle.rollups),
      failures,
    );
  }
  same(
    'alarms',
    distinct(store.tables.alarms.filter(isOracles).map(alarmLine)),
    oracles.flatMap((oracle) => oracle.alarms),
    failures,
  );
  checkFinal(program, failures);
  checkByItself(program, failures);
  const replayed = oracles.map((oracle, partition) => checkEvents(world, program, partition, oracle, failures));
  checkShared(world, program, replayed, failures);
  for (const door of program.doors) {
    if (door?.pressure.bytes !== 0) failures.push(`bounds: a door still holds ${door?.pressure.bytes} bytes`);
  }
  world.count(
    'messages',
    program.devices.reduce((sum, d) => sum + d.sent.length, 0),
  );
  world.count(
    'acknowledged',
    program.devices.reduce((sum, d) => sum + d.sent.filter((s) => s.acknowledged).length, 0),
  );
  world.count(
    'readings',
    oracles.reduce((sum, oracle) => sum + oracle.readings.length, 0),
  );
  world.count(
    'rollups',
    oracles.reduce((sum, oracle) => sum + oracle.rollups.length, 0),
  );
  world.count(
    'alarm events',
    oracles.reduce((sum, oracle) => sum + oracle.alarms.length, 0),
  );
  for (const why of new Set([...world.excuses.rows.values(), ...world.excuses.events.values()])) {
    world.count(`corner: ${why.replace(/\w+#\d+/, 'a process')}`);
  }
  return failures;
}

/**
 * What was acknowledged is on the log, nothing else is, and in the order in which it was sent. A message of QoS 0 is not sent again:
 * an append of the door before that lands late may put it behind messages of QoS 1 that were (MQTT orders each QoS by itself).
 */
function checkDevices(world: World, { devices }: SimProgram, oracles: readonly Oracle[], failures: string[]): void {
  const isOrdered = (qos: number) => qos === 1 || (world.plan.faults.landsLate === 0 && world.plan.doors === 1);
  for (const device of devices) {
    const seen = new Map<string, number>();
    for (const oracle of oracles) {
      for (const { device: name, payload } of oracle.payloads) {
        if (name === device.id && !seen.has(payload)) seen.set(payload, seen.size);
      }
    }
    const sent = new Set<string>();
    let before = -1;
    for (const { payload, qos, acknowledged } of device.sent) {
      const at = seen.get(payload);
      if (acknowledged && at === undefined) failures.push(`lost: ${device.id} had an acknowledgement of ${payload}`);
      if (at === undefined || sent.has(payload)) continue;
      sent.add(payload);
      if (!isOrdered(qos)) continue;
      if (at < before) failures.push(`order: ${device.id} sent ${payload} later than it stands on the log`);
      before = at;
    }
    for (const payload of seen.keys()) {
      if (!sent.has(payload)) failures.push(`invented: ${device.id} never sent ${payload}`);
    }
  }
}

function checkReadings(world: World, { store }: SimProgram, oracles: readonly Oracle[], failures: string[]): void {
  const rows = new Map<string, number>();
  for (const row of store.tables.readings) {
    if (isDerived(row)) continue;
    const line = readingLine(row);
    rows.set(line, (rows.get(line) ?? 0) + 1);
  }
  const sent = [...store.final('readings').values()].filter((row) => !isDerived(row));
  const keys = new Set(sent.map((row) => keyOfLine(readingLine(row))));
  if (keys.size !== sent.length) failures.push('readings: FINAL gives a reading more than once');
  const expected = new Set<string>();
  oracles.forEach((oracle, partition) => {
    const excused = world.excuses.rows.has(partition);
    for (const line of oracle.readings) {
      expected.add(line);
      if (!keys.has(keyOfLine(line))) failures.push(`lost: the reading ${line} is not in the store`);
      const times = rows.get(line) ?? 0;
      if (!excused && times !== 1) failures.push(`doubled: the reading ${line} is in the store ${times} times`);
    }
  });
  for (const line of rows.keys()) if (!expected.has(line)) failures.push(`invented: the reading ${line}`);
}

/** Alarm events: each once, in order, byte for byte as a replay of the log from its start gives them. */
function checkEvents(world: World, program: SimProgram, partition: number, oracle: Oracle, failures: string[]) {
  const events = eventsOf(program.log.frames(ALARMS, partition).map((frame) => frame.bytes));
  const replayed = replay(world, program.log.frames(TELEMETRY, partition), partition);
  const excused = world.excuses.events.has(partition);
  const here = excused ? distinct(events).sort() : events;
  const there = excused ? [...replayed.events].sort() : replayed.events;
  if (JSON.stringify(here) !== JSON.stringify(there)) {
    failures.push(
      `events: partition ${partition} has\n  ${here.join('\n  ')}\nand a replay gives\n  ${there.join('\n  ')}`,
    );
  }
  if (world.plan.features === null) {
    same(`rollups of a replay of partition ${partition}`, replayed.rollups, oracle.rollups, failures);
  }
  const { tables } = program.store;
  for (const table of REPLAYED) {
    const rows = tables[table].filter((row) => row.partition === partition && !isOfGroup(row));
    same(
      `${table} of partition ${partition}`,
      distinct(rows.map(wholeLine)),
      distinct(replayed.tables[table]),
      failures,
    );
  }
  const derived = tables.readings.filter((row) => row.partition === partition && isDerived(row));
  same(`derived readings of partition ${partition}`, distinct(derived.map(wholeLine)), replayed.derived, failures);
  const ledger = program.store.tables.ledger.filter((row) => row.partition === partition);
  same(`ledger of partition ${partition}`, distinct(ledger.map(ledgerLine)), replayed.ledger, failures);
  const known = events.map((e) => JSON.parse(e)).filter(({ data }) => !isFeature(data.rule));
  const ids = oracle.alarms.map((line) => {
    const [id, , , , , , , version] = JSON.parse(line);
    return `${id}-${version}`;
  });
  same(`ids of events of partition ${partition}`, distinct(known.map(({ id }) => id)), ids, failures);
  return replayed;
}

/** The log worked at from its start, by one pipeline without a checkpoint. */
function replay(world: World, frames: readonly LogFrame[], partition: number) {
  const pipeline = new PartitionPipeline(
    partition,
    { ...pipelineOf(world.plan), partitions: world.plan.partitions },
    { state: null, lastAlarm: null },
  );
  for (const { offset, bytes } of frames) pipeline.process(offset, bytes, null, true);
  const { blocks, alarmFrames, partials, facts } = pipeline.take();
  return {
    partials,
    facts,
    ledger: blocks.ledger.flatMap((block) => readNative(block)).map(ledgerLine),
    rollups: blocks.rollups.flatMap((block) => readNative(block)).map(rollupLine),
    tables: Object.fromEntries(REPLAYED.map((table) => [table, replayedLines(blocks, table)])),
    derived: blocks.readings
      .flatMap((block) => readNative(block))
      .filter(isDerived)
      .map(wholeLine),
    events: eventsOf(alarmFrames),
  };
}

function checkFinal({ store }: SimProgram, failures: string[]): void {
  const open = new Set<string>();
  for (const row of store.final('alarms').values()) {
    if (row.state !== 'raised') continue;
    const key = `${row.rule} of ${row.device}`;
    if (open.has(key)) failures.push(`alarms: two are open for ${key}`);
    open.add(key);
  }
  const newest = new Map<string, number>();
  for (const row of store.tables.rollups) {
    const key = JSON.stringify([row.window, row.device, row.metric, row.start]);
    newest.set(key, Math.max(newest.get(key) ?? 0, row.revision as number));
  }
  for (const row of store.final('rollups').values()) {
    const key = JSON.stringify([row.window, row.device, row.metric, row.start]);
    if (row.revision !== newest.get(key)) failures.push(`rollups: FINAL gives an old revision of ${key}`);
  }
}

function eventsOf(frames: readonly Uint8Array[]): string[] {
  const reader = new FrameReader();
  return frames.flatMap((bytes) => {
    reader.reset(bytes);
    const out: string[] = [];
    while (reader.next()) out.push(Buffer.from(reader.payload()).toString());
    return out;
  });
}

const distinct = (lines: readonly string[]): string[] => [...new Set(lines)];

/** Compares as multisets, and tells the first few differences. */
function same(what: string, here: readonly string[], there: readonly string[], failures: string[]): void {
  const count = new Map<string, number>();
  for (const line of there) count.set(line, (count.get(line) ?? 0) + 1);
  for (const line of here) count.set(line, (count.get(line) ?? 0) - 1);
  const wrong = [...count].filter(([, n]) => n !== 0);
  for (const [line, n] of wrong.slice(0, 5)) failures.push(`${what}: ${n > 0 ? 'missing' : 'too many'} ${line}`);
}

function readingLine(row: NativeRow): string {
  const untimed = row.arrival === 0 ? 0 : 1;
  const value = Number.isNaN(row.value) ? null : row.value;
  return JSON.stringify([row.device, row.metric, row.ts, untimed, row.partition, row.offset, row.index, value]);
}

/** What makes a reading one: its time, or, when it has none of its own, its message. */
function keyOfLine(line: string): string {
  const [device, metric, ts, untimed, partition, offset, index] = JSON.parse(line);
  return JSON.stringify(untimed === 0 ? [device, metric, ts] : [device, metric, ts, partition, offset, index]);
}

function rollupLine(r: NativeRow): string {
  return JSON.stringify([
    ...[r.window, r.device, r.metric, r.start, r.end, r.count, r.sum, r.min, r.max, r.avg, r.first, r.last, r.revision],
  ]);
}

function alarmLine(r: NativeRow): string {
  return JSON.stringify([r.id, r.rule, r.device, r.state, r.raised_at, r.cleared_at, r.value, r.version]);
}

function ledgerLine(row: NativeRow): string {
  return JSON.stringify(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)));
}

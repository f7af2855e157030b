import { setTimeout as sleep } from 'node:timers/promises';
import { type BlastOptions, type BlastResult, blast } from '../../device-sim/blast.ts';
import { randomOf } from '../../processors/testing/scenario.ts';
import { eventually } from '../program.ts';
import { type Disturbance, disturb, interruptsSubscribers } from './disturbances.ts';
import { RememberingDevice, TroubledStream } from './fleet.ts';
import type { LogReplay } from './log-replay.ts';
import { Operators } from './operators.ts';
import { TortureOracle } from './oracle.ts';
import { judgeOperations, missingFacts, missingOperations } from './replay-verdict.ts';
import type { Rig } from './rig.ts';
import { isClean, judgeLog, judgeTables, type Verdict } from './verdict.ts';

export interface RoundOptions {
  seed: number;
  plan: readonly Disturbance[];
  /** Devices of the troubled fleet, each with a connection of its own. */
  devices?: number;
  /** Messages of each of them, about one every 40 ms. */
  messages?: number;
  /** Messages of the blast beside them, over six connections. */
  blastMessages?: number;
}

export interface RoundResult {
  seed: number;
  plan: readonly Disturbance[];
  acknowledged: number;
  resent: number;
  /** From the end of the last disturbance until a message of a device was acknowledged, stored and read, with `/ready` at 200. */
  backInServiceMs: number;
  tookMs: number;
  readings: number;
  quarantined: number;
  rollups: number;
  alarmEvents: number;
  /** Answered with 202; each was found once. */
  operations: number;
  verdict: Verdict;
}

const HOUR_MS = 3_600_000;
const PACE_MS = 40;
const BLAST_CONNECTIONS = 6;
const BLAST_PER_SECOND = 2_500;
/** Payloads of blasts, and how far ts moves from one message to the next. */
const BLASTS = [
  { payload: 'object', stepMs: 1 },
  { payload: 'array10', stepMs: 10 },
  { payload: 'strings', stepMs: 1 },
] as const;
/** The program gets this long to be back in service, and to bring what was acknowledged to the tables. */
const RECOVERY_MS = 90_000;

let rounds = 0;

/**
 * One round: devices publish and remember, the plan's disturbances happen meanwhile, all is acknowledged in the end, and the
 * tables are compared with what an oracle makes of the log. The devices are new in each round, so that a program may be used
 * for many.
 */
export async function runRound(rig: Rig, options: RoundOptions): Promise<RoundResult> {
  const { seed, plan } = options;
  const beganMs = Date.now();
  const random = randomOf(seed);
  const prefix = `r${++rounds}-`;
  const port = Number(new URL(rig.program.mqttUrl).port);
  const [telemetryFrom, alarmsFrom] = await Promise.all([rig.contents.ends('telemetry'), rig.contents.ends('alarms')]);

  const devices = Array.from({ length: options.devices ?? 8 }, (_, i) => {
    const device = new RememberingDevice(`${prefix}d${i}`, port, 1 + Math.floor(random() * 16));
    return { device, stream: new TroubledStream(seed * 101 + i, beganMs - HOUR_MS, i % 4 === 3) };
  });
  const probe = new RememberingDevice(`${prefix}probe`, port, 4);
  const all = [...devices.map((d) => d.device), probe];
  const operators =
    rig.replay === null
      ? null
      : new Operators({ httpUrl: rig.program.httpUrl, prefix, devices: devices.map(({ device }) => device.id), seed });
  const kind = BLASTS[Math.floor(random() * BLASTS.length)];
  const baseMs = beganMs - 6 * HOUR_MS;
  try {
    const blasted = blastOnceConnected({
      url: rig.program.mqttUrl,
      connections: BLAST_CONNECTIONS,
      messages: options.blastMessages ?? 4_500,
      ratePerSecond: BLAST_PER_SECOND,
      payload: kind.payload,
      devicePrefix: `${prefix}b`,
      baseMs,
      reconnect: true,
      drainMs: RECOVERY_MS,
    });
    const published = publish(devices, options.messages ?? 45);
    // They are waited for further down; what comes before may fail first.
    for (const work of [blasted, published]) work.catch(() => undefined);
    for (const disturbance of plan) await disturb(rig, disturbance);
    const calmMs = Date.now();
    await inService(rig, probe);
    const backInServiceMs = Date.now() - calmMs;
    await within(RECOVERY_MS, 'all messages to be acknowledged', published);
    const result = await blasted;
    await operators?.stop();

    const oracle = new TortureOracle(rig.settings);
    const frames = await rig.contents.telemetry(telemetryFrom);
    for (const frame of frames) oracle.frame(frame);
    const heardAll = !interruptsSubscribers(plan);
    if (rig.replay !== null && operators !== null) await operationsTaken(rig.replay, operators);
    const verdict = await judgeWhenSettled(rig, prefix, oracle, alarmsFrom, heardAll);
    const sent = all.map(({ id, offered }) => ({ device: id, payloads: offered }));
    judgeLog(frames.flat(), sent, sentBy(result, prefix, baseMs, kind.stepMs), verdict);
    if (rig.replay !== null && operators !== null) {
      const { replay } = rig;
      await whenClean(verdict, (into) => judgeOperations(rig, replay, operators, prefix, into));
    }
    await balance(rig, verdict);
    for (const device of all)
      if (device.unexpected > 0) verdict.notes.push(`${device.id} got acknowledgements out of order`);
    return {
      seed,
      plan,
      acknowledged: result.acknowledged + all.reduce((sum, d) => sum + d.acknowledged, 0),
      resent: result.resent + all.reduce((sum, d) => sum + d.resent, 0),
      backInServiceMs,
      tookMs: Date.now() - beganMs,
      readings: oracle.readings.size,
      quarantined: oracle.quarantine.size,
      rollups: rig.replay === null ? oracle.rollups.size : ofRound(rig.replay.tables.rollups, prefix),
      alarmEvents:
        rig.replay === null
          ? [...oracle.events.values()].flat().length
          : ofRound(rig.replay.tables.alarm_events, prefix),
      operations: operators?.taken.length ?? 0,
      verdict,
    };
  } finally {
    for (const device of all) device.close();
    await operators?.stop();
  }
}

function ofRound(rows: ReadonlyMap<string, { device?: unknown }>, prefix: string): number {
  let count = 0;
  for (const { device } of rows.values()) if (String(device).startsWith(prefix)) count++;
  return count;
}

/** A blast wants to be connected before it publishes; when the door is killed just then, nothing was sent, and it begins anew. */
async function blastOnceConnected(options: BlastOptions): Promise<BlastResult> {
  const untilMs = Date.now() + RECOVERY_MS;
  for (;;) {
    try {
      return await blast(options);
    } catch (error) {
      if (Date.now() > untilMs) throw error;
      await sleep(100);
    }
  }
}

async function publish(
  devices: { device: RememberingDevice; stream: TroubledStream }[],
  messages: number,
): Promise<void> {
  await Promise.all(
    devices.map(async ({ device, stream }, i) => {
      await sleep(i * 5);
      for (let m = 0; m < messages; m++) {
        device.offer(stream.next());
        await sleep(PACE_MS);
      }
      await device.drained();
      // Only now: were it repeated together with what came before it, those would be older than any window.
      device.offer(stream.last());
      await device.drained();
    }),
  );
}

/** `/ready` answers 200, and a message goes all the way to the table. */
async function inService(rig: Rig, probe: RememberingDevice): Promise<void> {
  probe.offer(`{"n":${probe.offered.length}}`);
  await within(RECOVERY_MS, 'a message to be acknowledged', probe.drained());
  await eventually(
    'the program to be back in service',
    async () => {
      if ((await fetch(`${rig.program.httpUrl}/ready`)).status !== 200) return false;
      const sql = `SELECT count() AS n FROM sluice.readings WHERE device = '${probe.id}'`;
      const [row] = await rig.program.query<{ n: string }>(sql);
      return Number(row.n) > 0;
    },
    RECOVERY_MS,
  );
}

/**
 * Until the doors have taken all operations and facts, or long enough. On Kafka the place of a killed door in its group is free only when
 * its session has ended; what is missing then is told by the verdict.
 */
async function operationsTaken(replay: LogReplay, operators: Operators): Promise<void> {
  const untilMs = Date.now() + RECOVERY_MS;
  do {
    await replay.advance();
    if (missingOperations(replay, operators) + missingFacts(replay) === 0) return;
    await sleep(300);
  } while (Date.now() < untilMs);
}

/** Rows follow what is on the log by a moment. Adds to the verdict what is still wrong at the end. */
async function whenClean(verdict: Verdict, judge: (into: Verdict) => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries++) {
    const found: Verdict = { ...verdict, lost: 0, doubled: 0, notes: [] };
    await judge(found);
    if (found.lost + found.doubled > 0 && tries < 20) {
      await sleep(300);
      continue;
    }
    verdict.lost += found.lost;
    verdict.doubled += found.doubled;
    verdict.notes.push(...found.notes);
    return;
  }
}

/** The program's own books. They are written along with the work, so that they may be behind it for a moment. */
async function balance(rig: Rig, verdict: Verdict): Promise<void> {
  let said = await rig.program.audit();
  for (let tries = 0; said !== null && tries < 8; tries++) {
    await sleep(1_000);
    said = await rig.program.audit();
  }
  if (said === null) return;
  verdict.unbalanced = 1;
  verdict.notes.push(...said.split('\n').slice(0, 40));
}

/** Compares until everything is as it should be, or long enough. */
async function judgeWhenSettled(
  rig: Rig,
  prefix: string,
  oracle: TortureOracle,
  alarmsFrom: readonly number[],
  heardAll: boolean,
): Promise<Verdict> {
  const untilMs = Date.now() + RECOVERY_MS;
  await eventually(
    'as many readings and rollups as expected',
    async () => {
      const [row] = await rig.program.query<{ readings: string; rollups: string }>(
        `SELECT (SELECT count() FROM sluice.readings FINAL WHERE startsWith(device, '${prefix}') AND bitAnd(flags, 2) = 0) AS readings,
                (SELECT count() FROM sluice.rollups FINAL WHERE startsWith(device, '${prefix}')) AS rollups`,
      );
      return Number(row.readings) >= oracle.readings.size && Number(row.rollups) >= oracle.rollups.size;
    },
    RECOVERY_MS,
  ).catch(() => undefined);
  for (let misses = 0; ; misses++) {
    try {
      const verdict = await judgeTables(rig, prefix, oracle, alarmsFrom, heardAll);
      if (isClean(verdict) || Date.now() > untilMs || misses > 20) return verdict;
    } catch (error) {
      if (Date.now() > untilMs) throw error;
    }
    await sleep(300);
  }
}

function sentBy(result: BlastResult, prefix: string, baseMs: number, stepMs: number) {
  const devices = result.acknowledgedByConnection.map((_, i) => `${prefix}b-${String(i + 1).padStart(4, '0')}`);
  return { prefix, baseMs, stepMs, messagesOf: result.acknowledgedByConnection, devices };
}

async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  const abort = new AbortController();
  const late = sleep(ms, undefined, { signal: abort.signal }).then(() => {
    throw new Error(`waited ${ms} ms for: ${what}`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    abort.abort();
    late.catch(() => undefined);
  }
}

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FORMAT } from '../../log/lmdb-codec.ts';
import {
  appendedMsOf,
  type CheckpointFacts,
  inspectCheckpoints,
  inspectTopic,
  type TopicFacts,
} from '../../log/lmdb-inspect.ts';
import { TELEMETRY } from '../../model/topics.ts';
import { onKafka } from '../settings.ts';
import { type Check, fail, inBytes, inTime, ok, type Patient, reasonOf, warn } from './check.ts';

/** The embedded log and the checkpoints, looked at from outside. */

/** The door writes a tick into each partition that has nothing else, so silence means that it does not run or cannot write. */
const SILENT_TICKS = 10;
const AHEAD_MS = 60_000;
/** A replay of this much takes long enough to plan for. */
const REPLAY_FRAMES = 100_000;

export async function checkLog(patient: Patient): Promise<Check[]> {
  const { config } = patient;
  if (onKafka(config)) return [];
  const dir = join(config.dataDir, 'log');
  if (!existsSync(join(dir, TELEMETRY))) return [ok('log', `there is no log at ${dir} yet; it will be made`)];
  let facts: TopicFacts | null;
  try {
    facts = await inspectTopic(dir, TELEMETRY, config.log.mapBytesMax);
  } catch (error) {
    return [
      fail(
        'log',
        `the log at ${dir} cannot be read: ${reasonOf(error)}`,
        'run as the user that owns it; when the file is damaged, keep a copy and start with another dataDir',
      ),
    ];
  }
  if (facts === null || facts.partitions === 0) return [ok('log', `the log at ${dir} holds nothing yet`)];
  const out = [checkLayout(facts, config.log.partitions), checkSize(facts, config.log), checkAppends(facts, patient)];
  if (out[0].state === 'fail') return out;
  return [...out, ...(await checkReplay(patient, dir, facts))];
}

export function checkLayout({ partitions, format }: TopicFacts, wanted: number): Check {
  if (format !== FORMAT) {
    return fail(
      'log.layout',
      `the log is stored in format ${format}, and this program reads ${FORMAT}`,
      'use the version of Sluice that wrote it, or another dataDir',
    );
  }
  if (partitions !== wanted) {
    return fail(
      'log.layout',
      `the log was written with ${partitions} partitions, and log.partitions is ${wanted}`,
      `set log.partitions to ${partitions}, or start with another dataDir`,
    );
  }
  return ok('log.layout', `${partitions} partitions, as in the settings`);
}

export function checkSize(
  { bytesHeld, fileBytes }: Pick<TopicFacts, 'bytesHeld' | 'fileBytes'>,
  { mapBytesMax, retention }: { mapBytesMax: number; retention: { bytesMax: number } },
): Check {
  const what = `the log holds ${inBytes(bytesHeld)} of at most ${inBytes(mapBytesMax)} (file ${inBytes(fileBytes)}, retention ${inBytes(retention.bytesMax)})`;
  const remedy = 'shorten log.retention, or raise log.mapBytesMax';
  if (bytesHeld >= mapBytesMax * 0.99) return fail('log.size', `${what}: it is full, and devices wait`, remedy);
  if (bytesHeld >= mapBytesMax * 0.9) return warn('log.size', `${what}: it is nearly full`, remedy);
  return ok('log.size', what);
}

export function checkAppends(
  { lastMs, writerPid }: Pick<TopicFacts, 'lastMs' | 'writerPid'>,
  { config, nowMs }: Pick<Patient, 'config' | 'nowMs'>,
): Check {
  const agoMs = nowMs() - lastMs;
  const by = writerPid === null ? 'no process writes it now' : `process ${writerPid} writes it`;
  if (lastMs === 0) return ok('log.appends', `nothing has been appended yet; ${by}`);
  if (agoMs < -AHEAD_MS) {
    return warn(
      'log.appends',
      `the last frame was appended ${inTime(-agoMs)} in the future; ${by}`,
      'the clock has gone back: set it right, since windows and retention go by it',
    );
  }
  const what = `the last frame was appended ${inTime(Math.max(0, agoMs))} ago; ${by}`;
  if (writerPid !== null && agoMs > config.log.tickMs * SILENT_TICKS + 5_000) {
    return fail('log.appends', what, 'the door runs and cannot append: see its log and its /health for the reason');
  }
  return ok('log.appends', what);
}

async function checkReplay(patient: Patient, logDir: string, log: TopicFacts): Promise<Check[]> {
  const { config, nowMs } = patient;
  let found: CheckpointFacts[] | null;
  try {
    found = await inspectCheckpoints(join(config.dataDir, 'checkpoints'));
  } catch (error) {
    return [fail('checkpoints', `cannot be read: ${reasonOf(error)}`, 'run as the user that owns dataDir')];
  }
  const checkpoints = found ?? [];
  const starts = log.next.map((next, partition) => {
    const at = checkpoints.find((c) => c.partition === partition)?.offsetNext ?? log.first[partition];
    return { partition, offset: Math.max(at, log.first[partition]), frames: Math.max(0, next - at) };
  });
  const behind = starts.filter((s) => s.frames > 0);
  const appended = await appendedMsOf(logDir, TELEMETRY, config.log.mapBytesMax, behind);
  const oldestMs = Math.min(...appended.filter((ms) => ms !== null));
  const spanMs = Number.isFinite(oldestMs) ? Math.max(0, nowMs() - oldestMs) : 0;
  return [
    checkCheckpoints(checkpoints, log),
    judgeReplay(
      behind.reduce((sum, s) => sum + s.frames, 0),
      spanMs,
    ),
  ];
}

export function checkCheckpoints(found: readonly CheckpointFacts[], log: Pick<TopicFacts, 'first' | 'next'>): Check {
  const name = 'checkpoints';
  if (found.length === 0) return ok(name, 'there are none yet');
  const list = (some: readonly CheckpointFacts[]): string => some.map((c) => c.partition).join(', ');
  const damaged = found.filter((c) => c.isWhole === false);
  const lost = damaged.filter((c) => !c.hasOlder);
  if (lost.length > 0) {
    return fail(
      name,
      `those of the partitions ${list(lost)} are damaged, and there is no older one`,
      'the partitions are replayed from the start of their log: check the disk, and expect a long start',
    );
  }
  if (damaged.length > 0) {
    return warn(
      name,
      `the newest of the partitions ${list(damaged)} is damaged; the one before it will be used`,
      'check the disk (smartctl, dmesg): something changed bytes that were written',
    );
  }
  const ahead = found.filter((c) => c.offsetNext > (log.next[c.partition] ?? 0));
  if (ahead.length > 0) {
    return warn(
      name,
      `those of the partitions ${list(ahead)} are ahead of the log, and will not be used`,
      'the log was replaced or restored from an older copy: the partitions are replayed from its start',
    );
  }
  const gone = found.filter((c) => c.offsetNext < (log.first[c.partition] ?? 0));
  if (gone.length > 0) {
    return fail(
      name,
      `retention has deleted frames of the partitions ${list(gone)} that were not processed`,
      'raise log.retention, and see why the processor was away or behind',
    );
  }
  const bytes = found.reduce((sum, c) => sum + c.stateBytes, 0);
  return ok(name, `${found.length} partitions have one, all whole; together ${inBytes(bytes)}`);
}

export function judgeReplay(frames: number, spanMs: number): Check {
  const what = `after a crash now ${frames} frames are replayed${frames > 0 ? `, the oldest of them ${inTime(spanMs)} old` : ''}`;
  if (frames < REPLAY_FRAMES) return ok('log.replay', what);
  return warn('log.replay', what, 'see why checkpoints are behind: the lag, the store, processors.checkpointMs');
}

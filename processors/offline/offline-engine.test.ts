import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type LmdbLog, openLmdbLog } from '../../log/lmdb.ts';
import { openLmdbCheckpoints } from '../../log/lmdb-checkpoints.ts';
import type { AlarmEvent } from '../../model/alarm.ts';
import { systemClock } from '../../model/clock.ts';
import { encodeCloudEvent } from '../../model/cloudevent.ts';
import { FrameReader } from '../../model/frame.ts';
import { silentLogger } from '../../model/logger.ts';
import type { Rollup } from '../../model/rollup.ts';
import { ALARMS, TELEMETRY } from '../../model/topics.ts';
import { startProcessor } from '../processor.ts';
import { MemoryStore } from '../testing/memory.ts';
import { options, rule, window } from '../testing/run.ts';
import { troubledFrames } from '../testing/scenario.ts';
import { type OfflineFrame, runOffline } from './offline-engine.ts';

/** The offline engine beside a real processor on a real log: the same rollups, and the same bytes of alarm events. */

const PARTITIONS = 2;
const FRAMES = 300;
const MAINTENANCE = {
  name: 'work',
  devices: ['a*'],
  sites: [],
  rules: ['hot'],
  fromMs: 0,
  untilMs: Date.UTC(2100, 0, 1),
};
const pipeline = options({
  idleMs: 30_000,
  maintenance: [MAINTENANCE],
  windows: [
    window({ name: '5s', sizeMs: 5000, outOfOrderMs: 1000, allowedLatenessMs: 10_000 }),
    window({ name: '20s', sizeMs: 20_000, metrics: ['t'] }),
  ],
  rules: [rule(), rule({ name: 'dry', metric: 'h', above: null, below: 40, clear: 60, forMs: 2000 })],
});

let dir = '';
let log: LmdbLog;
const store = new MemoryStore();

beforeAll(async () => {
  const reader = new FrameReader();
  let messages = 0;
  dir = await mkdtemp(join(tmpdir(), 'sluice-offline-'));
  log = await openLmdbLog({
    dir: join(dir, 'log'),
    partitions: PARTITIONS,
    writes: [TELEMETRY, ALARMS],
    mapBytesMax: 256 * 2 ** 20,
  });
  for (let partition = 0; partition < PARTITIONS; partition++) {
    for (const frame of troubledFrames(partition + 1, FRAMES, [`a${partition}`, `b${partition}`])) {
      reader.reset(frame);
      while (reader.next()) if (reader.deviceEnd > reader.deviceStart) messages++;
      await log.append(TELEMETRY, partition, frame);
    }
  }
  const checkpoints = await openLmdbCheckpoints({
    dir: join(dir, 'checkpoints'),
    partitions: PARTITIONS,
    onDamaged: () => {},
  });
  const processor = await startProcessor({
    ...pipeline,
    log,
    checkpoints,
    store,
    group: 'processor',
    workers: 2,
    workerFile: pathToFileURL(join(process.cwd(), 'dist/processors/worker.js')),
    checkpointMs: 60_000,
    batchBytesMax: 16 * 1024,
    clock: systemClock,
    logger: silentLogger,
  });
  while (processor.stats().messagesProcessed < messages) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await processor.close();
  await checkpoints.close();
});

afterAll(async () => {
  await log?.close();
  await rm(dir, { recursive: true, force: true });
});

async function* framesOf(): AsyncGenerator<OfflineFrame> {
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const frames = await log.read(TELEMETRY, partition, 0, 2 ** 30);
    for (const { offset, bytes } of frames) yield { partition, offset, bytes };
  }
}

it('gives the rollups that a processor stores', async () => {
  const rollups: Rollup[] = [];
  const counts = await runOffline({ options: pipeline, frames: framesOf(), onRollup: (r) => void rollups.push(r) });
  const key = (parts: unknown[]): string => JSON.stringify(parts);
  const got = rollups.map((r) =>
    key([
      r.window,
      r.device,
      r.metric,
      r.startMs,
      r.endMs,
      r.revision,
      r.phase,
      r.count,
      r.sum,
      r.min,
      r.max,
      r.avg,
      r.first,
      r.last,
    ]),
  );
  const stored = store.rows.rollups.map((r) =>
    key([
      r.window,
      r.device,
      r.metric,
      r.start,
      r.end,
      r.revision,
      r.phase,
      r.count,
      r.sum,
      r.min,
      r.max,
      r.avg,
      r.first,
      r.last,
    ]),
  );
  expect(got.length).toBeGreaterThan(300);
  expect(got.sort()).toEqual(stored.sort());
  expect(counts.rollupsEmitted).toBe(got.length);
});

it('gives the alarm events that a processor puts on the log, byte by byte', async () => {
  const events: AlarmEvent[] = [];
  await runOffline({ options: pipeline, frames: framesOf(), onAlarmEvent: (e) => void events.push(e) });
  const logged: string[] = [];
  const reader = new FrameReader();
  for (let partition = 0; partition < PARTITIONS; partition++) {
    for (const { bytes } of await log.read(ALARMS, partition, 0, 2 ** 30)) {
      reader.reset(bytes);
      while (reader.next()) logged.push(Buffer.from(reader.payload()).toString('utf8'));
    }
  }
  expect(logged.length).toBeGreaterThan(20);
  expect(logged.some((event) => event.includes(MAINTENANCE.name))).toBe(true);
  events.sort((a, b) => a.position.partition - b.position.partition);
  expect(events.map((event) => Buffer.from(encodeCloudEvent(event)).toString('utf8'))).toEqual(logged);
});

it('tells of readings and of what was refused as often as they were stored', async () => {
  let readings = 0;
  let refused = 0;
  await runOffline({
    options: pipeline,
    frames: framesOf(),
    onReading: () => void readings++,
    onQuarantine: () => void refused++,
  });
  expect(refused).toBe(store.rows.quarantine.length);
  expect(readings).toBe(store.rows.readings.length);
});

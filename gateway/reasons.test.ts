import { describe, expect, it } from 'vitest';
import { Histogram } from '../model/histogram.ts';
import type { DoorStats, LogStats, ProcessorStats, RoleStats, Vitals } from '../model/stats.ts';
import { doorStats, processorStats } from './gateway.fixture.ts';
import { findingsOf, restartFindings } from './reasons.ts';

const NOW = 1_700_000_100_000;
const GIB = 2 ** 30;

const log = (over: Partial<LogStats> = {}): LogStats => ({
  topic: 'telemetry',
  framesAppended: 1,
  bytesAppended: 1,
  errors: 0,
  waiting: 0,
  waitingMs: 0,
  fullMs: 0,
  appendSeconds: new Histogram().snapshot(),
  framesHeld: 1,
  framesDeleted: 0,
  endOffsets: [1],
  bytesHeld: 15 * GIB,
  bytesMax: 16 * GIB,
  ...over,
});
const vitals = (over: Partial<Vitals>): Vitals => ({
  eventLoopDelayMs: 3,
  diskFreeBytes: 100 * GIB,
  diskBytes: 200 * GIB,
  clockJumps: 0,
  clockJumpMs: 0,
  clockJumpAtMs: null,
  ...over,
});
const door = (over: Partial<DoorStats>): RoleStats => ({ ...(doorStats(NOW, 5) as DoorStats), ...over });
const processor = (over: Partial<ProcessorStats>): RoleStats => ({
  ...(processorStats(NOW, 5) as ProcessorStats),
  ...over,
});
const store = (over: Partial<NonNullable<ProcessorStats['store']>>): RoleStats =>
  processor({
    store: { insertSeconds: {}, insertErrors: 0, insertRetries: 0, waiting: 0, silentMs: 0, ...over },
  });
const checkpoints = (ageMs: number, lagFrames: number): RoleStats =>
  processor({
    lagFrames,
    checkpoints: {
      saveSeconds: new Histogram().snapshot(),
      saves: 1,
      failures: 0,
      bytesWritten: 1,
      stateBytes: 1,
      ageMs,
    },
  });

describe('reasons', () => {
  it.each<[string, RoleStats, RegExp]>([
    [
      'a full log',
      door({ log: log({ fullMs: 12_000 }) }),
      /^the log has been full for 12 s \(it holds 15 GiB of 16 GiB\): shorten log\.retention, raise log\.mapBytesMax/,
    ],
    [
      'a full topic of alarms',
      processor({ log: log({ topic: 'alarms', fullMs: 1500 }) }),
      /^the topic alarms of the log has been full for 1\.5 s/,
    ],
    [
      'a log that does not answer',
      door({ log: log({ waitingMs: 40_000, waiting: 3 }) }),
      /not taken a frame for 40 s; 3 wait: check that Kafka/,
    ],
    [
      'series beyond the bound',
      processor({
        partitions: [0, 1, 2],
        readingsBeyond: 7,
        state: { devices: 1, series: 4, partitionsFull: 2, bytes: {}, windowsOpen: {} },
      }),
      /^2 of 3 partitions know as many series as they may: 7 readings .* raise processors\.seriesMax/,
    ],
    [
      'a window with as many series as it may',
      processor({
        windowReadingsBeyond: { '1m': 9 },
        state: { devices: 1, series: 4, bytes: {}, windowsOpen: {}, windowSeriesBeyond: { '1m': 2, '1h': 0 } },
      }),
      /^the window 1m takes as many series as it may: 2 further ones are not in it, whose 9 readings .* raise its seriesMax/,
    ],
    [
      'paused sockets',
      door({
        socketsPaused: 120,
        connections: 400,
        socketsPausedMs: 8000,
        bytesInFlight: 64 * 2 ** 20,
        bytesInFlightMax: 64 * 2 ** 20,
      }),
      /^sockets paused: 120 of 400 for 8\.0 s with 64 MiB in flight of at most 64 MiB \(log\.inFlightBytesMax\)/,
    ],
    [
      'connections near their bound',
      door({ connections: 950, connectionsMax: 1000 }),
      /950 of at most 1000 connections.*mqtt\.connectionsMax/,
    ],
    ['a silent store', store({ silentMs: 40_000, waiting: 3 }), /^the store has not answered for 40 s; 3 inserts wait/],
    [
      'a growing lag',
      processor({ lagMs: 12_000, lagChangeMs: 9000, lagFrames: 44 }),
      /^lag 12 s and growing \(44 frames behind the log\): raise processors\.workers/,
    ],
    ['a shrinking lag', processor({ lagMs: 90_000, lagChangeMs: -9000 }), /^lag 90 s and shrinking .*: it catches up/],
    ['a worker that dies', processor({ workersRestartedLately: 3 }), /restarted 3 times in the last 10 minutes/],
    ['old checkpoints', checkpoints(400_000, 10), /no checkpoint has been saved for 400 s/],
    [
      'a disk nearly full',
      door({ vitals: vitals({ diskFreeBytes: GIB }) }),
      /nearly full: 1\.0 GiB of 200 GiB are left; free space, or lower log\.retention/,
    ],
    ['an event loop held up', door({ vitals: vitals({ eventLoopDelayMs: 2400 }) }), /held up for 2\.4 s/],
    [
      'a clock that jumped',
      door({ vitals: vitals({ clockJumpMs: -3_600_000, clockJumpAtMs: NOW - 5000, clockJumps: 1 }) }),
      /jumped 60 min back 5\.0 s ago/,
    ],
  ])('tell %s', (_what, record, says) => {
    const { down, degraded } = findingsOf(record, NOW);
    expect(down).toEqual([]);
    expect(degraded).toHaveLength(1);
    expect(degraded[0]).toMatch(says);
  });

  it.each<[string, RoleStats]>([
    ['a door at work', door({ log: log(), vitals: vitals({}), connectionsMax: 1000, socketsPausedMs: 0 })],
    ['a record of an older version', door({})],
    ['a processor with a small lag', processor({ lagMs: 900, lagChangeMs: 300 })],
    ['a lag that grows but is small', processor({ lagMs: 4000, lagChangeMs: 3000 })],
    ['an insert under way', store({ silentMs: 800, waiting: 1 })],
    ['old checkpoints with nothing to save', checkpoints(400_000, 0)],
    ['a clock that jumped long ago', door({ vitals: vitals({ clockJumpMs: 5000, clockJumpAtMs: NOW - 700_000 }) })],
    [
      'a large disk of which little is used',
      door({ vitals: vitals({ diskFreeBytes: 20 * GIB, diskBytes: 400 * GIB }) }),
    ],
  ])('are none for %s', (_what, record) => {
    expect(findingsOf(record, NOW)).toEqual({ down: [], degraded: [] });
  });

  it('tell that a role does not do its work', () => {
    expect(findingsOf(door({ listening: false }), NOW).down).toEqual(['does not take MQTT connections']);
    expect(findingsOf(processor({ running: false }), NOW).down).toEqual(['does not process']);
  });

  it('tell what the supervisor has seen', () => {
    const found: string[] = [];
    restartFindings(
      {
        restarts: [{ role: 'door', reason: 'signal SIGKILL', count: 5 }],
        backoffMs: [
          { role: 'door', ms: 4000 },
          { role: 'gateway', ms: 0 },
        ],
      },
      found,
    );
    expect(found).toEqual(['door is started again after 4.0 s; it has ended 5 times (signal SIGKILL): see its log']);
  });
});

import { describe, expect, it } from 'vitest';
import type { DoorStats, ProcessorStats } from '../model/stats.ts';
import { StatsBoard } from './stats-board.ts';

const T0 = 1_700_000_000_000;

function door(instance: string, atMs: number, received: number, startedMs = T0): DoorStats {
  return {
    role: 'door',
    instance,
    startedMs,
    atMs,
    listening: true,
    connections: 3,
    messagesReceived: received,
    messagesAcknowledged: received - 1,
    bytesReceived: received * 10,
    messagesInFlight: 1,
    socketsPaused: 0,
    connectionsRefused: 0,
    packetsRefused: 0,
  };
}

function processor(atMs: number, stored: number, lagMs: number): ProcessorStats {
  return {
    role: 'processor',
    instance: 'p',
    startedMs: T0,
    atMs,
    running: true,
    partitions: [0],
    messagesProcessed: stored / 3,
    readingsDecoded: stored,
    readingsStored: stored,
    readingsDuplicate: 0,
    readingsLate: 0,
    messagesQuarantined: 0,
    rollupsEmitted: 0,
    alarmsRaised: 0,
    alarmsCleared: 0,
    lagFrames: 2,
    lagMs,
    workersRestarted: 0,
  };
}

describe('StatsBoard', () => {
  it('forms rates from the difference of counters over the time between records, and adds instances', () => {
    const board = new StatsBoard();
    for (let s = 0; s <= 5; s++) {
      board.add(door('a', T0 + s * 1000, s * 100));
      board.add(door('b', T0 + s * 1000 + 300, s * 50));
    }
    expect(board.rates(T0 + 6_000).received).toBeCloseTo(150);
    expect(board.rates(T0 + 6_000).bytes).toBeCloseTo(1500);
    expect(board.rates(T0 + 6_000).stored).toBeNull();
  });

  it('takes a new life of a process for what it is: no rate across it, and none below 0', () => {
    const board = new StatsBoard();
    board.add(door('a', T0 + 1000, 5_000));
    board.add(door('a', T0 + 2000, 6_000));
    board.add(door('a', T0 + 10_000, 10, T0 + 9_500));
    board.add(door('a', T0 + 11_000, 40, T0 + 9_500));
    const history = board.history(T0 + 12_000, 11);
    expect(history.endMs).toBe(T0 + 11_000);
    // Seconds 1 to 11: the first record of each life gives nothing, a record is held for two more seconds.
    expect(history.received).toEqual([null, 1000, 1000, 1000, null, null, null, null, null, null, 30]);
  });

  it('holds the rate over a record that comes late, and passes over one that comes twice', () => {
    const board = new StatsBoard();
    board.add(door('a', T0, 0));
    board.add(door('a', T0 + 1_000, 100));
    board.add(door('a', T0 + 1_000, 900));
    board.add(door('a', T0 + 3_000, 300));
    expect(board.history(T0 + 4_000, 3).received).toEqual([100, 100, 100]);
  });

  it('shows the worst lag of the processors, second by second', () => {
    const board = new StatsBoard();
    for (let s = 0; s <= 3; s++) board.add(processor(T0 + s * 1000, s * 30, s * 7));
    expect(board.history(T0 + 4_000, 4).lagMs).toEqual([null, 7, 14, 21]);
    expect(board.rates(T0 + 4_000).stored).toBe(30);
  });

  it('leaves out an instance that another has replaced, and no more than that', () => {
    const board = new StatsBoard();
    board.add(door('pid-1', T0 + 1_000, 1));
    board.add(door('pid-2', T0 + 1_500, 1));
    board.add(door('pid-3', T0 + 9_000, 1, T0 + 2_000));
    expect(board.latest('door', T0 + 9_500).map((d) => d.instance)).toEqual(['pid-1', 'pid-3']);
  });

  it('lists those heard of lately, and the last one when all are silent', () => {
    const board = new StatsBoard();
    board.add(door('old', T0, 1));
    board.add(door('new', T0 + 90_000, 1));
    expect(board.latest('door', T0 + 91_000).map((d) => d.instance)).toEqual(['new']);
    expect(board.latest('door', T0 + 3_600_000).map((d) => d.instance)).toEqual(['new']);
    expect(board.latest('processor', T0)).toEqual([]);
    board.forget(T0 + 91_000 + 300_000);
    expect(board.latest('door', T0 + 500_000)).toEqual([]);
  });
});

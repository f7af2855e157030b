import { describe, expect, it } from 'vitest';
import { readOptions } from './options.ts';
import { medianRound, type Report, type Round } from './result.ts';
import { compareReports, toMarkdown } from './table.ts';

function round(ackedPerSecond: number, change: Partial<Round> = {}): Round {
  return {
    messages: 1_000_000,
    readings: 3_000_000,
    ackedPerSecond,
    storedPerSecond: null,
    readingsStoredPerSecond: null,
    pubackP50Ms: 5,
    pubackP99Ms: 20,
    processes: [
      { name: 'door', cpuMicrosPerMessage: 1.1, peakMemoryBytes: 150e6 },
      { name: 'generator', cpuMicrosPerMessage: 0.2, peakMemoryBytes: 80e6 },
    ],
    bytesPerReading: null,
    problems: [],
    ...change,
  };
}

function report(change: Partial<Report> = {}): Report {
  return {
    version: 1,
    at: '2026-01-01T00:00:00.000Z',
    machine: {
      cpu: 'Some CPU',
      cores: 2,
      memoryBytes: 16 * 2 ** 30,
      system: 'Linux 6 x64',
      node: 'v20.20.0',
      flushMs: 0.5,
    },
    settings: { seconds: 10, connections: 50, payload: 'object', qos: 1, ratePerSecond: null, rounds: 3 },
    runs: [
      {
        name: 'sluice-lmdb',
        about: 'all of it',
        skipped: null,
        rounds: [100, 300, 200].map((k) =>
          round(k * 1100, { storedPerSecond: k * 1000, readingsStoredPerSecond: k * 3000, bytesPerReading: 2.5 }),
        ),
      },
      { name: 'door', about: 'the door', skipped: null, rounds: [round(600_000)] },
      { name: 'plain-aedes', about: 'Aedes', skipped: null, rounds: [round(100_000)] },
      { name: 'mosquitto', about: 'Mosquitto', skipped: 'mosquitto is not installed', rounds: [] },
    ],
    ...change,
  };
}

describe('the table', () => {
  it('shows the round in the middle, the costs, and what was left out', () => {
    expect(toMarkdown(report())).toMatchInlineSnapshot(`
      "50 connections, payload object, QoS 1, as fast as acknowledged, 10 s a round, median of 3.

      2 cores of Some CPU, 16 GiB, Linux 6 x64, Node 20.20.0; flushing 64 KiB to disk takes 0.50 ms. The generator runs on the same machine.

      | run         | what      | acked/s | stored/s | readings stored/s | PUBACK p50 |     p99 | bytes/reading |  spread |
      | ----------- | --------- | ------: | -------: | ----------------: | ---------: | ------: | ------------: | ------: |
      | sluice-lmdb | all of it | 220,000 |  200,000 |           600,000 |     5.0 ms | 20.0 ms |           2.5 | ±50.0 % |
      | door        | the door  | 600,000 |        – |                 – |     5.0 ms | 20.0 ms |             – |       – |
      | plain-aedes | Aedes     | 100,000 |        – |                 – |     5.0 ms | 20.0 ms |             – |       – |

      | run         | process               | CPU-µs/message | peak MB | own MB |
      | ----------- | --------------------- | -------------: | ------: | -----: |
      | sluice-lmdb | door                  |           1.10 |     150 |      – |
      | sluice-lmdb | generator             |           0.20 |      80 |      – |
      | sluice-lmdb | all but the generator |           1.10 |     150 |      – |
      | door        | door                  |           1.10 |     150 |      – |
      | door        | generator             |           0.20 |      80 |      – |
      | door        | all but the generator |           1.10 |     150 |      – |
      | plain-aedes | door                  |           1.10 |     150 |      – |
      | plain-aedes | generator             |           0.20 |      80 |      – |
      | plain-aedes | all but the generator |           1.10 |     150 |      – |

      Durable PUBACKs of the door: 6.0 times plain Aedes, which stores nothing.

      Skipped mosquitto: mosquitto is not installed.
      "
    `);
  });

  it('says what is wrong', () => {
    const broken = report();
    broken.runs[1].rounds[0].problems.push('temperature: 3 readings are missing');
    expect(toMarkdown(broken)).toContain('**door, round 1: temperature: 3 readings are missing.**');
  });

  it('takes the lower of two rounds, and none of none', () => {
    expect(medianRound([round(5), round(3)])?.ackedPerSecond).toBe(3);
    expect(medianRound([])).toBeNull();
  });

  it('compares two results', () => {
    const after = report({ at: '2026-02-01T00:00:00.000Z' });
    for (const r of after.runs[1].rounds) r.ackedPerSecond = 900_000;
    const text = compareReports(report(), after);
    expect(text).toMatch(/door +\| acked messages\/s +\| +600,000 \| +900,000 \| +\+50\.0 % \|/);
    expect(text).not.toContain('different settings');
    expect(compareReports(report(), report({ settings: { ...after.settings, seconds: 5 }, runs: [] }))).toContain(
      'different settings',
    );
  });
});

describe('the options', () => {
  it('have defaults, and are checked', () => {
    const run = readOptions(['--log', 'kafka', '--log', 'lmdb', '--rate', '1e5', '--no-peers']);
    expect(run).toMatchObject({
      kind: 'run',
      options: { logs: ['kafka', 'lmdb'], ratePerSecond: 100_000, peers: false, seconds: 10, connections: 50, qos: 1 },
    });
    expect(readOptions(['--compare', 'a.json', 'b.json'])).toEqual({ kind: 'compare', files: ['a.json', 'b.json'] });
    expect(readOptions(['-h'])).toEqual({ kind: 'help' });
    expect(readOptions(['--matrix', 'qos', '--qos', '2'])).toMatchObject({ options: { qos: 2, cells: { length: 3 } } });
    expect(readOptions(['--full', '--seconds', '3'])).toMatchObject({
      options: { full: true, seconds: 3, rounds: 3, logs: ['lmdb', 'kafka'], idle: 10_000, withinSeconds: 2400 },
    });
    expect(readOptions(['--sweep', '0.25,0.5'])).toMatchObject({ options: { sweep: [0.25, 0.5], limits: false } });
    for (const wrong of [
      ['--log', 'x'],
      ['--qos', '3'],
      ['--sweep', '0.5,1.5'],
      ['--matrix', 'nothing'],
      ['--seconds', '0'],
      ['--connections', '1.5'],
      ['--payload', 'xml'],
      ['--what'],
      ['word'],
      ['--compare', 'a'],
    ]) {
      expect(() => readOptions(wrong), wrong.join(' ')).toThrow();
    }
  });
});

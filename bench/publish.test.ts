import { describe, expect, it } from 'vitest';
import { goalRows } from './goals.ts';
import { fillMarkers, headline, publish } from './publish.ts';
import type { Report, Round, SweepPoint } from './result.ts';

function round(storedPerSecond: number, cpu: number, change: Partial<Round> = {}): Round {
  return {
    messages: 1000,
    readings: 3000,
    ackedPerSecond: storedPerSecond,
    storedPerSecond,
    readingsStoredPerSecond: storedPerSecond * 3,
    pubackP50Ms: 1,
    pubackP99Ms: 2,
    processes: [
      { name: 'door', cpuMicrosPerMessage: cpu, peakMemoryBytes: 500e6 },
      { name: 'generator', cpuMicrosPerMessage: 99, peakMemoryBytes: 5e9 },
    ],
    bytesPerReading: null,
    problems: [],
    ...change,
  };
}

function point(fraction: number): SweepPoint {
  const latency = { count: 10, meanMs: 1, p50Ms: 2, p90Ms: 3, p99Ms: 4 * fraction, p999Ms: 9, maxMs: 10 };
  const { processes } = round(1, 2);
  const rate = fraction * 300_000;
  return {
    fraction,
    ratePerSecond: rate,
    ackedPerSecond: rate,
    puback: latency,
    visible: null,
    alarm: latency,
    processes,
    problems: [],
  };
}

function report(): Report {
  const run = (name: string, ...rounds: Round[]) => ({ name, about: name, skipped: null, rounds });
  return {
    version: 1,
    at: '2026-01-02T00:00:00.000Z',
    machine: { cpu: 'CPU', cores: 2, memoryBytes: 2 ** 34, system: 'Linux', node: 'v20.20.0', flushMs: 1 },
    settings: { seconds: 7, connections: 50, payload: 'object', qos: 1, ratePerSecond: null, rounds: 1 },
    runs: [
      run('sluice-lmdb', round(300_000, 5)),
      run('door-kafka', round(480_000, 3, { storedPerSecond: null })),
      run('mosquitto-telegraf-kafka', round(32_000, 45)),
      { name: 'mochi-franz', about: 'Mochi', skipped: 'Go is not installed', rounds: [] },
    ],
    sweep: [point(0.25), point(0.5)],
  };
}

describe('the goals', () => {
  it('are judged by what was reached', () => {
    const rows = goalRows(report());
    expect(rows[0]).toMatchObject({ reached: '9.4×', atLeast: '8.0×', verdict: 'yes' });
    expect(rows[1]).toMatchObject({ reached: '15×', verdict: 'yes' });
    expect(rows[2]).toMatchObject({ reached: 'not measured', verdict: '–', bound: '' });
    expect(rows[3]).toMatchObject({ reached: '15×', verdict: 'yes' });
    expect(rows[6]).toMatchObject({ what: 'PUBACK p99 at half of capacity', reached: '2.0 ms', verdict: 'aim' });
    expect(rows[8]).toMatchObject({ reached: '500 MB', verdict: 'aim', bound: '' });
  });

  it('are missed in plain words, with what bounds them', () => {
    const slow = report();
    slow.runs[0].rounds = [round(100_000, 15)];
    expect(goalRows(slow)[0]).toMatchObject({ reached: '3.1×', verdict: 'no' });
    expect(goalRows(slow)[0].bound).not.toBe('');
    expect(publish(slow).sections.get('goals')).toContain('**no**');
  });

  it('tell what of a latency is the disk', () => {
    const slow = report();
    const summary = (p99Ms: number) => ({
      count: 9,
      meanMs: 1,
      p50Ms: 1,
      p90Ms: 2,
      p99Ms,
      p999Ms: p99Ms,
      maxMs: 2 * p99Ms,
    });
    slow.sweep = [{ ...point(0.5), puback: summary(130), flush: summary(110) }];
    slow.inMemory = { ...point(0.5), puback: summary(11) };
    expect(goalRows(slow)[6]).toMatchObject({ reached: '130 ms', verdict: 'no' });
    expect(goalRows(slow)[6].bound).toMatch(
      / took 110 ms \(p99\), 220 ms at most\. With the data in memory it is 11 ms\.$/,
    );
    const table = publish(slow).sections.get('sweep');
    expect(table).toContain('| 50 %, data in memory |');
    expect(table).toContain('| 110.0 ms | 220.0 ms |');
    slow.sweep[0].rounds = { all: 5, taken: 3 };
    expect(goalRows(slow)[6].bound).toMatch(
      / at most\. In 2 of 5 rounds, which are left out, a flush took more than 40 ms\. With the data/,
    );
    expect(publish(slow).sections.get('sweep')).toMatch(/\| +3 of 5 \|/);
  });
});

describe('publishing', () => {
  it('fills what stands between markers, and nothing else', () => {
    const page =
      'a\n<!-- bench:rates -->\n\nold\nlines\n\n<!-- /bench:rates -->\nb\n<!-- bench:other -->\nkept\n<!-- /bench:other -->\n';
    const filled = fillMarkers(page, new Map([['rates', 'new $1 text']]));
    expect(filled).toBe(page.replace('old\nlines', () => 'new $1 text'));
    expect(fillMarkers(filled, new Map([['rates', 'new $1 text']]))).toBe(filled);
    const empty = '<!-- bench:rates -->\n<!-- /bench:rates -->';
    expect(fillMarkers(empty, new Map([['rates', 'x']]))).toBe('<!-- bench:rates -->\n\nx\n\n<!-- /bench:rates -->');
  });

  it('makes a section of each part, and plots of a sweep', () => {
    const { sections, plots } = publish(report());
    expect(sections.get('rates')).toContain('| mosquitto-telegraf-kafka |');
    expect(sections.get('problems')).toContain('Skipped mochi-franz: Go is not installed.');
    expect(sections.get('pages')).toBe('Not measured.');
    expect([...plots.keys()]).toEqual(['puback.svg', 'end-to-end.svg', 'cost.svg']);
    expect(headline(report())).toBe(
      '300,000 messages/s stored (9.4× the chain with Telegraf), PUBACK p99 at half of it 2.0 ms',
    );
  });

  it('survives a result with nothing in it', () => {
    const empty = publish({ ...report(), runs: [], sweep: [] });
    expect(empty.plots.size).toBe(0);
    expect(empty.sections.get('goals')).toContain('not measured');
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DerivedMetric } from '../../model/derived.ts';
import { at, message, options, Run, rule, window } from '../testing/run.ts';
import { troubledFrames } from '../testing/scenario.ts';

const derived = (over: Partial<DerivedMetric>): DerivedMetric => ({
  name: 'power',
  devices: [],
  expression: 'm.u * m.i',
  maxAgeMs: null,
  ...over,
});

type Row = [
  device: string,
  metric: string,
  ts: number,
  value: number | null,
  text: string,
  received: number,
  offset: number,
  index: number,
  untimed: boolean,
  derived?: boolean,
];

const rowsOf = (run: Run) => run.cut().rows.readings as Row[];
const derivedOf = (run: Run) =>
  rowsOf(run)
    .filter((row) => row[9])
    .map(([device, metric, ts, value]) => [device, metric, ts, value]);

describe('a derived metric', () => {
  it('is stored, and goes through windows and alarm rules', () => {
    const run = new Run(
      options({
        derived: [derived({})],
        rules: [rule({ metric: 'power', above: 100, clear: 50 })],
        windows: [window()],
      }),
    );
    run.messages(
      message('a', 0, { ts: at(0), u: 10, i: 2 }),
      message('a', 1, { ts: at(1), u: 60, i: 2 }),
      message('a', 2, { ts: at(2), i: 0.5 }),
      message('a', 12, { ts: at(12), u: 0, i: 0 }),
    );
    expect(derivedOf(run)).toEqual([
      ['a', 'power', at(0), 20],
      ['a', 'power', at(1), 120],
      ['a', 'power', at(2), 30],
      ['a', 'power', at(12), 0],
    ]);
    expect(run.rollups().find((r) => r.metric === 'power')).toMatchObject({ count: 3, sum: 170, max: 120, last: 30 });
    expect(run.alarms().map((a) => [a.state, a.value])).toEqual([
      ['raised', 120],
      ['cleared', 30],
    ]);
    expect(run.counts).toMatchObject({
      readingsDecoded: 7,
      readingsDuplicate: 0,
      readingsDerived: 4,
      derivedUnknown: 0,
    });
  });

  it('comes once for each time, and not from redeliveries and readings out of order', () => {
    const run = new Run(options({ derived: [derived({})] }));
    run.messages(
      message('a', 0, { ts: at(5), u: 10 }),
      message('a', 0, { ts: at(5), i: 2 }),
      message('a', 0, { ts: at(5), i: 2 }),
      message('a', 0, { ts: at(3), u: 7 }),
      message('a', 0, { ts: at(4), i: 9 }),
      message('a', 6, [
        { ts: at(6), u: 1, i: 1 },
        { ts: at(7), u: 2, i: 2 },
      ]),
      message('a', 6, { ts: at(6), u: 1, i: 1 }),
    );
    expect(derivedOf(run)).toEqual([
      ['a', 'power', at(5), 20],
      ['a', 'power', at(6), 1],
      ['a', 'power', at(7), 4],
    ]);
    // The first voltage found no current.
    expect(run.counts.derivedUnknown).toBe(1);
  });

  it('takes values of one time only, where it is told to', () => {
    const run = new Run(options({ derived: [derived({ maxAgeMs: 0 })] }));
    for (const second of [1, 2]) {
      run.messages(message('a', second, { ts: at(second), u: second }), message('a', second, { ts: at(second), i: 3 }));
    }
    expect(derivedOf(run)).toEqual([
      ['a', 'power', at(1), 3],
      ['a', 'power', at(2), 6],
    ]);
  });

  it('builds on those above it, knows its devices, and leaves alone what a device sends itself', () => {
    const run = new Run(
      options({
        derived: [
          derived({ name: 'k', expression: 'm.f + 1', devices: ['a*'] }),
          derived({ name: 'hot', expression: 'has(m.k) && m.k > 10' }),
          derived({ name: 'mode', expression: 'm.state == "run" ? 1 : 0' }),
        ],
      }),
    );
    run.messages(
      message('a1', 0, { ts: at(0), f: 10 }),
      message('b', 0, { ts: at(0), f: 10, state: 'run' }),
      message('b', 1, { ts: at(1), k: 20 }),
      message('a2', 0, { ts: at(0), k: 5 }),
      message('a2', 1, { ts: at(1), f: 50 }),
    );
    expect(derivedOf(run)).toEqual([
      ['a1', 'k', at(0), 11],
      ['a1', 'hot', at(0), 1],
      ['b', 'mode', at(0), 1],
      ['b', 'hot', at(1), 1],
      ['a2', 'hot', at(0), 0],
    ]);
  });

  it('is what a plain reckoning over all stored readings gives, wherever it is saved and restored', () => {
    const specs = [
      derived({ name: 'sum', expression: 'm.t + m.h' }),
      derived({ name: 'near', expression: 'm.t - m.h', maxAgeMs: 500 }),
      derived({ name: 'twice', expression: 'm.sum * 2', devices: ['a', 'c'] }),
      derived({ name: 'on', expression: '(m.state == "on" ? 1 : 0) * m.t' }),
      derived({ name: 'ratio', expression: 'm.t / (m.h - m.h)' }),
    ];
    fc.assert(
      fc.property(fc.integer(), fc.array(fc.nat({ max: 2 }), { minLength: 40, maxLength: 40 }), (seed, steps) => {
        const o = options({
          derived: specs,
          windows: [window()],
          rules: [rule({ metric: 'twice', above: 100, clear: 90 })],
        });
        const frames = troubledFrames(seed, 40, ['a', 'b', 'c']);
        const whole = new Run(o);
        const parts = new Run(o);
        frames.forEach((frame, i) => {
          whole.frame(frame);
          parts.frame(frame);
          if (steps[i] === 1) parts.cut();
          if (steps[i] === 2) parts.restart();
        });
        const rows = rowsOf(whole);
        expect(rowsOf(parts)).toEqual(rows);
        expect(parts.rows).toEqual(whole.rows);
        expect(parts.counts).toEqual(whole.counts);
        expect(derivedOf(whole)).toEqual(reckoned(rows.filter((row) => !row[9])));
        // What was decoded is accounted for as without.
        const sent = rows.filter((row) => !row[9]).length;
        expect(whole.counts.readingsDecoded).toBe(sent + whole.counts.readingsDuplicate);
      }),
      { numRuns: 12 },
    );
  });
});

/** The formulas of the test above, over the stored readings in their order. */
function reckoned(rows: readonly Row[]): unknown[][] {
  const newest = new Map<string, { ts: number; value: number | string }>();
  const out: unknown[][] = [];
  const inTime = rows.filter(([, , ts, , , received]) => ts <= received + 60_000);
  for (let i = 0; i < inTime.length; ) {
    const [device, , ts, , , , offset, index] = inTime[i];
    const fresh = new Set<string>();
    for (; i < inTime.length; i++) {
      const row = inTime[i];
      if (row[2] !== ts || row[6] !== offset || row[7] !== index) break;
      if (row[2] <= (newest.get(`${device} ${row[1]}`)?.ts ?? -1)) continue;
      newest.set(`${device} ${row[1]}`, { ts, value: row[3] ?? row[4] });
      fresh.add(row[1]);
    }
    const at = (metric: string) => newest.get(`${device} ${metric}`);
    const derive = (name: string, from: string[], maxAgeMs: number, reckon: (...v: (number | string)[]) => number) => {
      const inputs = from.map(at);
      if (!from.some((metric) => fresh.has(metric)) || inputs.some((n) => n !== undefined && n.ts > ts)) return;
      if (inputs.some((n) => n === undefined || n.ts < ts - maxAgeMs)) return;
      if (ts <= (at(name)?.ts ?? -1)) return;
      const value = reckon(...inputs.map((n) => n?.value as number | string));
      newest.set(`${device} ${name}`, { ts, value });
      fresh.add(name);
      out.push([device, name, ts, value]);
    };
    derive('sum', ['t', 'h'], 1e15, (t, h) => (t as number) + (h as number));
    derive('near', ['t', 'h'], 500, (t, h) => (t as number) - (h as number));
    if (device !== 'b') derive('twice', ['sum'], 1e15, (sum) => (sum as number) * 2);
    derive('on', ['state', 't'], 1e15, (s, t) => (s === 'on' ? (t as number) : 0));
  }
  return out;
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AlarmRule, SilenceRule } from '../model/alarm.ts';
import { WINDOW_DEFAULTS, type WindowSpec } from '../model/window.ts';
import { ruleOf } from './alarms/testing/rules.ts';
import type { PipelineOptions } from './pipeline.ts';
import { at, message, options, Run, rule, window } from './testing/run.ts';
import { type TestMessage, troubledFramesAfter } from './testing/scenario.ts';
import { WindowOracle } from './testing/window-oracle.ts';

const TTL_S = 800;
const withTtl = (over: Partial<PipelineOptions> = {}) =>
  options({ stateTtlMs: TTL_S * 1000, idleMs: 5000, clockSkewMaxMs: 1000, ...over });
const tick = (s: number): TestMessage => ({ device: '', receivedMs: at(s), payload: '' });
/** Ticks until everything that is old enough is forgotten. */
const pass = (run: Run, fromS: number, toS: number): Run => {
  for (let s = fromS; s <= toS; s += TTL_S / 16) run.messages(tick(s));
  return run;
};
const sizes = (run: Run) => {
  const { devices, series } = run.pipeline.saves.whole().sizes;
  return { devices, series };
};

const base = { ...WINDOW_DEFAULTS, outOfOrderMs: 0, allowedLatenessMs: 0 };
const everyKind: WindowSpec[] = [
  window({ allowedLatenessMs: 5000, outOfOrderMs: 2000 }),
  window({ name: 'early', everyMs: 2000, aggregates: [{ kind: 'rate' }, { kind: 'percentile', percent: 90 }] }),
  { ...base, name: 'hopping', kind: 'hopping', sizeMs: 10_000, hopMs: 5000, allowedLatenessMs: 5000 },
  { ...base, name: 'sliding', kind: 'sliding', sizeMs: 5000, outOfOrderMs: 1000, allowedLatenessMs: 1000 },
  { ...base, name: 'session', kind: 'session', gapMs: 3000, sizeMaxMs: 20_000, allowedLatenessMs: 5000 },
  { ...base, name: 'count', kind: 'count', count: 7, everyMs: 4000 },
  { ...base, name: 'state', kind: 'state', state: 'state' },
  {
    ...base,
    name: 'all',
    kind: 'tumbling',
    sizeMs: 10_000,
    by: { kind: 'topic', level: 1 },
    aggregates: [{ kind: 'delta' }],
  },
];
const silence = (over: Partial<SilenceRule> = {}): SilenceRule => ({
  kind: 'silence',
  name: 'quiet',
  devices: [],
  metric: '',
  by: null,
  afterMs: 30_000,
  factor: 3,
  afterMinMs: 1000,
  outageMs: 1e9,
  graceMs: 0,
  forMs: 0,
  severity: 'major',
  message: '{device} is silent',
  ...over,
});
/** Rules of every kind; those of an entry look at each other. */
const everyRule: AlarmRule[][] = [
  [rule()],
  [rule({ name: 'long', above: 25, clear: 20, forMs: 4000 })],
  [ruleOf('rate', { name: 'steep', windowMs: 6000, above: 1, clear: 0.5 })],
  [ruleOf('repeat', { name: 'often', times: 2, withinMs: 20_000 })],
  [ruleOf('deviation', { name: 'odd' })],
  [ruleOf('deviation', { name: 'odder', metric: 'h', method: 'mad', direction: 'up' })],
  [silence({ afterMs: null, devices: ['a'] })],
  [silence({ name: 'no-h', metric: 'h', devices: ['b'] })],
  [silence({ name: 'site', by: { kind: 'site' } })],
  [ruleOf('clock', { name: 'wrong-clock', behindMs: 15_000 })],
  [ruleOf('expression', { name: 'state', when: 'metrics.state == "on" && rollup["10s"].t.avg > 25' })],
  [
    ruleOf('expression', { name: 'both', when: 'metrics.t > 28 && metrics.h > 40', forMs: 500, raises: false }),
    ruleOf('threshold', { name: 'warm', raises: false }),
    ruleOf('combination', { name: 'any', of: ['both', '!warm'], atLeast: 1, forMs: 2000 }),
  ],
];

describe('what was not heard of for the time to live', () => {
  it('is forgotten, and begins as new', () => {
    const run = new Run(withTtl({ rules: [] }));
    run.messages(message('a', 0, { ts: at(0), t: 1, u: 2 }), message('b', 0, { ts: at(0), t: 1 }));
    for (let s = 100; s <= 1000; s += 100) run.messages(message('b', s, { ts: at(s), v: 1 }));
    expect(sizes(run)).toEqual({ devices: 1, series: 1 });
    expect(run.cut().counts).toMatchObject({ seriesForgotten: 3, devicesForgotten: 1 });
    run.messages(message('a', 1001, { ts: at(1001), t: 5 })).restart();
    expect(sizes(run)).toEqual({ devices: 2, series: 2 });
    pass(run, 1002, 1102);
    expect(
      run
        .rollups()
        .filter((r) => r.device === 'a')
        .map((r) => [r.startMs, r.metric, r.count, r.revision]),
    ).toEqual([
      [at(0), 't', 1, 1],
      [at(0), 'u', 1, 1],
      [at(1000), 't', 1, 1],
    ]);
  });

  it('is not forgotten by a setting of null, nor before', () => {
    for (const run of [new Run(withTtl({ stateTtlMs: null })), new Run(withTtl({ stateTtlMs: 1e9 }))]) {
      run.messages(message('a', 0, { ts: at(0), t: 1 }));
      expect(sizes(pass(run.restart(), 1, 3000).restart())).toEqual({ devices: 1, series: 1 });
    }
  });

  it('waits until there are enough of them that it is worth while', () => {
    const run = new Run(withTtl({ rules: [] }));
    const speak = (s: number, from: number) =>
      run.messages(...Array.from({ length: 100 - from }, (_, d) => message(`d${from + d}`, s, { ts: at(s), t: 1 })));
    speak(0, 0);
    for (let s = 100; s <= 1000; s += 100) speak(s, 1);
    expect(sizes(run)).toEqual({ devices: 100, series: 100 });
    for (let s = 1100; s <= 2000; s += 100) speak(s, 2);
    expect(sizes(run.restart())).toEqual({ devices: 98, series: 98 });
  });

  it('does not take what it sent before for new: that is too late, stored and flagged', () => {
    const run = new Run(withTtl());
    run.messages(message('a', 0, { ts: at(0), t: 40 }), message('a', 3, { ts: at(3), t: 2 }));
    pass(run, 1, 1000);
    expect(sizes(run).devices).toBe(0);
    const before = run.rollups().length;
    const raised = run.alarms().length;
    // A redelivery of what raised an alarm, in a window that was given long ago.
    run.messages(message('a', 1001, { ts: at(0), t: 40 }), message('a', 1002, { ts: at(1002), t: 3 })).restart();
    run.messages(message('a', 1003, { ts: at(4), t: 50 }));
    pass(run, 1010, 1100);
    expect(
      run
        .rollups()
        .slice(before)
        .map((r) => [r.startMs, r.count]),
    ).toEqual([[at(1000), 1]]);
    expect(run.alarms()).toHaveLength(raised);
    expect(run.counts.readingsLate).toBe(2);
    expect(run.rows.readings).toHaveLength(5);
  });

  it('may send what it has buffered since, however old', () => {
    const run = new Run(withTtl());
    run.messages(message('a', 0, { ts: at(0), t: 1 }));
    pass(run, 1, 2000);
    run.messages(message('a', 2001, { ts: at(500), t: 2 }), message('b', 2001, { ts: at(-5000), t: 3 }));
    pass(run, 2010, 2100);
    expect(run.rollups().map((r) => [r.device, r.startMs, r.count])).toEqual([
      ['a', at(0), 1],
      ['a', at(500), 1],
      ['b', at(-5000), 1],
    ]);
    expect(run.counts.readingsLate).toBe(0);
  });

  it('gives what its count and state windows have, as it is', () => {
    const windows: WindowSpec[] = [
      { ...base, name: 'count', kind: 'count', count: 10 },
      { ...base, name: 'state', kind: 'state', state: 'mode' },
    ];
    const run = new Run(withTtl({ windows }));
    for (let s = 0; s < 4; s++) run.messages(message('a', s, { ts: at(s), mode: 1, t: s }));
    pass(run, 5, 1000);
    const given = run.rollups().map((r) => [r.window, r.metric, r.startMs, r.endMs, r.count, r.label, r.phase]);
    expect(given).toEqual([
      ['count', 'mode', at(0), at(3) + 1, 4, '', 'final'],
      ['count', 't', at(0), at(3) + 1, 4, '', 'final'],
      ['state', 'mode', at(0), at(3) + 1, 4, '1', 'final'],
      ['state', 't', at(0), at(3) + 1, 4, '1', 'final'],
    ]);
    expect(
      run
        .rollups()
        .find((r) => r.metric === 'mode' && r.window === 'state')
        ?.extra?.get('duration_ms'),
    ).toBe(3001);
  });

  it('makes room for series that were beyond the bound', () => {
    const run = new Run(withTtl({ seriesMax: 2, windows: [window({ seriesMax: 1 })] }));
    run.messages(message('a', 0, { ts: at(0), t: 1 }));
    for (let s = 100; s <= 1000; s += 100) run.messages(message('b', s, { ts: at(s), t: 1, u: 1 }));
    run.messages(message('b', 1101, { ts: at(1101), t: 1, u: 1 }), message('b', 1111, { ts: at(1111), t: 1, u: 1 }));
    expect(sizes(run)).toEqual({ devices: 1, series: 2 });
    const last = run.rollups().filter((r) => r.startMs === at(1100));
    expect(last.map((r) => [r.device, r.metric])).toEqual([['b', 't']]);
    expect(run.pipeline.saves.whole().sizes.windowSeriesBeyond.get('10s')).toBe(1);
  });
});

describe('what has an alarm', () => {
  it('is kept until that is over', () => {
    const run = new Run(withTtl());
    run.messages(message('hot', 0, { ts: at(0), t: 40, u: 1 }), message('cool', 0, { ts: at(0), t: 1 }));
    pass(run, 1, 3000).restart();
    expect(sizes(run)).toEqual({ devices: 1, series: 2 });
    run.messages(message('hot', 3001, { ts: at(3001), t: 1 }));
    expect(run.alarms().at(-1)?.state).toBe('cleared');
    expect(sizes(pass(run, 3002, 5000))).toEqual({ devices: 0, series: 0 });
  });

  it('of silence is raised and kept, also one that takes longer than the time to live', () => {
    for (const afterMs of [30_000, 3 * TTL_S * 1000]) {
      const run = new Run(withTtl({ rules: [silence({ afterMs })] }));
      run.messages(message('a', 0, { ts: at(0), t: 1 }));
      pass(run, 1, 5000);
      expect(run.alarms().map((a) => [a.device, a.state])).toEqual([['a', 'raised']]);
      expect(sizes(run)).toEqual({ devices: 1, series: 1 });
      run.messages(message('a', 5001, { ts: at(5001), t: 1 }));
      expect(run.alarms().at(-1)?.state).toBe('cleared');
    }
  });

  it('of nobody is missed where silence is not known yet, or another of the group speaks', () => {
    const site = silence({ name: 'site', by: { kind: 'site' } });
    const learned = silence({ name: 'learned', afterMs: null });
    const run = new Run(withTtl({ rules: [site, learned] }));
    run.messages(message('a', 0, { ts: at(0), t: 1 }));
    expect(sizes(pass(run, 1, 2000))).toEqual({ devices: 0, series: 0 });
    expect(run.alarms()).toEqual([]);
  });
});

describe('forgetting', () => {
  const frames = fc.record({ seed: fc.nat(), count: fc.integer({ min: 4, max: 30 }) });
  const leaps = fc.infiniteStream(fc.constantFrom(0, 0, 0, 10, 150, 900, 2500));

  it('is the same however a run is cut, saved and restored, with all kinds of windows and rules', () => {
    let forgotten = 0;
    const chosen = fc.record({ rules: fc.subarray(everyRule), windows: fc.subarray(everyKind, { minLength: 1 }) });
    fc.assert(
      fc.property(frames, chosen, leaps, fc.infiniteStream(fc.nat({ max: 2 })), ({ seed, count }, of, gaps, steps) => {
        const o = withTtl({
          windows: [...of.windows.filter(({ name }) => name !== '10s'), everyKind[0]],
          rules: of.rules.flat(),
          derived: [{ name: 'sum', devices: [], expression: 'm.t + m.h', maxAgeMs: null }],
          seriesMax: 9,
        });
        const whole = new Run(o);
        const parts = new Run(o);
        let shiftS = 0;
        for (const frame of troubledFramesAfter(seed, count, ['a', 'b', 'c', 'd'], () => shiftS * 1000)) {
          const gapS = gaps.next().value;
          const ticks = Array.from({ length: gapS === 0 ? 0 : 3 }, (_, i) => tick(shiftS + 60 + (gapS * (i + 1)) / 3));
          shiftS += gapS;
          for (const run of [whole, parts]) {
            run.frame(frame);
            for (const one of ticks) run.messages(one);
          }
          const step = steps.next().value;
          if (step === 1) parts.cut();
          if (step === 2) parts.restart();
        }
        whole.cut();
        parts.cut();
        // Readings of series beyond the bound are the last of a batch.
        const inOrder = ({ readings, ...rows }: Run['rows']) => ({ ...rows, readings: readings.map(String).sort() });
        expect(inOrder(parts.rows)).toEqual(inOrder(whole.rows));
        expect([parts.alarmBytes, parts.counts, parts.notTaken]).toEqual([
          whole.alarmBytes,
          whole.counts,
          whole.notTaken,
        ]);
        expect(Buffer.from(parts.pipeline.save()).equals(Buffer.from(whole.pipeline.save()))).toBe(true);
        forgotten += whole.counts.seriesForgotten ?? 0;
      }),
      { numRuns: 30 },
    );
    expect(forgotten).toBeGreaterThan(0);
  });

  it('gives the windows that an oracle gives to whom each life of a device is another device', () => {
    const lives = fc.array(
      fc.record({
        device: fc.constantFrom('a', 'b', 'c'),
        metric: fc.constantFrom('t', 'u'),
        gapS: fc.constantFrom(1, 1, 4, 20, 100, 2 * TTL_S, 2 * TTL_S),
        old: fc.boolean(),
      }),
      { maxLength: 25 },
    );
    const windows = everyKind.filter(
      ({ kind, by }) => by.kind === 'device' && !['count', 'state', 'sliding'].includes(kind),
    );
    fc.assert(
      fc.property(lives, fc.constantFrom(...windows), (sent, spec) => {
        const w = { ...spec, everyMs: null, aggregates: [] };
        const oracle = new WindowOracle([w], 1000);
        const run = new Run(withTtl({ windows: [w], rules: [] }));
        const heard = new Map<string, { life: number; lastS: number; first: number }>();
        let nowS = 0;
        let tooOld = 0;
        for (const { device, metric, gapS, old } of sent) {
          pass(run, nowS + 30, nowS + gapS);
          nowS += gapS;
          const before = heard.get(device);
          const isNew = before === undefined || nowS - before.lastS >= 2 * TTL_S;
          const life = (before?.life ?? 0) + (isNew ? 1 : 0);
          heard.set(device, { life, lastS: nowS, first: before?.first ?? nowS });
          const reading = {
            device: `${device}${life}`,
            metric,
            ts: at(nowS),
            value: nowS,
            text: '',
            receivedMs: at(nowS),
            isTimed: true,
          };
          oracle.frame([reading]);
          run.messages(message(device, nowS, { ts: at(nowS), [metric]: nowS }));
          // What it sent in its first life comes again.
          if (life > 1 && old) {
            run.messages(message(device, nowS, { ts: at(before?.first ?? 0), t: 99 }));
            tooOld++;
          }
        }
        oracle.silence();
        pass(run, nowS + 30, nowS + 200);
        const newest = (
          all: readonly {
            device: string;
            metric: string;
            startMs: number;
            endMs: number;
            count: number;
            sum: number;
          }[],
        ) => {
          const byKey = new Map<string, unknown>();
          for (const r of all) byKey.set(JSON.stringify([r.device, r.metric, r.startMs]), [r.endMs, r.count, r.sum]);
          return [...byKey].sort(([x], [y]) => (x < y ? -1 : 1));
        };
        expect(newest(run.rollups())).toEqual(newest(oracle.rollups.map((r) => ({ ...r, device: r.device[0] }))));
        expect(run.counts.readingsLate).toBe(tooOld);
      }),
      { numRuns: 60 },
    );
  });

  it('is followed by a whole checkpoint, upon which changes lie again', () => {
    const run = new Run(withTtl());
    run.messages(message('a', 0, { ts: at(0), t: 1 }), message('b', 0, { ts: at(0), t: 1 }));
    expect(run.pipeline.saves.change().isChange).toBe(false);
    run.messages(message('b', 100, { ts: at(100), t: 1 }));
    expect(run.pipeline.saves.change().isChange).toBe(true);
    for (let s = 200; s <= 1000; s += 100) run.messages(message('b', s, { ts: at(s), t: 1 }));
    expect(run.pipeline.saves.change().isChange).toBe(false);
    run.messages(message('b', 1001, { ts: at(1001), t: 1 }));
    expect(run.pipeline.saves.change().isChange).toBe(true);
  });
});

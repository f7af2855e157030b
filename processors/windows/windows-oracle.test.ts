import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Rollup } from '../../model/rollup.ts';
import { WINDOW_DEFAULTS, type WindowSpec } from '../../model/window.ts';
import { at, options, Run } from '../testing/run.ts';
import { frameOf } from '../testing/scenario.ts';
import { WindowOracle } from '../testing/window-oracle.ts';

/** Frames of readings over a minute: some in order, many not, some twice, some without a time, some far ahead, some texts. */
const readingArbitrary = fc.record({
  device: fc.constantFrom('a', 'b', 'é'),
  metric: fc.constantFrom('t', 'u', 'mode'),
  ts: fc.oneof(
    { weight: 10, arbitrary: fc.integer({ min: 0, max: 60 }).map((s) => at(s)) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 60_000 }).map((ms) => at(0) + ms) },
    { weight: 1, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.integer({ min: 60, max: 400 }).map((s) => at(s)) },
  ),
  value: fc.integer({ min: -8, max: 40 }),
  text: fc.constantFrom('', '', 'on', 'off'),
  receivedMs: fc.integer({ min: 0, max: 120 }).map((s) => at(s)),
});
const framesArbitrary = fc.array(fc.array(readingArbitrary, { maxLength: 8 }), { maxLength: 14 });
type Generated = readonly {
  device: string;
  metric: string;
  ts: number | null;
  value: number;
  text: string;
  receivedMs: number;
}[];

const frameBytes = (readings: Generated) =>
  frameOf(
    readings.map(({ device, metric, ts, value, text, receivedMs }) => {
      const values = { [metric]: text === '' ? value : text };
      return { device, receivedMs, payload: JSON.stringify(ts === null ? values : { ts, ...values }) };
    }),
  );
const decoded = (readings: Generated) =>
  readings.map((r) => ({
    ...r,
    ts: r.ts ?? r.receivedMs,
    isTimed: r.ts !== null,
    value: r.text === '' ? r.value : Number.NaN,
  }));

const times = {
  outOfOrderMs: fc.constantFrom(0, 3000, 20_000),
  allowedLatenessMs: fc.constantFrom(0, 5000, 30_000),
  everyMs: fc.constantFrom(null, null, 4000),
  metrics: fc.constantFrom<string[]>([], ['t'], ['t*', 'x']),
  devices: fc.constantFrom<string[]>([], ['a', 'é*']),
  seriesMax: fc.constantFrom(null, null, 1, 3),
  readingsMax: fc.constantFrom(100_000, 100_000, 2, 4),
};
const common = { ...WINDOW_DEFAULTS, name: 'w' };

const kinds: Record<string, fc.Arbitrary<WindowSpec>> = {
  tumbling: fc
    .record({ ...times, sizeMs: fc.constantFrom(5000, 10_000) })
    .map((w) => ({ ...common, ...w, kind: 'tumbling' })),
  hopping: fc
    .record({ ...times, sizeMs: fc.constantFrom(6000, 10_000, 12_000), hopMs: fc.constantFrom(2000, 3000, 4000, 6000) })
    .map((w) => ({ ...common, ...w, kind: 'hopping' })),
  session: fc
    .record({ ...times, gapMs: fc.constantFrom(2000, 5000), sizeMaxMs: fc.constantFrom(6000, 15_000, 1e6) })
    .map((w) => ({ ...common, ...w, kind: 'session' })),
  sliding: fc
    .record({ ...times, everyMs: fc.constant(null), sizeMs: fc.constantFrom(3000, 10_000) })
    .map((w) => ({ ...common, ...w, kind: 'sliding' })),
  count: fc
    .record({ ...times, allowedLatenessMs: fc.constant(0), count: fc.integer({ min: 1, max: 4 }) })
    .map((w) => ({ ...common, ...w, kind: 'count' })),
  state: fc
    .record({ ...times, allowedLatenessMs: fc.constant(0) })
    .map((w) => ({ ...common, ...w, kind: 'state', state: 'mode' })),
};

const key = (r: Rollup) => JSON.stringify([r.window, r.device, r.metric, r.startMs, r.revision]);
const sorted = (all: readonly Rollup[]) => [...all].sort((x, y) => (key(x) < key(y) ? -1 : 1));

describe('where', () => {
  it('gives a window only the readings for which it is true, and the state of a state window always', () => {
    const all = { ...common, outOfOrderMs: 0, allowedLatenessMs: 0 };
    const windows: WindowSpec[] = [
      { ...all, name: 'some', kind: 'tumbling', sizeMs: 10_000, where: 'value >= 10 && metric == "t" && ts > 0' },
      { ...all, name: 'mine', kind: 'hopping', sizeMs: 10_000, hopMs: 5000, where: 'device.id == "b"' },
      { ...all, name: 'nobody', kind: 'count', count: 1, where: 'device.site == "x"' },
      { ...all, name: 'modes', kind: 'state', state: 'mode', where: 'value > 15' },
    ];
    const run = new Run(options({ windows, rules: [] }));
    const send = (s: number, values: object) =>
      run.messages({ device: 'a', receivedMs: at(s), payload: JSON.stringify({ ts: at(s), ...values }) });
    send(1, { t: 9, u: 40, mode: 1 });
    send(2, { t: 10, mode: 1 }).restart();
    send(3, { t: 20, mode: 2 });
    send(30, { t: 5, mode: 3 });
    expect(run.rollups().map((r) => [r.window, r.metric, r.count, r.max, r.label])).toEqual([
      ['some', 't', 2, 20, ''],
      ['modes', 'u', 1, 40, '1'],
      ['modes', 'mode', 2, 1, '1'],
    ]);
  });
});

describe.each(Object.entries(kinds))('%s windows', (_, spec) => {
  it('give what an oracle gives, row by row', () => {
    fc.assert(
      fc.property(framesArbitrary, spec, (frames, w) => {
        const oracle = new WindowOracle([w], 60_000);
        const run = new Run(options({ windows: [w], rules: [] }));
        for (const frame of frames) {
          oracle.frame(decoded(frame));
          run.frame(frameBytes(frame));
        }
        expect(sorted(run.rollups())).toEqual(sorted(oracle.rollups));
        expect(run.counts.readingsLate).toBe(oracle.late);
        expect(run.rows.readings.filter((row) => row.at(-1) === 'late').length).toBe(oracle.late);
        expect(run.counts.readingsDuplicate).toBe(oracle.duplicates);
        expect(run.notTaken.get('w') ?? { ofSeries: 0, ofReadings: 0 }).toEqual({
          ofSeries: oracle.beyond,
          ofReadings: oracle.displaced,
        });
      }),
      { numRuns: 300 },
    );
  });

  it('give the same rows and the same state however a run is cut, saved and restored', () => {
    fc.assert(
      fc.property(framesArbitrary, spec, fc.infiniteStream(fc.nat({ max: 2 })), (frames, w, steps) => {
        const o = options({ windows: [w], rules: [], idleMs: 8000 });
        const whole = new Run(o);
        const parts = new Run(o);
        for (const frame of frames) {
          whole.frame(frameBytes(frame));
          parts.frame(frameBytes(frame));
          const step = steps.next().value;
          if (step === 1) parts.cut();
          if (step === 2) parts.restart();
        }
        whole.cut();
        parts.cut();
        expect(parts.rows).toEqual(whole.rows);
        expect(parts.counts).toEqual(whole.counts);
        expect(parts.notTaken).toEqual(whole.notTaken);
        expect(Buffer.from(parts.pipeline.save()).equals(Buffer.from(whole.pipeline.save()))).toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});

describe.each(['tumbling', 'hopping', 'session', 'sliding'])('%s windows of silent devices', (kind) => {
  it('are closed by the clock of the partition, and hold in the end what they hold without it', () => {
    // Without a bound of readings: when a window is closed decides which of them wait, and so which the bound displaces.
    const late = { allowedLatenessMs: 1e9, everyMs: null, readingsMax: 100_000 };
    const newest = (all: readonly Rollup[]) => {
      const byKey = new Map<string, Rollup>();
      for (const r of all) byKey.set(JSON.stringify([r.device, r.metric, r.startMs]), r);
      return [...byKey]
        .filter(([, r]) => r.count > 0)
        .map(([of, r]) => [of, r.endMs, r.count, r.sum, r.first, r.last])
        .sort();
    };
    fc.assert(
      fc.property(framesArbitrary, kinds[kind], (frames, spec) => {
        const w = { ...spec, ...late } as WindowSpec;
        const oracle = new WindowOracle([w], 60_000);
        const run = new Run(options({ windows: [w], rules: [], idleMs: 5000 }));
        for (const frame of frames) {
          oracle.frame(decoded(frame));
          run.frame(frameBytes(frame));
          run.messages({ device: '', receivedMs: at(20), payload: '' });
        }
        oracle.silence();
        for (const s of [10_000, 60_000, 120_000]) run.messages({ device: '', receivedMs: at(s), payload: '' });
        expect(newest(run.rollups())).toEqual(newest(oracle.rollups));
      }),
      { numRuns: 60 },
    );
  });
});

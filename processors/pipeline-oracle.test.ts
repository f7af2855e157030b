import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Rollup } from '../model/rollup.ts';
import { Oracle, type OracleReading } from './testing/oracle.ts';
import { at, options, Run, rule, window } from './testing/run.ts';
import { frameOf, troubledFrames } from './testing/scenario.ts';

/** Frames of readings over a minute: some in order, many not, some twice. */
const readingArbitrary = fc.record({
  device: fc.constantFrom('a', 'b', 'é'),
  metric: fc.constantFrom('t', 'u'),
  ts: fc.oneof(
    { weight: 10, arbitrary: fc.integer({ min: 0, max: 60 }).map((s) => at(s)) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 60_000 }).map((ms) => at(0) + ms) },
    { weight: 1, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.integer({ min: 60, max: 400 }).map((s) => at(s)) },
  ),
  value: fc.integer({ min: 15, max: 40 }),
  receivedMs: fc.integer({ min: 0, max: 120 }).map((s) => at(s)),
});
const framesArbitrary = fc.array(fc.array(readingArbitrary, { maxLength: 8 }), { maxLength: 12 });

function frameOfReadings(readings: readonly OracleReading[]): Uint8Array {
  return frameOf(
    readings.map(({ device, metric, ts, value, receivedMs }) => ({
      device,
      receivedMs,
      payload: JSON.stringify(ts === null ? { [metric]: value } : { ts, [metric]: value }),
    })),
  );
}

describe('against an oracle', () => {
  const windows = fc.array(
    fc.record({
      sizeMs: fc.constantFrom(5000, 10_000, 60_000),
      outOfOrderMs: fc.constantFrom(0, 3000, 20_000),
      allowedLatenessMs: fc.constantFrom(0, 5000, 30_000),
      metrics: fc.constantFrom([], ['t']),
    }),
    { maxLength: 3 },
  );
  const rules = fc.array(
    fc.record({
      metric: fc.constantFrom('t', 'u'),
      up: fc.boolean(),
      level: fc.integer({ min: 20, max: 35 }),
      width: fc.integer({ min: 0, max: 5 }),
      forMs: fc.constantFrom(0, 2000, 10_000),
      devices: fc.constantFrom([], ['a'], ['a', 'é']),
    }),
    { maxLength: 4 },
  );

  it('gives its rollups, transitions, rows and counts', () => {
    fc.assert(
      fc.property(framesArbitrary, windows, rules, (frames, windowParts, ruleParts) => {
        const specs = windowParts.map((w, i) => window({ ...w, name: `w${i}` }));
        const defined = ruleParts.map(({ up, level, width, ...r }, i) =>
          up
            ? rule({ ...r, name: `r${i}`, above: level, clear: level - width })
            : rule({ ...r, name: `r${i}`, above: null, below: level, clear: level + width }),
        );
        const oracle = new Oracle(specs, defined, 60_000);
        const run = new Run(options({ windows: specs, rules: defined }));
        for (const frame of frames) {
          oracle.frame(frame);
          run.frame(frameOfReadings(frame));
        }
        const order = (r: Rollup) => JSON.stringify([r.window, r.device, r.metric, r.startMs, r.revision]);
        const sorted = (all: Rollup[]) => [...all].sort((x, y) => (order(x) < order(y) ? -1 : 1));
        expect(sorted(run.rollups())).toEqual(sorted(oracle.rollups));
        expect(
          run.alarms().map((a) => `${a.rule} ${a.device} ${a.state} ${a.clearedMs ?? a.raisedMs} ${a.value}`),
        ).toEqual(oracle.transitions);
        expect(run.rows.readings.map(([d, m, ts]) => JSON.stringify([d, m, ts]))).toEqual(oracle.stored);
        expect(run.counts.readingsDuplicate).toBe(oracle.duplicates);
        expect(run.counts.readingsLate).toBe(oracle.late);
      }),
      { numRuns: 500 },
    );
  });

  it('gives the same bytes however batches are cut, and wherever it is saved and restored', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(fc.nat({ max: 2 }), { minLength: 40, maxLength: 40 }), (seed, steps) => {
        const o = options({
          windows: [window({ outOfOrderMs: 1000, allowedLatenessMs: 8000 }), window({ name: '3s', sizeMs: 3000 })],
          rules: [rule(), rule({ name: 'dry', metric: 'h', above: null, below: 40, clear: 60, forMs: 1500 })],
          idleMs: 5000,
        });
        const frames = troubledFrames(seed, 40, ['a', 'b', 'c']);
        const whole = new Run(o);
        for (const frame of frames) whole.frame(frame);
        const parts = new Run(o);
        frames.forEach((frame, i) => {
          parts.frame(frame);
          if (steps[i] === 1) parts.cut();
          if (steps[i] === 2) parts.restart();
        });
        whole.cut();
        parts.cut();
        expect(parts.rows).toEqual(whole.rows);
        expect(parts.alarmBytes).toBe(whole.alarmBytes);
        expect(parts.counts).toEqual(whole.counts);
        expect(Buffer.from(parts.pipeline.save()).equals(Buffer.from(whole.pipeline.save()))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it('accounts for every message: readings, duplicates, or quarantine', () => {
    const run = new Run(options());
    for (const frame of troubledFrames(5, 200, ['a', 'b'])) run.frame(frame);
    run.cut();
    expect(run.counts.readingsDecoded).toBe(run.rows.readings.length + run.counts.readingsDuplicate);
    expect(run.counts.messagesQuarantined).toBe(run.rows.quarantine.length);
    const ended = new Set([...run.rows.readings.map((r) => `${r[6]}:${r[7]}`)]).size + run.rows.quarantine.length;
    expect(ended).toBeLessThanOrEqual(run.counts.messagesProcessed);
    expect(run.counts.messagesProcessed - ended).toBeLessThanOrEqual(run.counts.readingsDuplicate);
  });
});

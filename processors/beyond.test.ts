import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { at, message, open, options, Run } from './testing/run.ts';
import { frameOf, troubledFrames } from './testing/scenario.ts';

describe('series beyond the bound', () => {
  it('are stored, and are in no window, before no rule, and not checked for redeliveries', () => {
    const run = new Run(options({ seriesMax: 2 }));
    run.messages(message('a', 1, { ts: at(1), t: 1, u: 2 }), message('b', 1, { ts: at(1), t: 99 }));
    run.messages(message('b', 2, { ts: at(1), t: 99 }), message('a', 2, { ts: at(2), x: 'on', t: 3 }));
    run.restart();
    run.messages(message('b', 12, { ts: at(12), t: 99 }), message('a', 12, { ts: at(12), t: 5, u: 6 }));
    expect(run.rollups().map((r) => [r.device, r.metric, r.count])).toEqual([
      ['a', 't', 2],
      ['a', 'u', 1],
    ]);
    expect(run.alarms()).toEqual([]);
    expect(run.cut().rows.readings).toHaveLength(9);
    expect(run.counts).toMatchObject({ readingsBeyond: 4, readingsDuplicate: 0, readingsDecoded: 9 });
    const ofB = run.rows.readings.map((row) => JSON.stringify(row)).filter((row) => row.includes('"b"'));
    expect(ofB).toHaveLength(3);
  });

  it('are not those that a message brings twice when there is room for one more', () => {
    const run = new Run(options({ seriesMax: 1 }));
    run.messages({ device: 'a', receivedMs: at(2), payload: `[{"ts":${at(1)},"t":1},{"ts":${at(2)},"t":2}]` });
    run.messages(message('a', 12, { ts: at(12), t: 3 }));
    expect(run.rollups().map((r) => r.count)).toEqual([2]);
    expect(run.cut().counts.readingsBeyond).toBe(0);
  });

  it('are let in when the bound is raised, with their next reading', () => {
    const run = new Run(options({ seriesMax: 1 })).messages(
      message('a', 1, { ts: at(1), t: 1 }),
      message('b', 1, { ts: at(1), t: 99 }),
    );
    run.restart(options({ seriesMax: 2 })).messages(message('b', 2, { ts: at(2), t: 98 }));
    expect(run.alarms().map((alarm) => [alarm.device, alarm.value])).toEqual([['b', 98]]);
  });

  it('change nothing for the others, and each is stored, however the batches fall', () => {
    const any = fc.record({
      seed: fc.nat(),
      frames: fc.integer({ min: 1, max: 25 }),
      max: fc.integer({ min: 1, max: 8 }),
    });
    fc.assert(
      fc.property(any, fc.infiniteStream(fc.boolean()), ({ seed, frames, max }, cuts) => {
        const [cut, whole, free] = [
          new Run(options({ seriesMax: max })),
          new Run(options({ seriesMax: max })),
          new Run(options()),
        ];
        for (const frame of troubledFrames(seed, frames, ['a', 'b', 'c'])) {
          for (const run of [cut, whole, free]) run.frame(frame);
          if (cuts.next().value) cut.restart();
        }
        for (const run of [cut, whole, free]) run.cut();
        const sorted = (rows: unknown[][]) => rows.map((row) => JSON.stringify(row)).sort();
        expect(sorted(cut.rows.readings)).toEqual(sorted(whole.rows.readings));
        expect([cut.rows.rollups, cut.alarmBytes, cut.counts]).toEqual([
          whole.rows.rollups,
          whole.alarmBytes,
          whole.counts,
        ]);
        expect(whole.counts.readingsDecoded - whole.counts.readingsDuplicate).toBe(whole.rows.readings.length);
        // What is known is known as it would be without a bound; of the others there is nothing.
        const known = new Set(whole.rollups().map((r) => `${r.device} ${r.metric}`));
        expect(known.size).toBeLessThanOrEqual(max);
        expect(whole.rollups()).toEqual(free.rollups().filter((r) => known.has(`${r.device} ${r.metric}`)));
        if (whole.counts.readingsBeyond === 0) expect(whole.rows).toEqual(free.rows);
      }),
      { numRuns: 40 },
    );
  });

  it('are not given again in a replay where the store has the whole frame, and are where it has a part', () => {
    const o = options({ seriesMax: 1 });
    const frame = frameOf([message('a', 1, { ts: at(1), t: 1 }), message('b', 1, { ts: at(1), t: 2, u: 3 })]);
    const rowsWhenStored = (rows: number): number => {
      const pipeline = open(o);
      const stored = { offsets: [0], rows: [rows], receivedMinMs: [at(1)], receivedMaxMs: [at(1)] };
      pipeline.process(0, frame, stored, true);
      return pipeline.take().rows.readings;
    };
    expect([rowsWhenStored(3), rowsWhenStored(2), rowsWhenStored(1)]).toEqual([0, 3, 3]);
  });
});

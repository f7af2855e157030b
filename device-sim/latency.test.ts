import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LatencyRecorder } from './latency.ts';

const latencies = fc.array(
  fc.tuple(fc.double({ min: 0.001, max: 60_000, noNaN: true }), fc.integer({ min: 1, max: 50 })),
);

describe('latencies', () => {
  it('are within a thousandth, and count as often as told', () => {
    const recorder = new LatencyRecorder();
    expect(recorder.summary()).toBeNull();
    expect(recorder.toText()).toBeNull();
    recorder.record(1, 98);
    recorder.record(50, 1);
    recorder.record(700, 1);
    const { count, p50Ms, p99Ms, maxMs } = recorder.summary()!;
    expect(count).toBe(100);
    expect(p50Ms).toBeCloseTo(1, 2);
    expect(p99Ms / 50).toBeCloseTo(1, 2);
    expect(maxMs / 700).toBeCloseTo(1, 2);
  });

  it('merged are those of one that recorded all', () => {
    fc.assert(
      fc.property(fc.array(latencies, { minLength: 1, maxLength: 4 }), (rounds) => {
        const whole = new LatencyRecorder();
        const merged = new LatencyRecorder();
        for (const round of rounds) {
          const own = new LatencyRecorder();
          for (const [ms, count] of round) {
            own.record(ms, count);
            whole.record(ms, count);
          }
          const text = own.toText();
          if (text !== null) merged.merge(text);
        }
        const [one, all] = [merged.summary(), whole.summary()];
        // The largest is known exactly only where it was recorded; elsewhere as finely as the buckets are.
        expect({ ...one, maxMs: 0 }).toEqual({ ...all, maxMs: 0 });
        if (all) expect(one!.maxMs / all.maxMs).toBeCloseTo(1, 2);
      }),
      { numRuns: 15 },
    );
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReadingBuffer } from './reading-buffer.ts';
import { SlidingSums } from './sliding-sums.ts';

const SIZE_MS = 50;

/** What the sum of a window is by definition: from the border backwards, and from the border on. */
function sumOf(readings: ReadingBuffer, begin: number, last: number): number {
  const border = readings.after(Math.floor(readings.ts(last) / SIZE_MS) * SIZE_MS - 1);
  let behind = 0;
  for (let i = border - 1; i >= begin; i--) behind += readings.value(i);
  let ahead = 0;
  for (let i = border; i <= last; i++) ahead += readings.value(i);
  return border > begin ? behind + ahead : ahead;
}

describe('sums of sliding windows', () => {
  it('are those of their readings alone, whatever was asked before, came late or was dropped', () => {
    const step = fc.record({
      /** From the newest ts: mostly ahead, now and then late. */
      byMs: fc.oneof({ weight: 8, arbitrary: fc.nat(9) }, { weight: 1, arbitrary: fc.integer({ min: -40, max: -1 }) }),
      value: fc.oneof(fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.constantFrom(0, -0, 0.1, 1e15)),
      /** How far behind the newest the window asked for ends; null asks for none. */
      back: fc.oneof(fc.constant(0), fc.constant(null), fc.nat(12)),
    });
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 120 }),
        fc.option(fc.integer({ min: 2, max: 20 })),
        (steps, room) => {
          const readings = new ReadingBuffer();
          const sums = new SlidingSums();
          let newest = 1000;
          for (const { byMs, value, back } of steps) {
            const tsMs = newest + byMs;
            if (readings.count > 0 && readings.ts(readings.count - 1) > tsMs) sums.reset();
            readings.add(tsMs, value, 0);
            newest = Math.max(newest, tsMs);
            const gone = room === null ? readings.after(newest - 3 * SIZE_MS) : Math.max(0, readings.count - room);
            readings.drop(gone);
            sums.dropped(gone);
            if (back === null) continue;
            const last = Math.max(0, readings.count - 1 - back);
            const begin = readings.after(readings.ts(last) - SIZE_MS);
            sums.over(readings, begin, last, SIZE_MS);
            const values = Array.from({ length: last - begin + 1 }, (_, i) => readings.value(begin + i));
            expect(sums.sum).toBe(sumOf(readings, begin, last));
            expect(sums.min).toBe(values.find((v) => v === Math.min(...values)));
            expect(sums.max).toBe(values.find((v) => v === Math.max(...values)));
            const absolute = values.reduce((a, b) => a + Math.abs(b), 0);
            expect(Math.abs(sums.sum - values.reduce((a, b) => a + b, 0))).toBeLessThanOrEqual(1e-12 * absolute);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

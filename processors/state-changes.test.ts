import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PatchedBytes } from '../model/patch.ts';
import { at, open, options, Run, rule, window } from './testing/run.ts';
import { frameOf } from './testing/scenario.ts';

/** More devices than a block has, of which a few are active in each frame; some never again. */
const frameArbitrary = fc.record({
  first: fc.nat(260),
  devices: fc.integer({ min: 0, max: 90 }),
  second: fc.integer({ min: 0, max: 90 }),
  late: fc.integer({ min: 0, max: 20 }),
  metric: fc.constantFrom('t', 'u'),
  value: fc.integer({ min: 20, max: 35 }),
  /** 0 nothing, 1 what has changed, 2 whole. */
  save: fc.nat(2),
  /** How much of a save is written after the frame. */
  bytes: fc.constantFrom(1, 700, 3000, 20_000, Number.POSITIVE_INFINITY),
});

const o = options({
  windows: [
    window({ outOfOrderMs: 2000, allowedLatenessMs: 8000 }),
    window({ name: 'u', sizeMs: 3000, metrics: ['u'] }),
  ],
  rules: [rule({ forMs: 1000 })],
  idleMs: 20_000,
  seq: 'n',
});

/** Whoever was silent for 16 s is forgotten, so that the numbers of the others change between two steps of a save, and between two saves. */
const forgetful: typeof o = { ...o, idleMs: 4000, stateTtlMs: 16_000 };

describe('a state saved as what has changed', () => {
  it.each([
    ['', o, 0],
    [', also when others are forgotten meanwhile', forgetful, 6],
  ])('is, upon the one before, the whole state of the moment at which it began, byte for byte%s', (_, o, frameS) => {
    let forgotten = 0;
    fc.assert(
      fc.property(fc.array(frameArbitrary, { minLength: 1, maxLength: 25 }), (steps) => {
        const changing = new Run(o);
        const whole = new Run(o);
        let kept: Uint8Array | null = null;
        let cut: Uint8Array | null = null;
        const goOn = (bytesMax: number): void => {
          const saved = cut === null ? null : changing.pipeline.saves.goOn(bytesMax);
          if (saved === null) return;
          if (saved.isChange) {
            const patched = new PatchedBytes(kept as Uint8Array);
            expect(patched.apply(saved.bytes)).toBe(true);
            kept = patched.finish();
          } else kept = saved.bytes;
          expect(kept.length).toBe(saved.stateBytes);
          expect(Buffer.from(kept).equals(Buffer.from(cut as Uint8Array))).toBe(true);
          expect(Buffer.from(open(o, kept).save()).equals(Buffer.from(kept))).toBe(true);
          cut = null;
        };
        for (const [i, step] of steps.entries()) {
          const receivedMs = at(step.second + i * frameS);
          const frame = frameOf(
            Array.from({ length: step.devices }, (_, d) => ({
              device: `d${step.first + d * 3}`,
              receivedMs,
              payload: JSON.stringify({ ts: receivedMs - step.late * 1000, [step.metric]: step.value, n: i }),
            })),
          );
          changing.frame(frame);
          whole.frame(frame);
          if (step.save !== 0) {
            // A save that takes until the next one begins is either finished or given up.
            if (step.devices % 2 === 0) goOn(Number.POSITIVE_INFINITY);
            changing.pipeline.saves.begin(step.save === 2);
            cut = whole.pipeline.save();
          }
          goOn(step.bytes);
        }
        goOn(Number.POSITIVE_INFINITY);
        forgotten += changing.pipeline.take().counts.devicesForgotten;
      }),
      { numRuns: 40 },
    );
    expect(forgotten > 0).toBe(frameS > 0);
  });

  it('is small where few of many devices were active', () => {
    const run = new Run(o);
    const message = (d: number, second: number) => ({
      ...{ device: `d${d}`, receivedMs: at(second) },
      payload: JSON.stringify({ ts: at(second), t: 21.5 }),
    });
    run.frame(frameOf(Array.from({ length: 6400 }, (_, d) => message(d, 1))));
    run.frame(frameOf([message(0, 200)]));
    const whole = run.pipeline.saves.whole();
    run.frame(frameOf([message(3000, 201), message(3001, 201)]));
    const change = run.pipeline.saves.change();
    expect(change.stateBytes).toBeGreaterThan(whole.bytes.length - 1000);
    // What is not in blocks (alarms, the ledger of this minute) is there whole each time.
    expect(change.bytes.length).toBeLessThan(whole.bytes.length / 2);
  });
});

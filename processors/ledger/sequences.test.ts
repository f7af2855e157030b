import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StateReader, StateWriter } from '../state-bytes.ts';
import { Sequences } from './sequences.ts';

function totals(values: readonly number[], sequences = new Sequences()) {
  const sum = { seen: 0, missing: 0, restarts: 0, repeated: 0 };
  for (const value of values) {
    const { kind, missing } = sequences.take(0, value);
    if (kind !== 'repeated' && kind !== 'ignored') sum.seen++;
    else sum.repeated++;
    sum.missing += kind === 'gap' ? missing : kind === 'found' ? -1 : 0;
    if (kind === 'restart') sum.restarts++;
  }
  return sum;
}

describe('numbers that devices give their messages', () => {
  it('are expected to rise by one', () => {
    expect(totals([5, 6, 7])).toEqual({ seen: 3, missing: 0, restarts: 0, repeated: 0 });
    expect(totals([5, 9, 10])).toEqual({ seen: 3, missing: 3, restarts: 0, repeated: 0 });
  });

  it('may come out of order, and more than once', () => {
    expect(totals([1, 4, 2, 3, 5])).toEqual({ seen: 5, missing: 0, restarts: 0, repeated: 0 });
    expect(totals([10, 11, 12, 11, 13, 12])).toEqual({ seen: 4, missing: 0, restarts: 0, repeated: 2 });
  });

  it('begin anew at 0 or 1, and elsewhere when two say so', () => {
    expect(totals([1, 2, 3, 0, 1, 2])).toEqual({ seen: 6, missing: 0, restarts: 1, repeated: 0 });
    expect(totals([100, 101, 1, 2])).toEqual({ seen: 4, missing: 0, restarts: 1, repeated: 0 });
    expect(totals([65_535, 65_536, 7, 8, 9])).toEqual({ seen: 4, missing: 0, restarts: 1, repeated: 1 });
    expect(totals([1, 2, 50_000_000, 50_000_001])).toEqual({ seen: 4, missing: 0, restarts: 1, repeated: 0 });
    expect(totals([1, 1.5, -3, Number.NaN, 2])).toEqual({ seen: 2, missing: 0, restarts: 0, repeated: 3 });
  });

  it('tell every gap, in whatever order they come within the window', () => {
    const runs = fc.record({
      from: fc.integer({ min: 2, max: 1e9 }),
      lost: fc.uniqueArray(fc.integer({ min: 1, max: 398 }), { maxLength: 40 }),
      shuffle: fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 400, maxLength: 400 }),
      saveAt: fc.integer({ min: 0, max: 300 }),
    });
    fc.assert(
      fc.property(runs, ({ from, lost, shuffle, saveAt }) => {
        const kept = Array.from({ length: 400 }, (_, i) => i).filter((i) => !lost.includes(i));
        // Each comes at most 20 places late; the first stays the first, since what was before it is not known.
        const order = kept
          .map((i) => ({ i, at: i === 0 ? -1 : i + shuffle[i] }))
          .sort((a, b) => a.at - b.at || a.i - b.i);
        const values = order.map(({ i }) => from + i);
        let sequences = new Sequences();
        const first = totals(values.slice(0, saveAt), sequences);
        const out = new StateWriter();
        sequences.save(out);
        sequences = new Sequences();
        sequences.restore(new StateReader(out.finish()), 1);
        const rest = totals(values.slice(saveAt), sequences);
        expect(first.missing + rest.missing).toBe(lost.length);
        expect(first.seen + rest.seen).toBe(kept.length);
        expect(first.restarts + rest.restarts + first.repeated + rest.repeated).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});

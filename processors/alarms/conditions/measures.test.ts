import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DeviationRule, RateRule, RepeatRule } from '../../../model/alarm.ts';
import { StateReader, StateWriter } from '../../state-bytes.ts';
import { type ConditionContext, NO_FACTS } from '../condition.ts';
import { ruleOf } from '../testing/rules.ts';
import { DeviationMeasure } from './deviation.ts';
import type { Measure } from './measured.ts';
import { RateMeasure } from './rate.ts';
import { RepeatMeasure } from './repeat.ts';

interface Reading {
  tsMs: number;
  value: number;
}

/** Readings in order, some of the same ts, some after a long silence. */
const readings = fc
  .array(fc.tuple(fc.constantFrom(0, 100, 1000, 1000, 1700, 9000, 70_000), fc.integer({ min: -50, max: 50 })), {
    maxLength: 60,
  })
  .map((steps) => {
    let tsMs = 1_760_000_000_000;
    return steps.map(([stepMs, value]): Reading => {
      tsMs += stepMs;
      return { tsMs, value };
    });
  });

/** What a measure gives, which is saved and restored after every third reading. */
function given(open: () => Measure, all: readonly Reading[]): number[] {
  let measure = open();
  return all.map(({ tsMs, value }, i) => {
    const result = measure.push(tsMs, value, i, 0);
    if (i % 3 === 2) {
      const out = new StateWriter();
      measure.save(out);
      measure = open();
      const from = new StateReader(out.finish());
      measure.restore(from);
      from.end();
    }
    return result;
  });
}

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  actual.forEach((value, i) => {
    if (Number.isNaN(expected[i])) expect(value).toBeNaN();
    else expect(Math.abs(value - expected[i])).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(expected[i])));
  });
}

/** Everything is looked through again for each reading. */
function each(all: readonly Reading[], judge: (until: readonly Reading[]) => number): number[] {
  return all.map((_, i) => judge(all.slice(0, i + 1)));
}

const context = { facts: NO_FACTS } as ConditionContext;

describe('measures give what all readings so far give in the plainest way', () => {
  it('rate, from one reading to the next', () => {
    const rule = ruleOf('rate', { perMs: 60_000 }) as RateRule;
    fc.assert(
      fc.property(readings, (all) => {
        const expected = each(all, (until) => {
          const [before, last] = until.slice(-2);
          if (last === undefined || last.tsMs === before.tsMs) return Number.NaN;
          return ((last.value - before.value) / (last.tsMs - before.tsMs)) * 60_000;
        });
        expectClose(
          given(() => new RateMeasure(rule), all),
          expected,
        );
      }),
    );
  });

  it('rate, as the slope of a line', () => {
    const rule = ruleOf('rate', { perMs: 1000, windowMs: 12_800 }) as RateRule;
    fc.assert(
      fc.property(readings, (all) => {
        const expected = each(all, (until) => {
          // At least 100 ms apart.
          const spaced: Reading[] = [];
          for (const one of until)
            if (spaced.length === 0 || one.tsMs - spaced[spaced.length - 1].tsMs >= 100) spaced.push(one);
          const last = until[until.length - 1];
          const points = spaced.filter(({ tsMs }) => tsMs > last.tsMs - 12_800);
          if (spaced[spaced.length - 1] !== last || points.length < 3 || last.tsMs - points[0].tsMs < 6400)
            return Number.NaN;
          const n = points.length;
          const t = points.map(({ tsMs }) => (tsMs - points[0].tsMs) / 1000);
          const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
          const tv = sum(t.map((x, i) => x * points[i].value));
          const v = sum(points.map(({ value }) => value));
          return (n * tv - sum(t) * v) / (n * sum(t.map((x) => x * x)) - sum(t) ** 2);
        });
        expectClose(
          given(() => new RateMeasure(rule), all),
          expected,
        );
      }),
    );
  });

  it('repeat, by crossings and by readings', () => {
    fc.assert(
      fc.property(readings, fc.constantFrom('crossings', 'readings'), fc.boolean(), (all, counting, up) => {
        const sides = up ? { above: 20, below: null, clear: 10 } : { above: null, below: -20, clear: -10 };
        const rule = ruleOf('repeat', { ...sides, times: 3, withinMs: 10_000, counting }) as RepeatRule;
        const expected = each(all, (until) => {
          let beyond = false;
          const times: number[] = [];
          for (const { tsMs, value } of until) {
            const isBeyond = up ? value > 20 : value < -20;
            if (isBeyond && (counting === 'readings' || !beyond)) times.push(tsMs);
            if (isBeyond) beyond = true;
            else if (up ? value <= 10 : value >= -10) beyond = false;
          }
          return Math.min(3, times.filter((ms) => ms > until[until.length - 1].tsMs - 10_000).length);
        });
        expect(given(() => new RepeatMeasure(rule, 0, context), all)).toEqual(expected);
      }),
    );
  });

  it('deviation, from mean and from median', () => {
    fc.assert(
      fc.property(
        readings,
        fc.constantFrom('zscore', 'mad'),
        fc.constantFrom('both', 'up', 'down'),
        (all, method, direction) => {
          const rule = ruleOf('deviation', {
            method,
            direction,
            windowMs: 25_600,
            samplesMin: 4,
            spreadMin: 0.5,
          }) as DeviationRule;
          const expected = each(all, (until) => {
            const spaced: Reading[] = [];
            const past = until.slice(0, -1);
            // What is left of the history when a reading comes decides whether it is far enough from the last of it.
            for (const one of past) {
              const last = spaced[spaced.length - 1];
              if (last === undefined || one.tsMs - last.tsMs >= 100) spaced.push(one);
            }
            const { tsMs, value } = until[until.length - 1];
            const values = spaced.filter((one) => one.tsMs > tsMs - 25_600).map((one) => one.value);
            if (values.length < 4) return Number.NaN;
            const middle = (numbers: number[]) => {
              const sorted = [...numbers].sort((a, b) => a - b);
              return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
            };
            const mean = values.reduce((a, b) => a + b, 0) / values.length;
            const centre = method === 'zscore' ? mean : middle(values);
            const spread =
              method === 'zscore'
                ? Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / (values.length - 1))
                : middle(values.map((v) => Math.abs(v - centre))) * 1.4826;
            const z = (value - centre) / Math.max(spread, 0.5);
            return direction === 'both' ? Math.abs(z) : direction === 'up' ? z : -z;
          });
          expectClose(
            given(() => new DeviationMeasure(rule), all),
            expected,
          );
        },
      ),
    );
  });
});

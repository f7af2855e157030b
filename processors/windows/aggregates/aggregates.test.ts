import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AggregateSpec } from '../../../model/window.ts';
import { StateReader, StateWriter } from '../../state-bytes.ts';
import { type AggregateSet, aggregateSet } from './aggregate-set.ts';
import { EXACT_MAX } from './distinct.ts';
import { SAMPLES_MAX } from './in-order.ts';
import { BINS_MAX } from './percentiles.ts';

interface Reading {
  ts: number;
  value: number;
}

const PERCENTS = [0, 1, 50, 95, 99.9, 100];
const BOUNDS = [-1, 0, 2.5, 100];
const ALL: AggregateSpec[] = [
  { kind: 'stddev' },
  { kind: 'delta' },
  { kind: 'rate' },
  { kind: 'time_avg' },
  { kind: 'distinct' },
  ...PERCENTS.map((percent) => ({ kind: 'percentile', percent }) as const),
  { kind: 'histogram', bounds: BOUNDS },
];

/** What the readings of one series come to, in the plainest way. */
function oracle(readings: readonly Reading[]): Map<string, number> {
  const sorted = [...readings].sort((a, b) => a.ts - b.ts || a.value - b.value);
  const values = sorted.map((r) => r.value).sort((a, b) => a - b);
  const n = values.length;
  const all = new Map<string, number>();
  const mean = values.reduce((a, b) => a + b, 0) / n;
  if (n > 1) all.set('stddev', Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / (n - 1)));
  const first = readings.find((r) => r.ts === sorted[0].ts) as Reading;
  const last = readings.find((r) => r.ts === sorted[n - 1].ts) as Reading;
  all.set('delta', last.value - first.value);
  const spanMs = sorted[n - 1].ts - sorted[0].ts;
  let up = 0;
  let held = 0;
  for (let i = 1; i < n; i++) {
    const [from, to] = [sorted[i - 1], sorted[i]];
    up += to.value < from.value ? to.value : to.value - from.value;
    held += from.value * (to.ts - from.ts);
  }
  if (spanMs > 0) all.set('rate', up / (spanMs / 1000));
  all.set('time_avg', spanMs > 0 ? held / spanMs : sorted[n - 1].value);
  all.set('distinct', new Set(values.map((v) => v + 0)).size);
  for (const p of PERCENTS) all.set(`p${p}`, values[Math.floor((p * (n - 1)) / 100)]);
  for (const bound of BOUNDS) all.set(`le_${bound}`, values.filter((v) => v <= bound).length);
  all.set('le_inf', n);
  return all;
}

function expectAlmost(found: ReadonlyMap<string, number>, wanted: Map<string, number>, scale: number): void {
  expect([...found.keys()].sort()).toEqual([...wanted.keys()].sort());
  for (const [name, value] of wanted) {
    const got = found.get(name) as number;
    if (/^p/.test(name)) expect(Math.abs(got - value), name).toBeLessThanOrEqual(Math.abs(value) * 0.010001);
    else if (/^le|distinct/.test(name)) expect(got, name).toBe(value);
    else expect(Math.abs(got - value), `${name} ${got} ${value}`).toBeLessThanOrEqual(1e-9 * scale);
  }
}

/** Rows side by side in one column, as windows hold them. */
function column(set: AggregateSet, rows: number): Float64Array {
  const state = new Float64Array(set.width * rows).fill(Number.NaN);
  for (let row = 0; row < rows; row++) set.begin(state, row * set.width);
  return state;
}

function extraOf(set: AggregateSet, state: Float64Array, row: number): ReadonlyMap<string, number> {
  return set.result(state, row * set.width).extra as ReadonlyMap<string, number>;
}

function saved(set: AggregateSet, state: Float64Array, row: number): Uint8Array {
  const out = new StateWriter();
  set.save(state, row * set.width, out);
  return out.finish();
}

const value = fc.oneof(
  fc.integer({ min: -5, max: 120 }),
  // Magnitudes further apart than a sketch has bins are another test's.
  fc.double({ min: -1000, max: 1000, noNaN: true }).map((v) => (Math.abs(v) < 1e-20 ? 0 : v)),
  fc.constantFrom(0, -0, 1e-9, -1e-9),
);
const reading = fc.record({ ts: fc.integer({ min: 0, max: 300 }).map((t) => 1.7e12 + t * 100), value });
const readings = fc.array(reading, { minLength: 1, maxLength: 120 });

describe('further aggregates', () => {
  it('give what sorted readings give, in whatever order they came, with times alike, and merged from any parts', () => {
    fc.assert(
      fc.property(readings, fc.infiniteStream(fc.nat(3)), (all, parts) => {
        const set = aggregateSet(ALL);
        const state = column(set, 6);
        const groups: Reading[][] = [[], [], [], []];
        for (const r of all) {
          set.push(state, 0, r.value, r.ts);
          const part = parts.next().value as number;
          groups[part].push(r);
          set.push(state, (1 + part) * set.width, r.value, r.ts);
        }
        expectAlmost(extraOf(set, state, 0), oracle(all), 1e6);
        for (const part of [1, 2, 3, 4]) set.merge(state, 5 * set.width, state, part * set.width);
        // Of equal times the first that arrived is first and last; merged parts arrive one after another.
        expectAlmost(extraOf(set, state, 5), oracle(groups.flat()), 1e6);
      }),
      { numRuns: 300 },
    );
  });

  it('do not depend on the order of arrival, to the bit, but for what rounding leaves of stddev', () => {
    fc.assert(
      fc.property(readings, (all) => {
        const distinctTimes = [...new Map(all.map((r) => [r.ts, r])).values()];
        const set = aggregateSet(ALL);
        const state = column(set, 2);
        for (const r of distinctTimes) set.push(state, 0, r.value, r.ts);
        for (const r of [...distinctTimes].reverse()) set.push(state, set.width, r.value, r.ts);
        const [a, b] = [new Map(extraOf(set, state, 0)), new Map(extraOf(set, state, 1))];
        a.delete('stddev');
        b.delete('stddev');
        expect(a).toEqual(b);
      }),
      { numRuns: 200 },
    );
  });

  it('are the same after a save and a restore, and go on the same', () => {
    fc.assert(
      fc.property(readings, readings, (before, after) => {
        const set = aggregateSet(ALL);
        const state = column(set, 1);
        for (const r of before) set.push(state, 0, r.value, r.ts);
        const bytes = saved(set, state, 0);
        const other = aggregateSet(ALL);
        const restored = new Float64Array(other.width).fill(Number.NaN);
        const from = new StateReader(bytes);
        other.restore(restored, 0, from);
        from.end();
        expect(saved(other, restored, 0)).toEqual(bytes);
        for (const r of after) {
          set.push(state, 0, r.value, r.ts);
          other.push(restored, 0, r.value, r.ts);
        }
        expect(other.result(restored, 0)).toEqual(set.result(state, 0));
        expect(saved(other, restored, 0)).toEqual(saved(set, state, 0));
      }),
      { numRuns: 100 },
    );
  });

  it('refuse a damaged state as unreadable, and never fail otherwise', () => {
    const set = aggregateSet(ALL);
    const state = column(set, 1);
    for (let i = 0; i < 200; i++) set.push(state, 0, (i * 37) % 91, 1.7e12 + i);
    const bytes = saved(set, state, 0);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.boolean(), (at, byte, cut) => {
        const damaged = cut ? bytes.slice(0, at) : bytes.slice();
        if (!cut) damaged[at] = byte;
        const other = aggregateSet(ALL);
        const row = new Float64Array(other.width);
        try {
          other.restore(row, 0, new StateReader(damaged));
        } catch (error) {
          expect(error).toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
        }
      }),
      { numRuns: 500 },
    );
  });

  it('give their memory back, and take it again', () => {
    const set = aggregateSet(ALL);
    const rows = 50;
    const state = column(set, rows);
    let most = 0;
    for (let round = 0; round < 20; round++) {
      for (let row = 0; row < rows; row++)
        for (let i = 0; i < 100; i++) set.push(state, row * set.width, i % 40, 1.7e12 + i);
      for (let row = 0; row < rows; row++) {
        expectAlmost(
          extraOf(set, state, row),
          oracle(Array.from({ length: 100 }, (_, i) => ({ ts: i, value: i % 40 }))),
          1,
        );
        set.release(state, row * set.width);
        set.begin(state, row * set.width);
      }
      if (round === 0) most = set.bytes;
      expect(set.bytes).toBe(most);
    }
    expect(most).toBeGreaterThan(rows * 100 * 16);
    expect(most).toBeLessThan(2_000_000);
  });

  it('say nothing of what is not defined', () => {
    const set = aggregateSet(ALL);
    const state = column(set, 1);
    set.push(state, 0, 7, 1000);
    const one = extraOf(set, state, 0);
    expect(one.has('stddev')).toBe(false);
    expect(one.has('rate')).toBe(false);
    expect(one.get('time_avg')).toBe(7);
    expect(one.get('delta')).toBe(0);
    set.push(state, 0, 7, 1000);
    expect(extraOf(set, state, 0).get('stddev')).toBe(0);
    for (const found of extraOf(set, state, 0).values()) expect(Number.isFinite(found)).toBe(true);
  });
});

describe('a group', () => {
  it('adds up deltas and rates of its series, and averages over the time of all of them', () => {
    fc.assert(
      fc.property(fc.array(readings, { minLength: 1, maxLength: 5 }), (series) => {
        const set = aggregateSet(ALL);
        const state = column(set, series.length + 1);
        for (const [i, own] of series.entries()) {
          for (const r of own) set.push(state, (i + 1) * set.width, r.value, r.ts);
          set.join(state, 0, state, (i + 1) * set.width);
        }
        const found = new Map(extraOf(set, state, 0));
        const each = series.map(oracle);
        const sum = (name: string) => each.reduce((total, own) => total + (own.get(name) ?? 0), 0);
        const wanted = oracle(series.flat());
        wanted.set('delta', sum('delta'));
        if (each.some((own) => own.has('rate'))) wanted.set('rate', sum('rate'));
        else wanted.delete('rate');
        const spans = series.map((own) => Math.max(...own.map((r) => r.ts)) - Math.min(...own.map((r) => r.ts)));
        const total = spans.reduce((a, b) => a + b, 0);
        const held = each.reduce((area, own, i) => area + (own.get('time_avg') as number) * spans[i], 0);
        wanted.set('time_avg', total > 0 ? held / total : sum('time_avg') / series.length);
        expectAlmost(found, wanted, 1e6);
      }),
      { numRuns: 200 },
    );
  });
});

describe('rate and time_avg beyond what is kept', () => {
  const SPECS: AggregateSpec[] = [{ kind: 'rate' }, { kind: 'time_avg' }];
  const at = (i: number): Reading => ({ ts: i * 100, value: (i * 7) % 1000 });
  const wanted = (all: readonly Reading[]) => {
    const full = oracle(all);
    return new Map(['rate', 'time_avg'].map((name) => [name, full.get(name) as number]));
  };

  it('are exact while no reading is further behind than half of it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 * SAMPLES_MAX }), fc.infiniteStream(fc.nat(400)), (count, behind) => {
        const all = Array.from({ length: count }, (_, i) => at(i));
        const order = all
          .map((r, i) => ({ r, key: i + (behind.next().value as number) }))
          .sort((a, b) => a.key - b.key)
          .map(({ r }) => r);
        const set = aggregateSet(SPECS);
        const state = column(set, 1);
        for (const r of order) set.push(state, 0, r.value, r.ts);
        if (count > 1) expectAlmost(extraOf(set, state, 0), wanted(all), 1e6);
      }),
      { numRuns: 20 },
    );
  });

  it('tell how many readings were left out', () => {
    const set = aggregateSet(SPECS);
    const state = column(set, 1);
    const all = Array.from({ length: SAMPLES_MAX + 10 }, (_, i) => at(i + 5));
    for (const r of all) set.push(state, 0, r.value, r.ts);
    set.push(state, 0, 3, 0);
    set.push(state, 0, 3, 5);
    const found = new Map(extraOf(set, state, 0));
    expect(found.get('left_out')).toBe(2);
    found.delete('left_out');
    expectAlmost(found, wanted(all), 1e6);
  });

  it('merge exactly when parts do not overlap in time, in any order and of any size', () => {
    const sizes = fc.array(fc.constantFrom(1, 3, 100, SAMPLES_MAX - 1, SAMPLES_MAX, SAMPLES_MAX + 1, 10_000), {
      minLength: 2,
      maxLength: 4,
    });
    fc.assert(
      fc.property(sizes, fc.infiniteStream(fc.nat()), (lengths, random) => {
        const set = aggregateSet(SPECS);
        const state = column(set, lengths.length + 1);
        let next = 0;
        const all: Reading[] = [];
        for (const [i, length] of lengths.entries()) {
          for (let j = 0; j < length; j++) {
            const r = at(next++);
            all.push(r);
            set.push(state, (i + 1) * set.width, r.value, r.ts);
          }
        }
        // Neighbours first, or what lies between two would find them merged already.
        const start = (random.next().value as number) % lengths.length;
        const order = [start];
        for (let low = start - 1, high = start + 1; low >= 0 || high < lengths.length; ) {
          if (low >= 0 && (high >= lengths.length || (random.next().value as number) % 2 === 0)) order.push(low--);
          else order.push(high++);
        }
        for (const i of order) {
          set.merge(state, 0, state, (i + 1) * set.width);
          const other = aggregateSet(SPECS);
          const row = new Float64Array(other.width);
          other.restore(row, 0, new StateReader(saved(set, state, 0)));
          expect(other.result(row, 0)).toEqual(set.result(state, 0));
        }
        expectAlmost(extraOf(set, state, 0), wanted(all), 1e9);
      }),
      { numRuns: 40 },
    );
  });
});

describe('sketches', () => {
  it('hold 1 % over all magnitudes that a double has, of one sign up to their bins', () => {
    const wide = fc.array(
      fc.tuple(fc.integer({ min: -17, max: 16 }), fc.double({ min: 1, max: 9, noNaN: true }), fc.boolean()),
      { minLength: 1, maxLength: 300 },
    );
    fc.assert(
      fc.property(wide, fc.integer({ min: -250, max: 250 }), (parts, shift) => {
        const values = parts.map(([e, m, negative]) => (negative ? -1 : 1) * m * 10 ** (e + shift));
        const set = aggregateSet(PERCENTS.map((percent) => ({ kind: 'percentile', percent })));
        const state = column(set, 1);
        for (const v of values) set.push(state, 0, v, 0);
        const sorted = [...values].sort((a, b) => a - b);
        for (const p of PERCENTS) {
          const exact = sorted[Math.floor((p * (values.length - 1)) / 100)];
          const got = extraOf(set, state, 0).get(`p${p}`) as number;
          expect(Math.abs(got - exact)).toBeLessThanOrEqual(Math.abs(exact) * 0.010001);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('beyond their bins give up the smallest magnitudes only, the same in any order', () => {
    const values = Array.from({ length: 600 }, (_, i) => 10 ** (i - 300));
    const set = aggregateSet([50, 95, 100].map((percent) => ({ kind: 'percentile', percent })));
    const state = column(set, 3);
    for (const v of values) set.push(state, 0, v, 0);
    for (const v of [...values].reverse()) set.push(state, set.width, v, 0);
    for (const [i, v] of values.entries()) {
      const half = column(set, 1);
      set.push(half, 0, v, 0);
      set.merge(state, 2 * set.width, half, 0);
      if (i % 7 === 0) set.push(state, 2 * set.width, v, 0);
      set.release(half, 0);
    }
    expect(extraOf(set, state, 0)).toEqual(extraOf(set, state, 1));
    expect(Math.abs((extraOf(set, state, 0).get('p95') as number) / 1e269 - 1)).toBeLessThan(0.0101);
    expect(extraOf(set, state, 0).get('p50')).toBeLessThan(1e299 / 10 ** (BINS_MAX * 0.0086));
  });

  it('count different values exactly up to a number, and beyond it within three standard errors', () => {
    for (const count of [1, 10, EXACT_MAX, EXACT_MAX + 1, 1000, 5000, 20_000, 100_000, 500_000]) {
      for (const [name, make] of [
        ['whole numbers', (i: number) => i],
        ['steps of a hundredth', (i: number) => -20 + i / 100],
        ['large', (i: number) => 1.7e12 + i * 1000],
      ] as const) {
        const set = aggregateSet([{ kind: 'distinct' }]);
        const state = column(set, 3);
        for (let i = 0; i < count; i++) {
          set.push(state, 0, make(i), i);
          set.push(state, (i % 3 === 0 ? 1 : 2) * set.width, make(i), i);
        }
        const found = extraOf(set, state, 0).get('distinct') as number;
        if (count <= EXACT_MAX) expect(found).toBe(count);
        else expect(Math.abs(found / count - 1), `${count} ${name}: ${found}`).toBeLessThan(3 * (1.04 / 64));
        // The state is of the set of values: parts give the same, whichever takes in which.
        set.merge(state, set.width, state, 2 * set.width);
        expect(extraOf(set, state, 1).get('distinct')).toBe(found);
      }
    }
  });
});

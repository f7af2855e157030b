import { describe, expect, it } from 'vitest';
import { integer, oneOf, text, texts, time, timeRange } from './params.ts';

describe('query parameters', () => {
  it('take what they should', () => {
    expect(integer({ limit: '12' }, 'limit', { min: 1, max: 50, otherwise: 5 })).toBe(12);
    expect(integer({}, 'limit', { min: 1, max: 50, otherwise: 5 })).toBe(5);
    expect(text({ search: 'a' }, 'search')).toBe('a');
    expect(texts({ metric: ['a', 'b', 'a'] }, 'metric', 8)).toEqual(['a', 'b']);
    expect(texts({ metric: 'a' }, 'metric', 8)).toEqual(['a']);
    expect(oneOf({ state: 'all' }, 'state', ['open', 'all'], 'open')).toBe('all');
    expect(time({ from: '1700000000000' }, 'from', 0)).toBe(1_700_000_000_000);
    expect(time({ from: '2026-01-31T12:00:00Z' }, 'from', 0)).toBe(Date.UTC(2026, 0, 31, 12));
    expect(timeRange({}, 10_000, 4_000)).toEqual({ fromMs: 6_000, toMs: 10_000 });
  });

  it.each([
    [() => integer({ limit: '0' }, 'limit', { min: 1, max: 50, otherwise: 5 }), /limit is "0"/],
    [() => integer({ limit: '1e3' }, 'limit', { min: 1, max: 5000, otherwise: 5 }), /limit is "1e3"/],
    [() => integer({ limit: '99999999999999999999' }, 'limit', { min: 1, max: 50, otherwise: 5 }), /limit/],
    [() => text({ search: ['a', 'b'] }, 'search'), /search/],
    [() => text({ search: 'x'.repeat(513) }, 'search'), /search/],
    [() => texts({ metric: 'abcdefghi'.split('') }, 'metric', 8), /metric is 9/],
    [() => oneOf({ state: 'shut' }, 'state', ['open', 'all'], 'open'), /state is "shut"/],
    [() => time({ from: 'yesterday' }, 'from', 0), /from is "yesterday"/],
    [() => time({ from: '99999999999999' }, 'from', 0), /from/],
    [() => timeRange({ from: '5', to: '5' }, 10, 1), /from/],
  ])('refuse what they should not, and say what would be right (%#)', (run, message) => {
    let thrown: unknown;
    try {
      run();
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'INPUT_INVALID', message: expect.stringMatching(message) });
    expect((thrown as { remedy: string }).remedy).toMatch(/^give /);
  });
});

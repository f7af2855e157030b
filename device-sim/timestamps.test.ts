import fc from 'fast-check';
import { expect, it } from 'vitest';
import { timeOf } from './timestamps.ts';

it('reads epochs in s, ms, µs and ns by their magnitude', () => {
  const ms = 1_700_000_000_123;
  expect(timeOf('1700000000')).toBe(1_700_000_000_000);
  expect(timeOf('1700000000.123')).toBe(ms);
  expect(timeOf(String(ms))).toBe(ms);
  expect(timeOf(`${ms}456`)).toBe(ms);
  expect(timeOf(`${ms}456789`)).toBe(ms);
  expect(timeOf('0')).toBe(0);
  expect(timeOf('-1')).toBe(-1000);
  fc.assert(
    fc.property(fc.integer({ min: 1e11, max: 4e12 }), (t) => {
      expect(timeOf(String(t))).toBe(t);
      expect(timeOf(`${t}000`)).toBe(t);
      expect(timeOf(`${t}000000`)).toBe(t);
      expect(timeOf(new Date(t).toISOString())).toBe(t);
    }),
  );
});

it('reads ISO 8601, without a zone as UTC', () => {
  const t = Date.UTC(2024, 1, 29, 13, 5, 7, 250);
  expect(timeOf('2024-02-29T13:05:07.25Z')).toBe(t);
  expect(timeOf('2024-02-29 13:05:07.250')).toBe(t);
  expect(timeOf('2024-02-29T15:05:07,250+02:00')).toBe(t);
  expect(timeOf('2024-02-29T15:05:07.2509999+0200')).toBe(t);
  expect(timeOf(' 2024-02-29 ')).toBe(Date.UTC(2024, 1, 29));
  expect(timeOf('2024-02-29T13:05')).toBe(Date.UTC(2024, 1, 29, 13, 5));
});

it('takes nothing else for a time', () => {
  for (const text of [
    '',
    'now',
    '2023-02-29',
    '2024-13-01',
    '2024-01-01T25:00',
    '29.02.2024',
    '1e12',
    'NaN',
    '12:00',
    '9'.repeat(25),
  ]) {
    expect([text, timeOf(text)]).toEqual([text, null]);
  }
});

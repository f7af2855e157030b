import { describe, expect, it } from 'vitest';
import { age, axisTime, bytesPerSecond, count, duration, inputTime, measure, rate } from './format.ts';

describe('numbers and times for people', () => {
  it.each([
    [rate(null), '–'],
    [rate(0), '0'],
    [rate(0.4), '0.4'],
    [rate(12.4), '12'],
    [rate(123_456.7), '123,457'],
    [count(1_234_567), '1.23 M'],
    [count(2_500_000_000), '2.50 G'],
    [measure(21.5), '21.5'],
    [measure(546.0449), '546.04'],
    [measure(48_123.6), '48,124'],
    [measure(-0.00001234), '-1.234e-5'],
    [measure(Number.NaN), '–'],
    [bytesPerSecond(1_234_567), '1.2 MB/s'],
    [duration(340), '340 ms'],
    [duration(2_400), '2.4 s'],
    [duration(192_000), '3 min 12 s'],
    [duration(7_500_000), '2 h 5 min'],
    [duration(356_400_000), '4 d 3 h'],
    [age(500), 'now'],
    [age(61_000), '1 min'],
    [age(90_000_000), '1 d'],
  ])('%s', (got, want) => expect(got).toBe(want));

  it('label a time axis by what its steps need', () => {
    const at = new Date(2026, 4, 7, 14, 3, 9).getTime();
    expect(axisTime(at, 5)).toBe('14:03:09');
    expect(axisTime(at, 600)).toBe('14:03');
    expect(axisTime(new Date(2026, 4, 8).getTime(), 10_800)).toBe('8 May');
    expect(axisTime(at, 86_400)).toBe('7 May');
    expect(inputTime(at)).toBe('2026-05-07T14:03:09');
  });
});

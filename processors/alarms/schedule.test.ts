import { describe, expect, it } from 'vitest';
import type { Schedule } from '../../model/alarm.ts';
import { OpeningHours } from './schedule.ts';

const schedule = (over: Partial<Schedule> = {}): Schedule => ({
  timeZone: 'Europe/Berlin',
  days: [1, 2, 3, 4, 5],
  fromMinute: 8 * 60,
  toMinute: 17 * 60,
  holidays: [],
  outside: false,
  ...over,
});

/** The UTC times, at a step of a minute, at which it opens and closes. */
function changes(hours: OpeningHours, from: string, to: string): string[] {
  const found: string[] = [];
  let before = hours.isOpen(Date.parse(from));
  for (let ms = Date.parse(from); ms <= Date.parse(to); ms += 60_000) {
    const open = hours.isOpen(ms);
    if (open !== before) found.push(`${open ? 'opens' : 'closes'} ${new Date(ms).toISOString().slice(0, 16)}`);
    before = open;
  }
  return found;
}

describe('a schedule', () => {
  it('keeps to the clock of its place over both changes of daylight saving time', () => {
    const daily = new OpeningHours(schedule({ days: [1, 2, 3, 4, 5, 6, 7] }));
    // 29 March and 25 October 2026, 01:00 UTC.
    expect(changes(daily, '2026-03-28T00:00Z', '2026-03-30T00:00Z')).toEqual([
      'opens 2026-03-28T07:00',
      'closes 2026-03-28T16:00',
      'opens 2026-03-29T06:00',
      'closes 2026-03-29T15:00',
    ]);
    expect(changes(daily, '2026-10-24T00:00Z', '2026-10-26T00:00Z')).toEqual([
      'opens 2026-10-24T06:00',
      'closes 2026-10-24T15:00',
      'opens 2026-10-25T07:00',
      'closes 2026-10-25T16:00',
    ]);
  });

  it('is an hour shorter or longer where the change lies within it', () => {
    const nights = new OpeningHours(schedule({ days: [6], fromMinute: 22 * 60, toMinute: 6 * 60 }));
    expect(changes(nights, '2026-03-28T12:00Z', '2026-03-29T12:00Z')).toEqual([
      'opens 2026-03-28T21:00',
      'closes 2026-03-29T04:00',
    ]);
    expect(changes(nights, '2026-10-24T12:00Z', '2026-10-25T12:00Z')).toEqual([
      'opens 2026-10-24T20:00',
      'closes 2026-10-25T05:00',
    ]);
  });

  it('follows offsets that are no whole hours, and change by half of one', () => {
    const hours = new OpeningHours(schedule({ timeZone: 'Australia/Lord_Howe', days: [1, 2, 3, 4, 5, 6, 7] }));
    // From +11 to +10:30 on 5 April 2026.
    expect(changes(hours, '2026-04-03T18:00Z', '2026-04-05T12:00Z')).toEqual([
      'opens 2026-04-03T21:00',
      'closes 2026-04-04T06:00',
      'opens 2026-04-04T21:30',
      'closes 2026-04-05T06:30',
    ]);
  });

  it('leaves out holidays and other days, a night belonging to the day on which it begins', () => {
    const hours = new OpeningHours(
      schedule({ timeZone: 'UTC', fromMinute: 22 * 60, toMinute: 6 * 60, holidays: ['2026-12-25'] }),
    );
    // Thursday 24 to Sunday 27 December.
    expect(changes(hours, '2026-12-24T12:00Z', '2026-12-28T00:00Z')).toEqual([
      'opens 2026-12-24T22:00',
      'closes 2026-12-25T06:00',
    ]);
  });

  it('can be the whole day, and the time outside', () => {
    const whole = new OpeningHours(schedule({ timeZone: 'UTC', fromMinute: 0, toMinute: 0 }));
    // Friday 2 January.
    expect(changes(whole, '2026-01-02T00:00Z', '2026-01-05T12:00Z')).toEqual([
      'closes 2026-01-03T00:00',
      'opens 2026-01-05T00:00',
    ]);
    const outside = new OpeningHours(schedule({ timeZone: 'UTC', outside: true }));
    expect(changes(outside, '2026-01-02T00:00Z', '2026-01-03T00:00Z')).toEqual([
      'closes 2026-01-02T08:00',
      'opens 2026-01-02T17:00',
    ]);
  });

  it('says the same whatever was asked before', () => {
    const asked = new OpeningHours(schedule());
    for (let i = 0; i < 500; i++) {
      const ms = Date.UTC(2026, 9, 24) + ((i * 7_919_333) % 259_200_000);
      expect(asked.isOpen(ms)).toBe(new OpeningHours(schedule()).isOpen(ms));
    }
  });
});

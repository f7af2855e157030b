import type { Schedule } from '../../model/alarm.ts';

/**
 * Whether a schedule is open at a moment, by the clock of its place: daylight saving time is that of the runtime's time zone
 * database. Offsets from UTC change at quarters of an hour at the finest, so one question of the database serves a quarter.
 */
export class OpeningHours {
  readonly #schedule: Schedule;
  readonly #format: Intl.DateTimeFormat;
  readonly #days: ReadonlySet<number>;
  readonly #holidays: ReadonlySet<string>;
  #quarter = Number.NaN;
  /** At the beginning of that quarter, local time. */
  #minute = 0;
  #isDay = false;
  #wasDay = false;

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
    this.#days = new Set(schedule.days);
    this.#holidays = new Set(schedule.holidays);
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone: schedule.timeZone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
    });
  }

  isOpen(ms: number): boolean {
    const quarter = Math.floor(ms / QUARTER_MS);
    if (quarter !== this.#quarter) this.#look(quarter);
    const minute = this.#minute + (ms - quarter * QUARTER_MS) / 60_000;
    const { fromMinute, toMinute, outside } = this.#schedule;
    const overnight = toMinute <= fromMinute;
    const open = overnight
      ? (this.#isDay && minute >= fromMinute) || (this.#wasDay && minute < toMinute)
      : this.#isDay && minute >= fromMinute && minute < toMinute;
    return open !== outside;
  }

  #look(quarter: number): void {
    const parts = new Map(this.#format.formatToParts(quarter * QUARTER_MS).map(({ type, value }) => [type, value]));
    const number = (name: Intl.DateTimeFormatPartTypes): number => Number(parts.get(name));
    const today = Date.UTC(number('year'), number('month') - 1, number('day'));
    this.#quarter = quarter;
    this.#minute = number('hour') * 60 + number('minute');
    this.#isDay = this.#counts(today);
    this.#wasDay = this.#counts(today - DAY_MS);
  }

  /** Whether a date, given by its midnight in UTC, is a day of the schedule. */
  #counts(midnightMs: number): boolean {
    const date = new Date(midnightMs);
    return this.#days.has(date.getUTCDay() || 7) && !this.#holidays.has(date.toISOString().slice(0, 10));
  }
}

const DAY_MS = 86_400_000;
const QUARTER_MS = 900_000;

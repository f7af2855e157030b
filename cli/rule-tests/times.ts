import { isoToMs, numberToMs } from '../../processors/decode/time.ts';

/** Times of rule tests: a time of day on the test's date, ISO 8601, or an epoch. All of them are UTC. */

const OF_DAY = /^(\d{1,3}):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?$/;

/** The day that times of day are on unless a test says otherwise: a Monday, 2026-01-05. */
export const DATE_DEFAULT_MS = Date.UTC(2026, 0, 5);

const DAY_MS = 86_400_000;

/** A smaller number is something else than an epoch, by mistake. */
const EPOCH_MIN = 1e9;

/** Milliseconds, or null for what is no time. Hours from 24 on are those of the next days. */
export function parseTime(value: unknown, dateMs: number): number | null {
  if (typeof value === 'number') {
    const ms = numberToMs(value);
    return value >= EPOCH_MIN ? ms : null;
  }
  if (typeof value !== 'string') return null;
  const match = OF_DAY.exec(value);
  if (match === null) {
    const ms = isoToMs(value);
    return ms >= 0 ? ms : null;
  }
  const [, hours, minutes, seconds = '0', fraction = ''] = match;
  if (Number(minutes) > 59 || Number(seconds) > 59) return null;
  const ms = Number(`${fraction}000`.slice(0, 3));
  return dateMs + ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000 + ms;
}

/** As short as it can be read back: a time of day on the date itself and the day after it. */
export function formatTime(ms: number, dateMs: number): string {
  const sinceMs = ms - dateMs;
  if (sinceMs < 0 || sinceMs >= 2 * DAY_MS) return new Date(ms).toISOString();
  const two = (n: number): string => String(n).padStart(2, '0');
  const whole = Math.floor(sinceMs / 1000);
  const fraction = sinceMs % 1000 === 0 ? '' : `.${String(sinceMs % 1000).padStart(3, '0')}`;
  return `${two(Math.floor(whole / 3600))}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}${fraction}`;
}

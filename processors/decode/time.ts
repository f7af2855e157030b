/**
 * Times of devices. A number is an epoch in s, ms, µs or ns, told by its magnitude. The borders are 2001-09-09T01:46:40Z in
 * the finer unit, so that every time of the years 2001 to 2199 is read as what it is, and a time of the year 9999 is out of
 * range in every unit instead of being taken for another unit:
 *
 *     |x| < 1e12  s   ·   < 1e15  ms   ·   < 1e18  µs   ·   else ns
 *
 * Milliseconds of before 2001 are therefore not told apart from seconds; they can be written as ISO 8601.
 */

/** The end (exclusive) of the times that are taken: 2200-01-01. */
export const TS_END_MS = 7_258_118_400_000;

/** The time is not a time. */
export const TS_INVALID = -1;
/** The time is one, and outside of 1970 … 2199. */
export const TS_OUT_OF_RANGE = -2;

/** Epoch in s, ms, µs or ns to ms (whole; seconds are rounded, finer units cut), or TS_OUT_OF_RANGE. */
export function numberToMs(x: number): number {
  let ms: number;
  if (x < 1e12) ms = Math.round(x * 1000);
  else if (x < 1e15) ms = Math.floor(x);
  else if (x < 1e18) ms = Math.floor(x / 1e3);
  else ms = Math.floor(x / 1e6);
  return x >= 0 && ms < TS_END_MS ? ms + 0 : TS_OUT_OF_RANGE;
}

const ISO =
  /^(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,12}))?)?(?:([Zz])|([+-])(\d\d):?(\d\d)?)?)?$/;

/**
 * ISO 8601 date, or date and time, to ms. Without a zone it is UTC: what a reading means must not depend on where the
 * program runs. Fractions finer than a ms are cut.
 */
export function isoToMs(text: string): number {
  if (text.length < 10 || text.length > 48) return TS_INVALID;
  const m = ISO.exec(text);
  if (m === null) return TS_INVALID;
  const year = Number(m[1]);
  const month = Number(m[2]);
  const day = Number(m[3]);
  const hour = Number(m[4] ?? 0);
  const minute = Number(m[5] ?? 0);
  const second = Number(m[6] ?? 0);
  const zoneHour = Number(m[10] ?? 0);
  const zoneMinute = Number(m[11] ?? 0);
  if (hour > 23 || minute > 59 || second > 59 || zoneHour > 23 || zoneMinute > 59) return TS_INVALID;
  if (month < 1 || month > 12 || day < 1 || day > daysOf(year, month)) return TS_INVALID;
  const fractionMs = Number(`${m[7] ?? ''}000`.slice(0, 3));
  const zoneMs = (m[9] === '-' ? -1 : 1) * (zoneHour * 60 + zoneMinute) * 60_000;
  // Years below 100 mean 19xx to Date.UTC; they are out of range either way.
  if (year < 1900) return TS_OUT_OF_RANGE;
  const ms = Date.UTC(year, month - 1, day, hour, minute, second, fractionMs) - zoneMs;
  return ms >= 0 && ms < TS_END_MS ? ms : TS_OUT_OF_RANGE;
}

function daysOf(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/**
 * Times as measurement files write them. A number is an epoch, its unit told by its magnitude: below 10^11 seconds (the year 5138),
 * below 10^14 milliseconds, below 10^17 microseconds, nanoseconds from there. Text is ISO 8601 or RFC 3339, with a `T` or a blank;
 * without a zone it is UTC.
 */
const EPOCH = /^-?\d+(\.\d+)?$/;
const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?(Z|[+-]\d\d:?\d\d)?)?$/i;

/** Milliseconds since 1970, whole; null when the text is not a time. */
export function timeOf(text: string): number | null {
  const trimmed = text.trim();
  if (EPOCH.test(trimmed)) return epochMs(trimmed);
  const match = ISO.exec(trimmed);
  if (!match) return null;
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', zone = 'Z'] = match;
  const zoneText = /^z$/i.test(zone) ? 'Z' : zone.includes(':') ? zone : `${zone.slice(0, 3)}:${zone.slice(3)}`;
  const ms = `${fraction}000`.slice(0, 3);
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${ms}${zoneText}`);
  if (Number.isNaN(time)) return null;
  // The engine takes the 31st of every month and rolls it over: such a date is a mistake in the file.
  const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
  return Number(day) <= days ? time : null;
}

function epochMs(text: string): number | null {
  const value = Number(text);
  const size = Math.abs(value);
  if (size < 1e11) return Math.round(value * 1000);
  if (size < 1e14) return Math.round(value);
  if (size < 1e17) return Math.round(value / 1000);
  return size < 1e20 ? Math.round(value / 1e6) : null;
}

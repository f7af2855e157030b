/** Numbers and times as people read them. All pure; the language is English, the digits are grouped by commas. */

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat('en-US', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const two = new Intl.NumberFormat('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const significant = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 5 });

export const NONE = '–';

/** A rate: 0, 0.4, 12, 1,234, 123,456, 1.23 M. */
export function rate(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return NONE;
  if (value > 0 && value < 9.95 && Math.abs(value - Math.round(value)) >= 0.05) return one.format(value);
  return count(value);
}

/** A count: 1,234 up to 999,999, then 1.23 M, 1.23 G. */
export function count(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return NONE;
  if (value < 999_999.5) return whole.format(value);
  if (value < 999_995_000) return `${two.format(value / 1e6)} M`;
  return `${two.format(value / 1e9)} G`;
}

/** A measured value with up to five digits, more where it is whole; very large and very small ones with an exponent. */
export function measure(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-4)) return value.toExponential(3);
  return size >= 1e4 ? whole.format(value) : significant.format(value);
}

export function bytesPerSecond(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return NONE;
  if (value < 1e3) return `${whole.format(value)} B/s`;
  if (value < 1e6) return `${one.format(value / 1e3)} kB/s`;
  return `${one.format(value / 1e6)} MB/s`;
}

/** A length of time, at most two units: 340 ms, 2.4 s, 48 s, 3 min 12 s, 2 h 5 min, 4 d 3 h. */
export function duration(ms: number | null): string {
  if (ms === null || !Number.isFinite(ms)) return NONE;
  if (ms < 1_000) return `${Math.round(Math.max(0, ms))} ms`;
  if (ms < 9_950) return `${one.format(ms / 1_000)} s`;
  const s = Math.round(ms / 1_000);
  if (s < 60) return `${s} s`;
  if (s < 3_600) return pair(Math.floor(s / 60), 'min', s % 60, 's');
  if (s < 86_400) return pair(Math.floor(s / 3_600), 'h', Math.floor((s % 3_600) / 60), 'min');
  return pair(Math.floor(s / 86_400), 'd', Math.floor((s % 86_400) / 3_600), 'h');
}

function pair(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
}

/** How long ago, one unit: now, 12 s, 3 min, 5 h, 4 d. */
export function age(ms: number): string {
  if (ms < 2_000) return 'now';
  const s = Math.floor(ms / 1_000);
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3_600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

/** A moment in local time: 14:03:07 today, otherwise with its date. */
export function moment(ms: number, nowMs: number): string {
  const at = new Date(ms);
  const time = clockTime(at, true);
  return at.toDateString() === new Date(nowMs).toDateString() ? time : `${day(at)} ${time}`;
}

/** The label of a point on a time axis whose labels are `stepSeconds` apart. */
export function axisTime(ms: number, stepSeconds: number): string {
  const at = new Date(ms);
  if (stepSeconds >= 86_400) return day(at);
  const midnight = at.getHours() === 0 && at.getMinutes() === 0 && at.getSeconds() === 0;
  if (midnight && stepSeconds >= 3_600) return day(at);
  return clockTime(at, stepSeconds < 60);
}

function clockTime(at: Date, withSeconds: boolean): string {
  const hm = `${two2(at.getHours())}:${two2(at.getMinutes())}`;
  return withSeconds ? `${hm}:${two2(at.getSeconds())}` : hm;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

function day(at: Date): string {
  return `${at.getDate()} ${MONTHS[at.getMonth()]}`;
}

function two2(n: number): string {
  return `${n}`.padStart(2, '0');
}

/** The value of an <input type="datetime-local"> with seconds, local time. */
export function inputTime(ms: number): string {
  const at = new Date(ms);
  return `${at.getFullYear()}-${two2(at.getMonth() + 1)}-${two2(at.getDate())}T${clockTime(at, true)}`;
}

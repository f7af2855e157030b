import { parseQuantity } from '../config/quantity.ts';
import { SluiceError } from '../model/errors.ts';
import { isoToMs, numberToMs } from '../processors/decode/time.ts';

/** A time on the command line: epoch in s, ms, µs or ns, ISO 8601, or a length of time ago as in `90m`, `6h`, `2d`. */
export function timeOf(text: string, nowMs = Date.now()): number {
  const ago = /^(\d+(?:\.\d+)?)(s|m|h|d)$/.exec(text);
  if (ago !== null) return nowMs - Number(ago[1]) * { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[ago[2]]!;
  const ms = /^-?\d+(\.\d+)?$/.test(text) ? numberToMs(Number(text)) : isoToMs(text);
  if (ms >= 0) return ms;
  throw new SluiceError('INPUT_INVALID', `"${text}" is not a time`, {
    remedy: 'write epoch seconds or milliseconds, ISO 8601, or a length of time ago such as 6h',
  });
}

/** A length of time on the command line, as `30m`; 0 is none. */
export function durationOf(text: string): number {
  const parsed = parseQuantity(text === '0' ? 0 : text, 'duration');
  if ('value' in parsed) return parsed.value;
  throw new SluiceError('INPUT_INVALID', parsed.what, { remedy: parsed.remedy });
}

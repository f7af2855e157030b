import type { DecodeLimits, DeviceMemory, MessageReadings, PayloadDecoder, Rejection } from './decoder.ts';
import { reject } from './decoder.ts';
import { isoToMs, numberToMs, TS_INVALID, TS_OUT_OF_RANGE } from './time.ts';

/**
 * JSON payloads, plainly:
 *
 *     {"temperature":21.5}                          ts = time received
 *     {"ts":1700000000000,"temperature":21.5}       ts: see time.ts
 *     {"ts":…,"values":{"temperature":21.5}}        members of `values` stand as if they were one level up
 *     [ {…}, {…} ]                                  any of those
 *
 * A value is a number, a boolean (0 or 1), a string (text), or an object, whose members get dotted names; null is skipped.
 * `ts` has its meaning at the top only, and `values` only where it holds an object. An array anywhere else is refused. Of equal
 * keys in one object the last counts, as everywhere in JSON. A message without any value is refused: it would end nowhere.
 */
export class JsonDecoder implements PayloadDecoder {
  readonly #limits: DecodeLimits;
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true });

  constructor(limits: DecodeLimits) {
    this.#limits = limits;
  }

  decode(
    bytes: Uint8Array,
    start: number,
    end: number,
    receivedMs: number,
    _memory: DeviceMemory,
    out: MessageReadings,
  ): Rejection | null {
    let text: string;
    try {
      text = this.#utf8.decode(bytes.subarray(start, end));
    } catch {
      return reject('not_utf8');
    }
    return this.decodeText(text, receivedMs, out);
  }

  /** The same for a text that has been decoded already. */
  decodeText(text: string, receivedMs: number, out: MessageReadings): Rejection | null {
    out.clear();
    if (text.length > this.#limits.metricsPerMessageMax * 16 && colons(text) > this.#limits.metricsPerMessageMax * 8) {
      return reject('too_many_values', `at most ${this.#limits.metricsPerMessageMax}`);
    }
    let root: unknown;
    try {
      root = JSON.parse(text);
    } catch {
      return reject('not_json');
    }
    const objects = Array.isArray(root) ? root : [root];
    for (const item of objects) {
      if (!isObject(item)) return reject('not_object');
      const rejection = this.#object(item, receivedMs, out);
      if (rejection !== null) return rejection;
    }
    return out.count === 0 ? reject('no_readings') : null;
  }

  #object(item: Record<string, unknown>, receivedMs: number, out: MessageReadings): Rejection | null {
    let tsMs = receivedMs;
    let untimed = true;
    if (Object.hasOwn(item, 'ts') && item.ts !== null) {
      const ts = item.ts;
      if (typeof ts === 'number') tsMs = numberToMs(ts);
      else if (typeof ts === 'string') tsMs = isoToMs(ts);
      else return reject('ts_invalid');
      if (tsMs === TS_INVALID) return reject('ts_invalid');
      if (tsMs === TS_OUT_OF_RANGE) return reject('ts_range');
      untimed = false;
    }
    return this.#members(item, '', 1, tsMs, untimed, out);
  }

  /** Values of an object; `depth` 1 is the message's own. */
  #members(
    object: Record<string, unknown>,
    prefix: string,
    depth: number,
    tsMs: number,
    untimed: boolean,
    out: MessageReadings,
  ): Rejection | null {
    const limits = this.#limits;
    if (depth > limits.depthMax) return reject('too_deep', `at most ${limits.depthMax}`);
    for (const key of Object.keys(object)) {
      if (depth === 1 && key === 'ts') continue;
      const value = object[key];
      if (value === null) continue;
      if (depth === 1 && key === 'values' && isObject(value)) {
        // Depth 2, so that a `ts` or a `values` in there is an ordinary name.
        const rejection = this.#members(value, '', 2, tsMs, untimed, out);
        if (rejection !== null) return rejection;
        continue;
      }
      const name = prefix + key;
      if (key === '' || longerThan(name, limits.metricNameBytesMax)) {
        return reject('metric_name', `1 to ${limits.metricNameBytesMax} bytes`);
      }
      if (typeof value === 'object') {
        if (!isObject(value)) return reject('array_value');
        const rejection = this.#members(value, `${name}.`, depth + 1, tsMs, untimed, out);
        if (rejection !== null) return rejection;
        continue;
      }
      if (out.count === limits.metricsPerMessageMax)
        return reject('too_many_values', `at most ${limits.metricsPerMessageMax}`);
      if (typeof value === 'number') {
        if (!Number.isFinite(value)) return reject('number_range');
        out.add(name, tsMs, value, '', untimed);
      } else if (typeof value === 'boolean') {
        out.add(name, tsMs, value ? 1 : 0, '', untimed);
      } else {
        const text = value as string;
        if (longerThan(text, limits.textBytesMax))
          return reject('text_too_long', `at most ${limits.textBytesMax} bytes`);
        out.add(name, tsMs, Number.NaN, text, untimed);
      }
    }
    return null;
  }
}

/**
 * Parsing a text of a million keys takes a second, which other devices would wait for; counting colons takes a millisecond.
 * Eight for each value that is allowed leave room for nested objects, nulls, and colons inside of texts.
 */
function colons(text: string): number {
  let count = 0;
  for (let at = text.indexOf(':'); at !== -1; at = text.indexOf(':', at + 1)) count++;
  return count;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether the UTF-8 of a text is longer than bytesMax; no character of a string needs more than three bytes. */
function longerThan(text: string, bytesMax: number): boolean {
  if (text.length * 3 <= bytesMax) return false;
  return text.length > bytesMax || Buffer.byteLength(text) > bytesMax;
}

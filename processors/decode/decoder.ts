import { MessageReadings } from './message-readings.ts';

export { MessageReadings };

/**
 * What a payload format is to the processors. A decoder is a pure function of its arguments, except that it may remember
 * shapes it has seen to be faster; it never throws, whatever the bytes are. To add a format: one file beside json.ts, one row
 * in formats.ts.
 */
export interface PayloadDecoder {
  /**
   * Decodes `bytes[start, end)` into `out`, which is cleared first. Returns null when every part of the message became a
   * reading, or why the whole message goes to quarantine: a message is never split between the two.
   */
  decode(
    bytes: Uint8Array,
    start: number,
    end: number,
    receivedMs: number,
    memory: DeviceMemory,
    out: MessageReadings,
  ): Rejection | null;
}

/** What a decoder may remember of one device, to be faster; nothing that is read depends on it. */
export interface DeviceMemory {
  shapes: Shape[] | null;
  /** Messages in a row that no remembered shape fitted. */
  misses: number;
}

/**
 * Stands for "these metrics in this order": two messages of a device with the same shape have the same list of metrics, so
 * that series need to be looked up once only.
 */
export interface Shape {
  readonly metrics: readonly string[];
}

/** Why a message is in quarantine. `code` is stable; `reason` is the text of the table, and begins with the code. */
export interface Rejection {
  code: RejectionCode;
  reason: string;
}

/** Every way in which a message can be refused, and what it says in the table. */
export const REJECTIONS = {
  not_utf8: 'the payload is not UTF-8',
  not_json: 'the payload is not JSON',
  not_object: 'the payload is neither an object nor an array of objects',
  no_readings: 'the payload holds no value',
  ts_invalid: 'ts is neither a number nor an ISO 8601 time',
  ts_range: 'ts is outside of the years 1970 to 2199',
  number_range: 'a number is too large for a 64-bit float',
  array_value: 'a value is an array',
  metric_name: 'the name of a metric is empty or too long',
  too_deep: 'objects are nested too deeply',
  too_many_values: 'the message holds too many values',
  text_too_long: 'a text value is too long',
  too_many_metrics: 'the device has too many different metrics',
  no_device: 'the message names no device',
  received_range: 'the time received is outside of the years 1970 to 2199',
  frame_malformed: 'the frame of the log could not be read from here on',
} as const;

export type RejectionCode = keyof typeof REJECTIONS;

export function reject(code: RejectionCode, detail = ''): Rejection {
  return { code, reason: `${code}: ${REJECTIONS[code]}${detail === '' ? '' : ` (${detail})`}` };
}

/** Bounds of one message. */
export interface DecodeLimits {
  /** Objects inside objects, counted from the message. */
  depthMax: number;
  /** Readings of one message. */
  metricsPerMessageMax: number;
  /** UTF-8 bytes of a metric's name, dots included. */
  metricNameBytesMax: number;
  /** UTF-8 bytes of one text value. */
  textBytesMax: number;
}

export const DECODE_LIMITS: DecodeLimits = {
  depthMax: 16,
  metricsPerMessageMax: 10_000,
  metricNameBytesMax: 256,
  textBytesMax: 64 * 1024,
};

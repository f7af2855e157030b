import type { Log } from '../../log/log.ts';
import { SluiceError } from '../../model/errors.ts';
import { FrameReader } from '../../model/frame.ts';
import { matcher } from '../../model/pattern.ts';
import { TELEMETRY } from '../../model/topics.ts';
import type { DecodeLimits, PayloadDecoder } from '../../processors/decode/decoder.ts';
import { FORMATS, type FormatName } from '../../processors/decode/formats.ts';
import { MessageReadings } from '../../processors/decode/message-readings.ts';

/** Messages read back from the log, and decoded as the processors do. */

const READ_BYTES = 4 * 1024 * 1024;

export interface LoggedMessage {
  offset: number;
  index: number;
  receivedMs: number;
  device: string;
  topic: string;
  payload: Uint8Array;
  frameBytes: number;
  appendedMs: number;
}

/** What a pass over the log found beside the messages: offsets that are not there, where the engine leaves none out by itself. */
export interface Passed {
  /** Ranges [first, next) without a frame. */
  holes: [first: number, next: number][];
  /** The range that was really there to be read; equal when none of it is held any more. */
  first: number;
  next: number;
}

/**
 * Gives every message of frames [first, next) of a partition to `onMessage`, as far as the log still holds them. A device may be
 * named, and the others are then passed over without being looked at. Ticks and claims are left out.
 */
export async function readMessages(
  log: Log,
  partition: number,
  range: { first: number; next: number; device?: string },
  onMessage: (message: LoggedMessage) => void,
): Promise<Passed> {
  const bounds = await log.bounds(TELEMETRY, partition);
  const next = Math.min(range.next, bounds.next);
  const passed: Passed = { holes: [], first: Math.min(Math.max(range.first, bounds.first), next), next };
  const wanted = range.device === undefined ? null : Buffer.from(range.device);
  const reader = new FrameReader();
  for (let offset = passed.first; offset < next; ) {
    const frames = await readFrames(log, partition, offset);
    if (frames.length === 0) break;
    for (const frame of frames) {
      if (frame.offset >= next) {
        if (offset < next) passed.holes.push([offset, next]);
        return passed;
      }
      if (frame.offset > offset) passed.holes.push([offset, frame.offset]);
      offset = frame.offset + 1;
      reader.reset(frame.bytes);
      try {
        while (reader.next()) {
          const length = reader.deviceEnd - reader.deviceStart;
          if (length === 0) continue;
          if (wanted !== null && !wanted.equals(reader.bytes.subarray(reader.deviceStart, reader.deviceEnd))) continue;
          onMessage({
            offset: frame.offset,
            index: reader.index,
            receivedMs: reader.receivedMs,
            device: range.device ?? reader.device(),
            topic: reader.topic(),
            payload: reader.payload(),
            frameBytes: frame.bytes.length,
            appendedMs: frame.appendedMs,
          });
        }
      } catch (error) {
        if (!(error instanceof SluiceError) || error.code !== 'FRAME_MALFORMED') throw error;
      }
    }
  }
  return passed;
}

/** Retention may delete the frames while they are asked for. */
async function readFrames(log: Log, partition: number, offset: number) {
  try {
    return await log.read(TELEMETRY, partition, offset, READ_BYTES);
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'LOG_OFFSET_GONE') return [];
    throw error;
  }
}

export interface DecodedReading {
  metric: string;
  tsMs: number;
  untimed: boolean;
  value: number;
  text: string;
}

/** Decodes single messages as the processors are set up to. */
export class Decoding {
  readonly #formats: { matches: (device: string) => boolean; decoder: PayloadDecoder }[];
  readonly #out = new MessageReadings();

  constructor(payload: readonly { match: string; format: FormatName }[], limits: DecodeLimits) {
    const all = [...payload, { match: '*', format: 'json' as const }];
    this.#formats = all.map(({ match, format }) => ({ matches: matcher([match]), decoder: FORMATS[format](limits) }));
  }

  /** The readings of a message, or the reason why it goes to the quarantine. */
  decode({ device, payload, receivedMs }: LoggedMessage): DecodedReading[] | string {
    const { decoder } = this.#formats.find(({ matches }) => matches(device)) as { decoder: PayloadDecoder };
    const out = this.#out;
    const rejection = decoder.decode(payload, 0, payload.length, receivedMs, { shapes: null, misses: 0 }, out);
    if (rejection !== null) return rejection.reason;
    return Array.from({ length: out.count }, (_, i) => ({
      metric: out.metricAt(i),
      tsMs: out.tsMs[i],
      untimed: out.untimed[i] === 1,
      value: out.value[i],
      text: out.textAt(i),
    }));
  }
}

import type { Log, LogFrame } from '../../log/log.ts';
import { SluiceError } from '../../model/errors.ts';
import { encodeIdentity, FrameBuilder, FrameReader, TICK_TOPIC } from '../../model/frame.ts';
import { TELEMETRY } from '../../model/topics.ts';
import type { OfflineFrame } from '../../processors/offline/offline-engine.ts';

/** A part of the past, and whose. */
export interface PastSpan {
  fromMs: number;
  toMs: number;
  /** Whether a device is wanted; null takes all without a look. */
  wanted: ((device: string) => boolean) | null;
  /** One partition alone; all of them when it is left out. */
  partition?: number;
}

const READ_BYTES = 1 << 20;

/** Frames are put on the log somewhat after their messages came in, and clocks differ: so much more is read at both ends. */
const SLACK_MS = 900_000;

/** What was there to be read. */
export interface Passed {
  /** When the first and the last frame were appended; null when there were none. */
  fromMs: number | null;
  toMs: number | null;
  frames: number;
  bytes: number;
}

/**
 * Frames of all partitions that were appended in the span, in order of time across them, so that rules that look at several see
 * them together. Reads only; the log may be written meanwhile.
 */
export async function* logFrames(log: Log, span: PastSpan, passed: Passed): AsyncGenerator<OfflineFrame> {
  const filter = span.wanted === null ? null : new FrameFilter(span.wanted);
  const all = Array.from({ length: log.partitions }, (_, p) => p);
  const read = span.partition === undefined ? all : [span.partition];
  const cursors = await Promise.all(read.map((p) => Cursor.open(log, p, span)));
  for (;;) {
    let next: Cursor | null = null;
    for (const cursor of cursors) {
      if (cursor.appendedMs < (next?.appendedMs ?? Number.POSITIVE_INFINITY)) next = cursor;
    }
    if (next === null) return;
    const frame = next.frame as LogFrame;
    passed.fromMs ??= frame.appendedMs;
    passed.toMs = frame.appendedMs;
    passed.frames++;
    passed.bytes += frame.bytes.length;
    if (!next.step()) await next.fill();
    const bytes = filter === null ? frame.bytes : filter.only(frame.bytes);
    if (bytes !== null) yield { partition: frame.partition, offset: frame.offset, bytes };
  }
}

/** Where one partition is read. */
class Cursor {
  /** Infinite when it has come to its end. */
  appendedMs = Number.POSITIVE_INFINITY;
  frame: LogFrame | null = null;
  readonly #log: Log;
  readonly #partition: number;
  readonly #end: number;
  #frames: LogFrame[] = [];
  #at = -1;
  #offset: number;

  private constructor(log: Log, partition: number, first: number, end: number) {
    this.#log = log;
    this.#partition = partition;
    this.#offset = first;
    this.#end = end;
  }

  static async open(log: Log, partition: number, { fromMs, toMs }: PastSpan): Promise<Cursor> {
    const first = await log.offsetAt(TELEMETRY, partition, fromMs - SLACK_MS);
    const end = await log.offsetAt(TELEMETRY, partition, toMs + SLACK_MS);
    const cursor = new Cursor(log, partition, first, end);
    await cursor.fill();
    return cursor;
  }

  /** To the next frame that has been read already; false when there is none. */
  step(): boolean {
    this.#at++;
    const frame = this.#frames[this.#at];
    if (frame === undefined) return false;
    this.frame = frame;
    this.appendedMs = frame.appendedMs;
    return true;
  }

  async fill(): Promise<void> {
    this.#frames = this.#offset < this.#end ? await this.#read() : [];
    this.#frames = this.#frames.filter((frame) => frame.offset < this.#end);
    this.#at = -1;
    const last = this.#frames.at(-1);
    if (last !== undefined) this.#offset = last.offset + 1;
    if (this.step()) return;
    this.frame = null;
    this.appendedMs = Number.POSITIVE_INFINITY;
  }

  /** Retention may take away what is about to be read; then it goes on behind that. */
  async #read(): Promise<LogFrame[]> {
    for (;;) {
      try {
        return await this.#log.read(TELEMETRY, this.#partition, this.#offset, READ_BYTES);
      } catch (error) {
        if (!(error instanceof SluiceError) || error.code !== 'LOG_OFFSET_GONE') throw error;
        const { first } = await this.#log.bounds(TELEMETRY, this.#partition);
        this.#offset = Math.max(first, this.#offset + 1);
      }
    }
  }
}

const TICK_IDENTITY = encodeIdentity('', TICK_TOPIC);

/** Leaves the messages of some devices in a frame, and what carries the time. */
export class FrameFilter {
  readonly #wanted: (device: string) => boolean;
  readonly #reader = new FrameReader();
  readonly #builder = new FrameBuilder(64 * 1024);
  readonly #known = new Map<string, boolean>();

  constructor(wanted: (device: string) => boolean) {
    this.#wanted = wanted;
  }

  /** Null when nothing of the frame can be read. */
  only(frame: Uint8Array): Uint8Array | null {
    const reader = this.#reader;
    const builder = this.#builder;
    reader.reset(frame);
    let newestMs = -1;
    try {
      while (reader.next()) {
        newestMs = Math.max(newestMs, reader.receivedMs);
        const keep = reader.deviceStart === reader.deviceEnd || this.#isWanted(reader.device());
        if (!keep) continue;
        const identity = encodeIdentity(reader.device(), reader.topic());
        builder.append(reader.receivedMs, identity, reader.bytes, reader.payloadStart, reader.payloadEnd);
      }
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'FRAME_MALFORMED') throw error;
    }
    if (builder.messages === 0) {
      if (newestMs < 0) return null;
      // The time goes on by what the others sent, as it does in the partition.
      builder.append(newestMs, TICK_IDENTITY, frame, 0, 0);
    }
    return builder.finish();
  }

  #isWanted(device: string): boolean {
    let wanted = this.#known.get(device);
    if (wanted === undefined) {
      wanted = this.#wanted(device);
      this.#known.set(device, wanted);
    }
    return wanted;
  }
}

import { SluiceError } from '../model/errors.ts';
import {
  decodeFrameHeader,
  decodeLayout,
  decodePartition,
  FORMAT,
  frameKey,
  frameOf,
  LAYOUT_KEY,
  type PartitionState,
  partitionKey,
} from './lmdb-codec.ts';
import type { Env } from './lmdb-env.ts';
import type { LogBounds, LogFrame } from './log.ts';

/** Looks into a topic's environment. Each call sees the newest commit. */
export class TopicReader {
  readonly #env: Env;
  readonly #topic: string;

  constructor(env: Env, topic: string) {
    this.#env = env;
    this.#topic = topic;
  }

  state(partition: number): PartitionState {
    return this.#env.read((get) => decodePartition(get(partitionKey(partition))));
  }

  bounds(partition: number): LogBounds {
    const { first, next } = this.state(partition);
    return { first, next };
  }

  read(partition: number, offset: number, bytesMax: number): LogFrame[] {
    return this.#env.read((get) => {
      const { first, next } = decodePartition(get(partitionKey(partition)));
      if (offset < first) throw offsetGone(this.#topic, partition, offset, { first, next });
      return framesFrom(get, partition, offset, next, bytesMax);
    });
  }

  /**
   * What a follower at `offset` finds, in one snapshot: the frames from there on, or from the first that is held where the partition has no
   * such place (any more), which `offset` of the answer tells.
   */
  look(partition: number, offset: number, bytesMax: number): LogBounds & { offset: number; frames: LogFrame[] } {
    return this.#env.read((get) => {
      const { first, next } = decodePartition(get(partitionKey(partition)));
      const from = offset < first || offset > next ? first : offset;
      return { first, next, offset: from, frames: framesFrom(get, partition, from, next, bytesMax) };
    });
  }

  last(partition: number): LogFrame | null {
    return this.#env.read((get) => {
      const { first, next } = decodePartition(get(partitionKey(partition)));
      return next > first ? frameAt(get, partition, next - 1) : null;
    });
  }

  offsetAt(partition: number, timeMs: number): number {
    return this.#search(partition, (header) => header.appendedMs >= timeMs);
  }

  /** The first held offset before which at least `bytes` of what is held lie: what retention by size keeps. */
  offsetAfterBytes(partition: number, bytes: number): number {
    const { bytesFirst } = this.state(partition);
    return this.#search(partition, (header) => header.bytesBefore - bytesFirst >= bytes);
  }

  /** First held offset whose header fulfils `test`, which is false up to some offset and true from there on; `next` when none does. */
  #search(partition: number, test: (header: { appendedMs: number; bytesBefore: number }) => boolean): number {
    return this.#env.read((get) => {
      const state = decodePartition(get(partitionKey(partition)));
      let low = state.first;
      let high = state.next;
      while (low < high) {
        const middle = low + Math.floor((high - low) / 2);
        const value = get(frameKey(partition, middle));
        if (value !== undefined && test(decodeFrameHeader(value))) high = middle;
        else low = middle + 1;
      }
      return low;
    });
  }

  /** Sum of the space of all earlier frames, at an offset in [first, next]. */
  bytesBefore(partition: number, offset: number): number {
    return this.#env.read((get) => {
      const value = get(frameKey(partition, offset));
      return value === undefined
        ? decodePartition(get(partitionKey(partition))).bytesNext
        : decodeFrameHeader(value).bytesBefore;
    });
  }
}

type Get = (key: Uint8Array) => Uint8Array | undefined;

/** One frame, and more while they are no more than `bytesMax` together. */
function framesFrom(get: Get, partition: number, offset: number, next: number, bytesMax: number): LogFrame[] {
  const frames: LogFrame[] = [];
  let bytes = 0;
  for (let at = offset; at < next; at++) {
    const frame = frameAt(get, partition, at);
    if (frame === null) break;
    bytes += frame.bytes.length;
    if (frames.length > 0 && bytes > bytesMax) break;
    frames.push(frame);
    if (bytes >= bytesMax) break;
  }
  return frames;
}

function frameAt(get: Get, partition: number, offset: number): LogFrame | null {
  const value = get(frameKey(partition, offset));
  if (value === undefined) return null;
  return { partition, offset, appendedMs: decodeFrameHeader(value).appendedMs, bytes: frameOf(value) };
}

/** Whether the environment has been laid out yet; throws LOG_LAYOUT when it was for another number of partitions. */
export function checkLayout(env: Env, topic: string, partitions: number): boolean {
  const value = env.read((get) => get(LAYOUT_KEY));
  if (value === undefined) return false;
  const layout = decodeLayout(value);
  if (layout.format !== FORMAT) {
    throw new SluiceError('LOG_LAYOUT', `topic ${topic} is stored in format ${layout.format}, not ${FORMAT}`, {
      values: { topic, format: layout.format },
      remedy: 'use the version of Sluice that wrote the data, or start with another data directory',
    });
  }
  if (layout.partitions !== partitions) {
    throw new SluiceError(
      'LOG_LAYOUT',
      `topic ${topic} was written with ${layout.partitions} partitions, not ${partitions}`,
      { values: { topic, partitionsStored: layout.partitions, partitionsWanted: partitions } },
    );
  }
  return true;
}

export function offsetGone(topic: string, partition: number, offset: number, bounds: LogBounds): SluiceError {
  return new SluiceError(
    'LOG_OFFSET_GONE',
    `offset ${offset} of ${topic}/${partition} is no longer held; the first is ${bounds.first}`,
    { values: { topic, partition, offset, first: bounds.first, next: bounds.next } },
  );
}

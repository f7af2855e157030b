/**
 * What a topic's LMDB environment holds. Keys are bytes in order, numbers big-endian:
 *
 *     key                        value
 *     00                         u32 format (1)   u32 partitions
 *     01 pppp                    u64 first   u64 next   u64 bytesFirst   u64 bytesNext   u64 lastMs
 *     02 pppp oooooooo oooooooo  u64 appendedMs   u64 bytesBefore   the frame
 *
 * - pppp is the partition (u16), o…o the offset (u64).
 * - first, next: the offsets that are held are [first, next); they never go back, also when retention has emptied the partition.
 * - bytesBefore of a frame: space that all earlier frames of its partition took, from offset 0 on. bytesFirst and bytesNext
 *   are the same sum at `first` and `next`, so that bytesNext − bytesFirst is what the partition holds now, and retention by
 *   size is a binary search instead of a walk.
 * - appendedMs never falls within a partition (lastMs is its newest), so that a time is found by binary search as well.
 *
 * The partition record is written in the same transaction as the frames and the deletions that it tells of.
 */
export const FORMAT = 1;
export const FRAME_HEADER_BYTES = 16;

/** LMDB keeps a value on pages of its own when it is larger than about half a page. */
const PAGE_BYTES = 4096;
const INLINE_BYTES_MAX = 2000;
/** Node header, key and alignment of an entry on a leaf page. */
const ENTRY_OVERHEAD_BYTES = 24;

export interface PartitionState {
  first: number;
  next: number;
  bytesFirst: number;
  bytesNext: number;
  lastMs: number;
}

/** Space that a frame takes in the environment, as LMDB lays it out (rounded up to pages where it does). */
export function storedBytes(frameBytes: number): number {
  const value = frameBytes + FRAME_HEADER_BYTES;
  if (value <= INLINE_BYTES_MAX) return value + ENTRY_OVERHEAD_BYTES;
  return Math.ceil((value + 16) / PAGE_BYTES) * PAGE_BYTES + ENTRY_OVERHEAD_BYTES;
}

export const LAYOUT_KEY: Uint8Array = Uint8Array.of(0);

export function partitionKey(partition: number): Uint8Array {
  return Uint8Array.of(1, partition >>> 8, partition);
}

export function frameKey(partition: number, offset: number): Uint8Array {
  const key = Buffer.allocUnsafe(11);
  key[0] = 2;
  key.writeUInt16BE(partition, 1);
  writeU64(key, 3, offset);
  return key;
}

export function encodeLayout(partitions: number): Uint8Array {
  const value = Buffer.alloc(8);
  value.writeUInt32BE(FORMAT, 0);
  value.writeUInt32BE(partitions, 4);
  return value;
}

export function decodeLayout(value: Uint8Array): { format: number; partitions: number } {
  const view = asBuffer(value);
  return { format: view.readUInt32BE(0), partitions: view.readUInt32BE(4) };
}

export function encodePartition(state: PartitionState): Uint8Array {
  const value = Buffer.allocUnsafe(40);
  writeU64(value, 0, state.first);
  writeU64(value, 8, state.next);
  writeU64(value, 16, state.bytesFirst);
  writeU64(value, 24, state.bytesNext);
  writeU64(value, 32, state.lastMs);
  return value;
}

export function decodePartition(value: Uint8Array | undefined): PartitionState {
  if (value === undefined) return { first: 0, next: 0, bytesFirst: 0, bytesNext: 0, lastMs: 0 };
  const view = asBuffer(value);
  return {
    first: readU64(view, 0),
    next: readU64(view, 8),
    bytesFirst: readU64(view, 16),
    bytesNext: readU64(view, 24),
    lastMs: readU64(view, 32),
  };
}

/** Writes a frame's value into `out` at `at`; returns the place after it. */
export function writeFrame(
  out: Uint8Array,
  at: number,
  appendedMs: number,
  bytesBefore: number,
  frame: Uint8Array,
): number {
  writeU64(out, at, appendedMs);
  writeU64(out, at + 8, bytesBefore);
  out.set(frame, at + FRAME_HEADER_BYTES);
  return at + FRAME_HEADER_BYTES + frame.length;
}

export function decodeFrameHeader(value: Uint8Array): { appendedMs: number; bytesBefore: number } {
  return { appendedMs: readU64(value, 0), bytesBefore: readU64(value, 8) };
}

/** The frame inside a value: a view, not a copy. */
export function frameOf(value: Uint8Array): Uint8Array {
  return new Uint8Array(value.buffer, value.byteOffset + FRAME_HEADER_BYTES, value.length - FRAME_HEADER_BYTES);
}

export function writeU64(out: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / 0x100000000);
  const low = value >>> 0;
  out[at] = high >>> 24;
  out[at + 1] = high >>> 16;
  out[at + 2] = high >>> 8;
  out[at + 3] = high;
  out[at + 4] = low >>> 24;
  out[at + 5] = low >>> 16;
  out[at + 6] = low >>> 8;
  out[at + 7] = low;
}

export function readU64(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
  const low = ((bytes[at + 4] << 24) | (bytes[at + 5] << 16) | (bytes[at + 6] << 8) | bytes[at + 7]) >>> 0;
  return high * 0x100000000 + low;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

import { crc32 } from 'node:zlib';
import type { CheckpointChange } from './checkpoints.ts';
import { readU64, writeU64 } from './lmdb-codec.ts';

/** Keys and records of checkpoints in LMDB; log/lmdb-checkpoints.ts draws them. */
export interface Slot {
  slot: number;
  sequence: number;
  offsetNext: number;
  stateBytes: number;
  crc: number;
}

export function slotKey(partition: number, slot: number): Uint8Array {
  return Uint8Array.of(3, partition >>> 8, partition, slot);
}

export function chunkKey(partition: number, slot: number, chunk: number): Uint8Array {
  return Uint8Array.of(4, partition >>> 8, partition, slot, chunk >>> 24, chunk >>> 16, chunk >>> 8, chunk);
}

export function encodeSlot(slot: Slot): Uint8Array {
  const value = Buffer.alloc(28);
  writeU64(value, 0, slot.sequence);
  writeU64(value, 8, slot.offsetNext);
  writeU64(value, 16, slot.stateBytes);
  value.writeUInt32BE(slot.crc, 24);
  return value;
}

export function decodeSlot(slot: number, value: Uint8Array): Slot {
  return {
    slot,
    sequence: readU64(value, 0),
    offsetNext: readU64(value, 8),
    stateBytes: readU64(value, 16),
    crc: Buffer.from(value.buffer, value.byteOffset, value.length).readUInt32BE(24),
  };
}

export function changeKey(partition: number, slot: number, number: number): Uint8Array {
  return Uint8Array.of(5, partition >>> 8, partition, slot, number >>> 24, number >>> 16, number >>> 8, number);
}

const CHANGE_HEAD = 28;

/** `before` is the slot that it lies upon, `number` its place there, from 1 on. */
export function encodeChange(before: Slot, number: number, change: Omit<CheckpointChange, 'after'>): Uint8Array {
  const value = Buffer.alloc(CHANGE_HEAD + change.patch.length);
  value.writeUInt32BE(before.crc, 4);
  value.writeUInt32BE(number, 8);
  writeU64(value, 12, change.offsetNext);
  writeU64(value, 20, change.stateBytes);
  value.set(change.patch, CHANGE_HEAD);
  value.writeUInt32BE(crc32(value.subarray(4)), 0);
  return value;
}

/** `apart`: it lies upon another state, which is no longer there. `damaged`: its checksum says so. */
export function decodeChange(
  before: Slot,
  number: number,
  value: Uint8Array,
): { offsetNext: number; stateBytes: number; patch: Uint8Array } | 'apart' | 'damaged' {
  const view = Buffer.from(value.buffer, value.byteOffset, value.length);
  if (value.length < CHANGE_HEAD || crc32(view.subarray(4)) !== view.readUInt32BE(0)) return 'damaged';
  if (view.readUInt32BE(4) !== before.crc || view.readUInt32BE(8) !== number) return 'apart';
  return { offsetNext: readU64(value, 12), stateBytes: readU64(value, 20), patch: value.subarray(CHANGE_HEAD) };
}

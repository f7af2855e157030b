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

import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  decodeFrameHeader,
  decodeLayout,
  decodePartition,
  encodeLayout,
  encodePartition,
  FRAME_HEADER_BYTES,
  frameKey,
  frameOf,
  partitionKey,
  readU64,
  writeFrame,
  writeU64,
} from './lmdb-codec.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

it('writes the bytes that the table of the format tells', () => {
  expect(hex(encodeLayout(8))).toBe('0000000100000008');
  expect(hex(partitionKey(0x0102))).toBe('010102');
  expect(hex(frameKey(0x0102, 0x1_0000_0003))).toBe('0201020000000100000003');
  const state = { first: 1, next: 2, bytesFirst: 3, bytesNext: 0x1_0000_0000, lastMs: 1_700_000_000_000 };
  expect(hex(encodePartition(state))).toBe(
    '00000000000000010000000000000002000000000000000300000001000000000000018bcfe56800',
  );
  const value = new Uint8Array(FRAME_HEADER_BYTES + 2);
  expect(writeFrame(value, 0, 1_700_000_000_000, 5, Uint8Array.of(0xaa, 0xbb))).toBe(18);
  expect(hex(value)).toBe('0000018bcfe568000000000000000005aabb');
});

it('reads what it writes', () => {
  expect(decodeLayout(encodeLayout(65535))).toEqual({ format: 1, partitions: 65535 });
  const u64 = fc.maxSafeNat();
  fc.assert(
    fc.property(
      fc.record({ first: u64, next: u64, bytesFirst: u64, bytesNext: u64, lastMs: u64 }),
      fc.uint8Array(),
      (state, frame) => {
        expect(decodePartition(encodePartition(state))).toEqual(state);
        const value = new Uint8Array(FRAME_HEADER_BYTES + frame.length);
        writeFrame(value, 0, state.lastMs, state.bytesNext, frame);
        expect(decodeFrameHeader(value)).toEqual({ appendedMs: state.lastMs, bytesBefore: state.bytesNext });
        expect(hex(frameOf(value))).toBe(hex(frame));
      },
    ),
  );
});

it('orders keys as partitions and offsets are ordered', () => {
  const place = fc.record({ partition: fc.nat(65535), offset: fc.maxSafeNat() });
  fc.assert(
    fc.property(place, place, (a, b) => {
      const order = a.partition - b.partition || a.offset - b.offset;
      const keys = Buffer.compare(frameKey(a.partition, a.offset), frameKey(b.partition, b.offset));
      expect(Math.sign(keys)).toBe(Math.sign(order));
    }),
  );
});

it('keeps all safe integers in 64 bits', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (n) => {
      const bytes = new Uint8Array(8);
      writeU64(bytes, 0, n);
      expect(Buffer.from(bytes).readBigUInt64BE()).toBe(BigInt(n));
      expect(readU64(bytes, 0)).toBe(n);
    }),
  );
});

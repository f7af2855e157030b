import { describe, expect, it } from 'vitest';
import { SpareFrames } from './spare-frames.ts';

const KIB = 1024;

describe('buffers of frames that are durable', () => {
  it('are used again whole, whatever part of them the frame took', () => {
    const spare = new SpareFrames();
    const buffer = new Uint8Array(64 * KIB);
    spare.give(buffer.subarray(0, 100));
    const again = spare.take(64 * KIB);
    expect(again?.buffer).toBe(buffer.buffer);
    expect(again?.length).toBe(64 * KIB);
    expect(spare.take(1)).toBeNull();
  });

  it('are let go of when they are too small for what comes now, and kept when they are large enough', () => {
    const spare = new SpareFrames();
    spare.give(new Uint8Array(40 * KIB));
    spare.give(new Uint8Array(20 * KIB));
    expect(spare.take(30 * KIB)?.length).toBe(40 * KIB);
    expect(spare.take(1)).toBeNull();
  });

  it('are bounded in their sum, and small ones are not kept', () => {
    const spare = new SpareFrames();
    spare.give(new Uint8Array(KIB));
    expect(spare.take(1)).toBeNull();
    for (let i = 0; i < 100; i++) spare.give(new Uint8Array(1024 * KIB));
    let kept = 0;
    while (spare.take(1) !== null) kept++;
    expect(kept).toBe(8);
    spare.give(new Uint8Array(1024 * KIB));
    expect(spare.take(1)?.length).toBe(1024 * KIB);
  });
});

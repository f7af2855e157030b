import { describe, expect, it } from 'vitest';
import { releaseBuffer } from './release-buffer.ts';

describe('a buffer that is released', () => {
  it('is gone at once, with its memory', () => {
    const size = 64 * 2 ** 20;
    const before = process.memoryUsage().arrayBuffers;
    const bytes = new Uint8Array(size).fill(1);
    const held = process.memoryUsage().arrayBuffers;
    releaseBuffer(bytes);
    expect(bytes.length).toBe(0);
    expect(bytes.buffer.byteLength).toBe(0);
    expect(held - before).toBeGreaterThanOrEqual(size);
    expect(held - process.memoryUsage().arrayBuffers).toBeGreaterThanOrEqual(size);
  });

  it('goes with every view of it, and may be released twice', () => {
    const whole = new Uint8Array(100_000);
    const part = whole.subarray(16);
    releaseBuffer(part);
    releaseBuffer(part);
    expect([whole.length, part.length]).toEqual([0, 0]);
  });

  it('is left alone when it is small', () => {
    const pooled = Buffer.from('abc');
    releaseBuffer(pooled as Uint8Array<ArrayBuffer>);
    expect(pooled.toString()).toBe('abc');
  });
});

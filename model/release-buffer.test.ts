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

  it('is left alone when the bytes are a part of it, and may be released twice', () => {
    const whole = new Uint8Array([1, 2, 3, 4]);
    releaseBuffer(whole.subarray(0, 3));
    expect(whole).toEqual(new Uint8Array([1, 2, 3, 4]));
    releaseBuffer(whole);
    releaseBuffer(whole);
    expect(whole.length).toBe(0);
  });
});

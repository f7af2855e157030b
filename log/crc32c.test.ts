import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32c } from './crc32c.ts';

/** The definition: one bit after the other. */
function plain(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

describe('crc32c', () => {
  it('gives the published values', () => {
    expect(crc32c(Buffer.from('123456789')) >>> 0).toBe(0xe3069283);
    // RFC 3720, appendix B.4
    expect(crc32c(new Uint8Array(32)) >>> 0).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(255)) >>> 0).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)) >>> 0).toBe(0x46dd794e);
  });

  it('is what the definition says, at any place of a buffer and in any number of steps', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(16), fc.array(fc.nat(200)), (bytes, offset, cuts) => {
        const at = new Uint8Array(offset + bytes.length + 3);
        at.set(bytes, offset);
        let crc = 0;
        let from = 0;
        for (const cut of [...cuts.filter((c) => c <= bytes.length).sort((a, b) => a - b), bytes.length]) {
          crc = crc32c(at.subarray(offset + from, offset + cut), crc);
          from = cut;
        }
        expect(crc >>> 0).toBe(plain(bytes));
      }),
    );
  });
});

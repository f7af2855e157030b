import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PacketScanner } from './packet-scanner.ts';

/** A packet with a remaining length in its shortest form. */
function packet(first: number, body: Uint8Array): Buffer {
  const head = [first];
  let length = body.length;
  do {
    head.push((length & 127) | (length > 127 ? 128 : 0));
    length >>>= 7;
  } while (length > 0);
  return Buffer.concat([Uint8Array.from(head), body]);
}

/** What the scanner gives for chunks, in hex, and its problem. */
function scan(chunks: Uint8Array[], packetBytesMax = 1 << 20): { packets: string[]; problem: string | null } {
  const scanner = new PacketScanner(packetBytesMax);
  const packets: string[] = [];
  for (const chunk of chunks) {
    scanner.feed(chunk);
    while (scanner.next()) {
      const { bytes, start, bodyStart, end } = scanner;
      expect(bodyStart).toBeLessThanOrEqual(end);
      expect(bytes[bodyStart - 1]).toBeLessThan(128); // the length ends there
      packets.push(Buffer.from(bytes.subarray(start, end)).toString('hex'));
    }
    if (scanner.problem !== null) break;
  }
  return { packets, problem: scanner.problem };
}

function cut(bytes: Uint8Array, sizes: number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    chunks.push(bytes.subarray(at, at + sizes[i % sizes.length]));
    at += sizes[i % sizes.length];
  }
  return chunks;
}

const body = fc.oneof(
  { weight: 5, arbitrary: fc.uint8Array({ maxLength: 300 }) },
  { weight: 1, arbitrary: fc.integer({ min: 16_370, max: 16_400 }).map((n) => new Uint8Array(n).fill(n & 255)) },
);

describe('the packet scanner', () => {
  it('finds the same packets however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 255 }), body), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 20 }),
        (parts, sizes) => {
          const packets = parts.map(([first, b]) => packet(first, b));
          const all = Buffer.concat(packets);
          const expected = { packets: packets.map((p) => p.toString('hex')), problem: null };
          expect(scan(cut(all, sizes))).toEqual(expected);
          expect(scan(cut(all, [1]))).toEqual(expected);
          expect(scan([all])).toEqual(expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('refuses a remaining length of five bytes, whole or byte by byte', () => {
    const bytes = Buffer.from('30ffffffff7f', 'hex');
    for (const sizes of [[6], [1], [3], [5]]) expect(scan(cut(bytes, sizes)).problem).toMatch(/more than four bytes/);
  });

  it('refuses a packet above the bound as soon as its length is known', () => {
    const bytes = packet(0x30, new Uint8Array(1000)).subarray(0, 3);
    for (const sizes of [[3], [1]]) expect(scan(cut(bytes, sizes), 1002).problem).toMatch(/1003 bytes is larger/);
    expect(scan([packet(0x30, new Uint8Array(1000))], 1003).problem).toBeNull();
  });

  it('does not take memory for what was only announced', () => {
    const scanner = new PacketScanner(1 << 28);
    const before = process.memoryUsage().arrayBuffers;
    const scanners = [scanner];
    for (let i = 0; i < 200; i++) {
      const one = new PacketScanner(1 << 28);
      one.feed(Buffer.from('30ffffff7f', 'hex')); // 256 MiB to come
      expect(one.next()).toBe(false);
      scanners.push(one);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 * 1024 * 1024);
  });

  it('stops where it is told to, and goes on from there', () => {
    const scanner = new PacketScanner(1000);
    scanner.feed(Buffer.concat([packet(0x30, Buffer.from('a')), packet(0x30, Buffer.from('b'))]));
    expect(scanner.next()).toBe(true);
    expect(scanner.bytes[scanner.bodyStart]).toBe(0x61);
    expect(scanner.next()).toBe(true);
    expect(scanner.bytes[scanner.bodyStart]).toBe(0x62);
    expect(scanner.next()).toBe(false);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Devices } from './devices.ts';

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
/** Few different ones, malformed UTF-8 and U+FEFF among them, so that names meet again. */
const id = fc.oneof(
  fc.array(fc.constantFrom(0x61, 0x62, 0xc3, 0xa4, 0xff, 0xef, 0xbb, 0xbf, 0xbd), { maxLength: 4 }),
  fc.nat(2000).map((n) => [...Buffer.from(`device-${n}`)]),
);

describe('Devices', () => {
  it('numbers names in the order in which they came, as a map of decoded ids would', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(id, fc.boolean(), fc.nat(5)), { maxLength: 400 }), (steps) => {
        const devices = new Devices();
        const numbers = new Map<string, number>();
        for (const [bytes, asName, before] of steps) {
          const name = decoder.decode(Uint8Array.from(bytes));
          expect(devices.numberOf(name)).toBe(numbers.get(name) ?? -1);
          if (!numbers.has(name)) numbers.set(name, numbers.size);
          // As a part of something larger, as in a frame.
          const frame = Uint8Array.from([...new Array(before).fill(0x61), ...bytes, 0x62]);
          const found = asName ? devices.add(name) : devices.find(frame, before, before + bytes.length);
          expect(found).toBe(numbers.get(name));
          expect(devices.numberOf(name)).toBe(found);
          expect(devices.name(found)).toBe(name);
          expect(devices.count).toBe(numbers.size);
        }
      }),
    );
  });

  it('finds each of many again', () => {
    const devices = new Devices();
    for (let i = 0; i < 100_000; i++) expect(devices.add(`d${i}`)).toBe(i);
    for (let i = 0; i < 100_000; i++) if (devices.numberOf(`d${i}`) !== i) throw new Error(`d${i} is lost`);
    expect(devices.numberOf('d100000')).toBe(-1);
  });
});

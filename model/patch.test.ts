import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PatchedBytes, PatchWriter } from './patch.ts';

type Step = { copy: [number, number] } | { put: Uint8Array };
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ copy: fc.tuple(fc.nat(1000), fc.nat(300)) }),
    fc.record({ put: fc.uint8Array({ maxLength: 200 }) }),
  ),
  { maxLength: 12 },
);

describe('patches', () => {
  it('have the form that is described', () => {
    const patch = new PatchWriter();
    patch.copy(300, 2);
    patch.copy(302, 3);
    patch.put(Uint8Array.of(7, 8));
    patch.copy(0, 1);
    expect([...patch.finish()]).toEqual([10, 0xac, 2, 5, 7, 8, 2, 0]);
  });

  it('make the newer bytes, however many lie upon another', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), fc.array(steps, { maxLength: 6 }), (first, patches) => {
        const patched = new PatchedBytes(first);
        let plain = Buffer.from(first);
        for (const list of patches) {
          const writer = new PatchWriter();
          const out: Buffer[] = [];
          for (const step of list) {
            if ('put' in step) {
              writer.put(step.put);
              out.push(Buffer.from(step.put));
            } else {
              const from = Math.min(step.copy[0], plain.length);
              const length = Math.min(step.copy[1], plain.length - from);
              writer.copy(from, length);
              out.push(plain.subarray(from, from + length));
            }
          }
          expect(patched.apply(writer.finish())).toBe(true);
          plain = Buffer.concat(out);
          expect(patched.length).toBe(plain.length);
        }
        expect(Buffer.from(patched.finish()).equals(plain)).toBe(true);
      }),
    );
  });

  it('that do not fit change nothing, and no bytes are read beyond an end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 40 }), (first, patch) => {
        const patched = new PatchedBytes(first);
        if (!patched.apply(patch)) expect([...patched.finish()]).toEqual([...first]);
        else expect(patched.finish()).toHaveLength(patched.length);
      }),
    );
    const patched = new PatchedBytes(Uint8Array.of(1, 2, 3));
    expect(patched.apply(Uint8Array.of(8, 0))).toBe(false);
    expect(patched.apply(Uint8Array.of(9, 1))).toBe(false);
    expect(patched.apply(Uint8Array.of(0))).toBe(false);
    expect(patched.apply(Uint8Array.of(6, 0x80))).toBe(false);
  });
});

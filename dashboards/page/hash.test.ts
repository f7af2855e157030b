import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bounds, readHash, type View, writeHash } from './hash.ts';

describe('the address', () => {
  it('says all that is shown, whatever the names hold', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
    const range = fc.oneof(
      fc.constantFrom<View['range']>({ live: '5m' }, { live: '1h' }, { live: '24h' }),
      fc.record({ fromMs: fc.nat(1e9), toMs: fc.integer({ min: 1_000_000_001, max: 2e9 }) }),
    );
    const view = fc.record({ device: name, metrics: fc.uniqueArray(name, { maxLength: 8 }), range });
    fc.assert(
      fc.property(view, (v) => {
        expect(readHash(writeHash(v))).toEqual(v);
      }),
    );
  });

  it('is taken as far as it makes sense', () => {
    expect(readHash('')).toEqual({ device: '', metrics: [], range: { live: '5m' } });
    expect(readHash('#device=a&range=constructor').range).toEqual({ live: '5m' });
    expect(readHash('#range=20-10').range).toEqual({ live: '5m' });
    expect(readHash(`#${'metric=m&'.repeat(3)}`).metrics).toEqual(['m']);
    expect(bounds({ live: '1h' }, 4_000_000)).toEqual({ fromMs: 400_000, toMs: 4_000_000 });
  });
});

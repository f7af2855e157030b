import fc from 'fast-check';
import { expect, it } from 'vitest';
import { assignPartitions } from './kafka-assign.ts';

const members = fc.uniqueArray(
  fc.record({ id: fc.string({ minLength: 1, maxLength: 4 }), owned: fc.array(fc.nat(40), { maxLength: 20 }) }),
  { selector: (m) => m.id, minLength: 1, maxLength: 8 },
);

it('gives each partition to one member, in even shares, whatever the members say that they had', () => {
  fc.assert(
    fc.property(members, fc.nat(33), (all, partitions) => {
      const shares = assignPartitions(all, partitions);
      expect([...shares.keys()].sort()).toEqual(all.map((m) => m.id).sort());
      const given = [...shares.values()].flat().sort((a, b) => a - b);
      expect(given).toEqual(Array.from({ length: partitions }, (_, p) => p));
      const sizes = [...shares.values()].map((share) => share.length);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      expect(assignPartitions([...all].reverse(), partitions)).toEqual(shares);
    }),
  );
});

it('moves only what the newcomer gets', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 32 }), (count, partitions) => {
      const ids = Array.from({ length: count }, (_, i) => ({ id: `m${i}`, owned: [] as number[] }));
      const before = assignPartitions(ids, partitions);
      const grown = [...before].map(([id, owned]) => ({ id, owned }));
      const after = assignPartitions([...grown, { id: 'new', owned: [] }], partitions);
      const moved = grown.flatMap(({ id, owned }) => owned.filter((p) => !after.get(id)!.includes(p)));
      expect(moved.sort((a, b) => a - b)).toEqual(after.get('new'));
      expect(moved.length).toBeLessThanOrEqual(Math.ceil(partitions / (count + 1)));
    }),
  );
});

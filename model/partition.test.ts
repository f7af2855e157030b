import { expect, it } from 'vitest';
import { murmur2, partitionOf } from './partition.ts';

it('agrees with the vectors of Kafka own test suite', () => {
  const vectors: [string, number][] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ];
  for (const [key, hash] of vectors) expect(murmur2(Buffer.from(key)), key).toBe(hash);
});

it('gives each device one partition inside the range', () => {
  for (let i = 0; i < 1000; i++) {
    const p = partitionOf(`device-${i}`, 7);
    expect(p).toBeGreaterThanOrEqual(0);
    expect(p).toBeLessThan(7);
    expect(partitionOf(`device-${i}`, 7)).toBe(p);
  }
});

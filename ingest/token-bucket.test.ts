import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TokenBucket } from './token-bucket.ts';

it('never gives more than the burst and the rate allow, and gives all of that to who waits', () => {
  const amount = fc.integer({ min: 1, max: 50 });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2000 }),
      fc.integer({ min: 1, max: 100 }),
      fc.array(fc.tuple(amount, fc.integer({ min: 0, max: 300 })), { minLength: 1, maxLength: 60 }),
      (perSecond, burst, wants) => {
        const bucket = new TokenBucket(perSecond, burst, 0);
        let nowMs = 0;
        let taken = 0;
        for (const [wanted, pauseMs] of wants) {
          nowMs += pauseMs;
          const waitMs = bucket.waitMs(nowMs);
          nowMs += waitMs;
          // Having waited as told, one may take.
          expect(bucket.waitMs(nowMs)).toBeLessThanOrEqual(1);
          nowMs += bucket.waitMs(nowMs);
          // What was taken before this is within the bounds; the last taking may overdraw.
          expect(taken).toBeLessThanOrEqual(burst + (nowMs * perSecond) / 1000 + 1e-6);
          bucket.take(wanted);
          taken += wanted;
        }
      },
    ),
  );
});

it('gives nothing for a clock that steps back', () => {
  const bucket = new TokenBucket(10, 1, 1000);
  bucket.take(2);
  expect(bucket.waitMs(1000)).toBe(100);
  expect(bucket.waitMs(0)).toBe(100);
  expect(bucket.waitMs(100)).toBe(1);
  expect(bucket.full(10_000)).toBe(true);
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AckOrder } from './ack-order.ts';

describe('the order of acknowledgements', () => {
  it('is that of the messages, in whatever order their frames become durable', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3000 }), // the frame of each message
        fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 6 }), // when each becomes durable
        (messages, order) => {
          const frames = order.map(() => ({ ids: [] as number[] }));
          const acks = new AckOrder<object>();
          messages.forEach((frame, id) => {
            frames[frame].ids.push(id);
            acks.expect(frames[frame]);
          });
          const sent: number[] = [];
          const done = new Set<number>();
          for (const frame of order) {
            const { ids } = frames[frame];
            done.add(frame);
            if (ids.length === 0) continue;
            acks.durable(frames[frame], Uint16Array.from(ids), ids.length, (some, count) =>
              sent.push(...some.subarray(0, count)),
            );
            // All that may go out has gone out: the messages before the first one that is not durable.
            const open = messages.findIndex((f) => !done.has(f));
            expect(sent).toHaveLength(open < 0 ? messages.length : open);
          }
          expect(sent).toEqual(messages.map((_, id) => id));
          expect(acks.waiting).toBe(false);
        },
      ),
      { numRuns: 200 },
    );
  });
});

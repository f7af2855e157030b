import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { OutgoingPacket } from './delivery.ts';
import { doorLimits } from './limits.ts';
import { OfflineQueues, ownBytes } from './offline-queues.ts';

let counter = 0;
const message = (payload: string): OutgoingPacket => ({
  cmd: 'publish',
  topic: 't',
  payload,
  qos: 1,
  retain: false,
  dup: false,
  brokerId: 'b',
  brokerCounter: ++counter,
});

async function queued(queues: OfflineQueues, id: string): Promise<string[]> {
  const out: string[] = [];
  for await (const packet of queues.outgoingStream({ id })) out.push(String((packet as OutgoingPacket).payload));
  return out;
}

describe('the queues of persistent sessions', () => {
  it('drop the oldest that was not sent, and say so', async () => {
    const dropped: string[] = [];
    const limits = doorLimits({ perClient: { offlineMessagesMax: 3 } });
    const queues = new OfflineQueues(limits, (client, n, reason) => void dropped.push(`${client} ${n} ${reason}`));
    const first = message('a');
    await queues.outgoingEnqueue({ clientId: 'c' }, first);
    await queues.outgoingUpdate({ id: 'c' }, { ...first, messageId: 7 });
    for (const payload of ['b', 'c', 'd', 'e']) await queues.outgoingEnqueue({ clientId: 'c' }, message(payload));
    expect(await queued(queues, 'c')).toEqual(['a', 'd', 'e']);
    expect(queues.dropped).toBe(2);
    expect(dropped[0]).toBe('c 1 the queue of its session is full; see mqtt.perClient');
    expect(String((await queues.outgoingClearMessageId({ id: 'c' }, { messageId: 7 }))!.payload)).toBe('a');
    expect(await queues.outgoingClearMessageId({ id: 'c' }, { messageId: 7 })).toBeUndefined();
  });

  it('drop the new one when all of the others were sent and none is acknowledged', async () => {
    const queues = new OfflineQueues(doorLimits({ perClient: { offlineMessagesMax: 2 } }), () => {});
    for (const id of [1, 2]) {
      const sent = message(`sent ${id}`);
      await queues.outgoingEnqueue({ clientId: 'c' }, sent);
      await queues.outgoingUpdate({ id: 'c' }, { ...sent, messageId: id });
    }
    const lost = message('lost');
    await queues.outgoingEnqueue({ clientId: 'c' }, lost);
    await expect(queues.outgoingUpdate({ id: 'c' }, { ...lost, messageId: 3 })).rejects.toThrow('no such packet');
    expect(await queued(queues, 'c')).toEqual(['sent 1', 'sent 2']);
  });

  it('together take from the largest, not from whoever comes last', async () => {
    const limits = doorLimits({ total: { offlineMessagesMax: 10 } });
    const queues = new OfflineQueues(limits, () => {});
    for (let i = 0; i < 8; i++) await queues.outgoingEnqueue({ clientId: 'greedy' }, message(`${i}`));
    for (let i = 0; i < 4; i++) await queues.outgoingEnqueue({ clientId: 'modest' }, message(`${i}`));
    expect(await queued(queues, 'greedy')).toEqual(['4', '5', '6', '7']);
    expect(await queued(queues, 'modest')).toEqual(['0', '1', '2', '3']);
    expect(queues.dropped).toBe(4);
  });

  it('keep their counts right and their bounds, whatever is done to them', async () => {
    const client = fc.constantFrom('a', 'b', 'c');
    const id = fc.integer({ min: 1, max: 6 });
    const action = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.tuple(client, fc.integer({ min: 0, max: 3000 })).map(([c, n]) => ({ do: 'add' as const, c, n })),
      },
      { weight: 3, arbitrary: fc.tuple(client, id, fc.nat()).map(([c, i, n]) => ({ do: 'send' as const, c, i, n })) },
      { weight: 2, arbitrary: fc.tuple(client, id).map(([c, i]) => ({ do: 'ack' as const, c, i })) },
      { weight: 1, arbitrary: fc.tuple(client, id).map(([c, i]) => ({ do: 'release' as const, c, i })) },
      { weight: 1, arbitrary: client.map((c) => ({ do: 'forget' as const, c })) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 80 }), async (actions) => {
        const limits = doorLimits({
          perClient: { offlineMessagesMax: 6, offlineBytesMax: 9000 },
          total: { offlineMessagesMax: 12, offlineBytesMax: 20_000 },
        });
        let told = 0;
        const queues = new OfflineQueues(limits, (_client, n) => {
          told += n;
        });
        const entries = async (c: string): Promise<OutgoingPacket[]> => {
          const out: OutgoingPacket[] = [];
          for await (const packet of queues.outgoingStream({ id: c })) out.push({ ...(packet as OutgoingPacket) });
          return out;
        };
        let added = 0;
        let gone = 0;
        for (const one of actions) {
          const mine = await entries(one.c);
          if (one.do === 'add') {
            await queues.outgoingEnqueue({ clientId: one.c }, message('x'.repeat(one.n)));
            added++;
          } else if (one.do === 'send') {
            const unsent = mine.filter((p) => p.messageId === undefined);
            if (unsent.length === 0 || mine.some((p) => p.messageId === one.i)) continue;
            await queues.outgoingUpdate({ id: one.c }, { ...unsent[one.n % unsent.length], messageId: one.i });
          } else if (one.do === 'ack') {
            const had = mine.some((p) => p.messageId === one.i);
            expect((await queues.outgoingClearMessageId({ id: one.c }, { messageId: one.i })) !== undefined).toBe(had);
            if (had) gone++;
          } else if (one.do === 'release') {
            const release = { ...message(''), cmd: 'pubrel', messageId: one.i };
            await queues.outgoingUpdate({ id: one.c }, release).catch(() => {});
          } else {
            gone += mine.length;
            queues.forget(one.c);
          }
          const all = (await Promise.all(['a', 'b', 'c'].map(entries))).flat();
          expect(queues.messages).toBe(all.length);
          expect(all.length).toBe(added - gone - queues.dropped);
          expect(told).toBe(queues.dropped);
          expect(queues.messages).toBeLessThanOrEqual(12);
          expect((await entries(one.c)).length).toBeLessThanOrEqual(6);
          if (all.length === 0) expect(queues.bytes).toBe(0);
          expect(queues.bytes).toBeLessThanOrEqual(20_000 + 9000);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('keep no more of a chunk than the message', () => {
    const chunk = Buffer.alloc(65_536, 7);
    const own = ownBytes(chunk.subarray(10, 12));
    expect(own.equals(Buffer.from([7, 7]))).toBe(true);
    expect(own.buffer.byteLength).toBe(2);
  });
});

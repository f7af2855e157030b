import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeProduced, encodeProduce, type ProduceRequest } from './kafka-produce.ts';

/** kafkajs's own encoder and decoder of the same request. */
const require = createRequire(import.meta.url);
const encodeRequest = require('kafkajs/src/protocol/request.js') as (request: object) => Promise<{ buffer: Buffer }>;
const produceV7 = require('kafkajs/src/protocol/requests/produce/v7/request.js') as (request: object) => object;
const answerV7 = require('kafkajs/src/protocol/requests/produce/v7/response.js') as {
  decode(payload: Buffer): Promise<{
    throttleTime: number;
    clientSideThrottleTime: number;
    topics: { topicName: string; partitions: { partition: number; errorCode: number; baseOffset: string }[] }[];
  }>;
};

const bytes = (max: number) => fc.uint8Array({ maxLength: max }).map((b) => Buffer.from(b));
const message = fc.record({
  key: fc.oneof(fc.constant(null), bytes(300)),
  value: fc.oneof(
    bytes(40),
    fc.integer({ min: 900, max: 70_000 }).map((n) => Buffer.alloc(n, n)),
  ),
  headers: fc.oneof(
    fc.constant({}),
    fc.constant({ 'sluice-frame': '1' }),
    fc.constant({ größe: 'ü'.repeat(80), other: '' }),
  ),
});
const request: fc.Arbitrary<ProduceRequest> = fc.record({
  acks: fc.constant(-1),
  timeout: fc.nat(),
  producerId: fc.bigInt({ min: -1n, max: 2n ** 62n }).map(String),
  producerEpoch: fc.integer({ min: 0, max: 32767 }),
  topicData: fc.array(
    fc.record({
      topic: fc.string({ maxLength: 20, unit: 'grapheme' }),
      partitions: fc.array(
        fc.record({
          partition: fc.nat(1000),
          firstSequence: fc.nat(2 ** 31 - 1),
          messages: fc.oneof(
            fc.array(message, { minLength: 1, maxLength: 4 }),
            // Offset deltas of two bytes.
            message.map((one) => Array.from({ length: 70 }, () => ({ ...one, value: Buffer.from('x') }))),
          ),
        }),
        { minLength: 1, maxLength: 3 },
      ),
    }),
    { minLength: 1, maxLength: 3 },
  ),
});

describe('the Produce request', () => {
  it('has the bytes that kafkajs writes for it', async () => {
    await fc.assert(
      fc.asyncProperty(request, fc.nat(2 ** 31 - 1), async (wanted, correlationId) => {
        const nowMs = 1_700_000_000_123;
        const timed = wanted.topicData.map(({ topic, partitions }) => ({
          topic,
          partitions: partitions.map((p) => ({
            ...p,
            messages: p.messages.map((m) => ({ ...m, timestamp: nowMs })),
          })),
        }));
        const expected = await encodeRequest({
          correlationId,
          clientId: 'sluice-door',
          request: produceV7({ ...wanted, topicData: timed }),
        });
        const pieces = encodeProduce(wanted, correlationId, 'sluice-door', nowMs);
        expect(Buffer.concat(pieces).equals(expected.buffer)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('does not copy a frame', () => {
    const value = Buffer.alloc(64 * 1024);
    const partitions = [{ partition: 0, firstSequence: 0, messages: [{ key: null, value, headers: {} }] }];
    const sent: ProduceRequest = {
      acks: -1,
      timeout: 1,
      producerId: '1',
      producerEpoch: 0,
      topicData: [{ topic: 't', partitions }],
    };
    expect(encodeProduce(sent, 1, 'c', 0)).toContain(value);
  });

  it('is answered with what kafkajs reads in the answer', async () => {
    const row = fc.tuple(
      fc.nat(1000),
      fc.integer({ min: -1, max: 100 }),
      fc.maxSafeNat().map(BigInt),
      fc.bigInt({ min: -1n, max: 2n ** 50n }),
    );
    const topics = fc.array(fc.tuple(fc.string({ maxLength: 9, unit: 'grapheme' }), fc.array(row, { maxLength: 4 })));
    await fc.assert(
      fc.asyncProperty(topics, fc.nat(), async (answered, throttleMs) => {
        const payload = answerBytes(answered, throttleMs);
        const theirs = await answerV7.decode(payload);
        const ours = decodeProduced(payload);
        expect(ours.throttleMs).toBe(theirs.clientSideThrottleTime);
        expect(ours.partitions).toEqual(
          theirs.topics.flatMap((t) =>
            t.partitions.map(({ partition, errorCode, baseOffset }) => ({
              topic: t.topicName,
              partition,
              errorCode,
              baseOffset: Number(baseOffset),
            })),
          ),
        );
      }),
    );
  });
});

function answerBytes(topics: [string, [number, number, bigint, bigint][]][], throttleMs: number): Buffer {
  const parts: Buffer[] = [int32(topics.length)];
  for (const [topic, rows] of topics) {
    const name = Buffer.from(topic);
    parts.push(int32(name.length).subarray(2), name, int32(rows.length));
    for (const [partition, errorCode, base, time] of rows) {
      const row = Buffer.alloc(30);
      row.writeInt32BE(partition, 0);
      row.writeInt16BE(errorCode, 4);
      row.writeBigInt64BE(base, 6);
      row.writeBigInt64BE(time, 14);
      parts.push(row);
    }
  }
  return Buffer.concat([...parts, int32(throttleMs)]);
}

function int32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeInt32BE(value);
  return out;
}

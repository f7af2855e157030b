import { decodeMultiple } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SluiceError } from './errors.ts';
import { encodeIdentity, encodeMessage, FrameBuilder, FrameReader } from './frame.ts';

interface Item {
  receivedMs: number;
  device: string;
  topic: string;
  payload: Uint8Array;
}

const item: fc.Arbitrary<Item> = fc.record({
  receivedMs: fc.integer({ min: 0, max: 2 ** 52 }),
  device: fc.string({ unit: 'grapheme', maxLength: 80 }),
  topic: fc.string({ maxLength: 40 }),
  // Mostly small; now and then one that needs each length form of the head (24, 256, 65,536).
  payload: fc.oneof(
    { weight: 8, arbitrary: fc.uint8Array({ maxLength: 300 }) },
    { weight: 1, arbitrary: fc.integer({ min: 65_500, max: 65_600 }).map((n) => new Uint8Array(n).fill(n & 255)) },
  ),
});

function build(items: Item[]): Uint8Array {
  const builder = new FrameBuilder(16);
  for (const m of items) {
    builder.append(m.receivedMs, encodeIdentity(m.device, m.topic), m.payload, 0, m.payload.length);
  }
  expect(builder.messages).toBe(items.length);
  return builder.finish();
}

function read(frame: Uint8Array): Item[] {
  const reader = new FrameReader();
  reader.reset(frame);
  const out: Item[] = [];
  while (reader.next()) {
    out.push({
      receivedMs: reader.receivedMs,
      device: reader.device(),
      topic: reader.topic(),
      payload: reader.payload().slice(),
    });
  }
  return out;
}

describe('frame', () => {
  it('has the documented bytes', () => {
    const frame = encodeMessage(1_700_000_000_123, 'd1', 'devices/d1/telemetry', Buffer.from('{"t":1}'));
    expect(Buffer.from(frame).toString('hex')).toBe(
      `841b0000018bcfe5687b62${Buffer.from('d1').toString('hex')}74${Buffer.from('devices/d1/telemetry').toString('hex')}47${Buffer.from('{"t":1}').toString('hex')}`,
    );
  });

  it('is read by another CBOR library as the items that were written', () => {
    fc.assert(
      fc.property(fc.array(item, { maxLength: 5 }), (items) => {
        const frame = build(items);
        const seen: unknown[] = [];
        if (frame.length > 0) decodeMultiple(frame, (value) => void seen.push(value));
        expect(
          seen.map((v) => {
            const [receivedMs, device, topic, payload] = v as [number | bigint, string, string, Uint8Array];
            return { receivedMs: Number(receivedMs), device, topic, payload: Buffer.from(payload).toString('latin1') };
          }),
        ).toEqual(items.map((m) => ({ ...m, payload: Buffer.from(m.payload).toString('latin1') })));
      }),
      { numRuns: 200 },
    );
  });

  it('holds the payload as it stood at its place in a chunk, whatever is done to the chunk afterwards', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(9), fc.oneof(fc.nat(40), fc.integer({ min: 250, max: 262 }))), { maxLength: 8 }),
        (places) => {
          const builder = new FrameBuilder(16);
          const expected: number[][] = [];
          const whole = new Uint8Array(4000).map((_, i) => i * 7);
          // A chunk is itself a part of something larger, as sockets give them.
          const chunk = whole.subarray(3);
          let at = 0;
          for (const [gap, length] of places) {
            at += gap;
            builder.append(1, encodeIdentity('d', 't'), chunk, at, at + length);
            expected.push([...chunk.subarray(at, at + length)]);
            at += length;
          }
          whole.fill(0);
          expect(read(builder.finish()).map(({ payload }) => [...payload])).toEqual(expected);
        },
      ),
    );
  });

  it('is read back by its own reader', () => {
    fc.assert(
      fc.property(fc.array(item, { maxLength: 20 }), (items) => {
        expect(read(build(items)).map((m) => ({ ...m, payload: Buffer.from(m.payload).toString('latin1') }))).toEqual(
          items.map((m) => ({ ...m, payload: Buffer.from(m.payload).toString('latin1') })),
        );
      }),
      { numRuns: 100 },
    );
  });

  it('refuses anything else with a frame error and nothing worse', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          read(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(SluiceError);
        }
      }),
      { numRuns: 5000 },
    );
    const frame = encodeMessage(1, 'd', 't', new Uint8Array(30));
    for (let cut = 1; cut < frame.length; cut++) expect(() => read(frame.subarray(0, cut))).toThrow(/malformed/);
  });

  it('never writes again to bytes it has handed over', () => {
    const builder = new FrameBuilder(64);
    const identity = encodeIdentity('d', 't');
    builder.append(1, identity, new Uint8Array([1, 2, 3]), 0, 3);
    const first = builder.finish();
    const copy = first.slice();
    builder.append(2, identity, new Uint8Array(500).fill(9), 0, 500);
    expect(first).toEqual(copy);
  });
});

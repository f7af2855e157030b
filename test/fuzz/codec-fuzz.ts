import { PacketScanner } from '../../ingest/packet-scanner.ts';
import type { FetchedPartition } from '../../log/kafka-client.ts';
import { framesOf } from '../../log/kafka-record.ts';
import { decodeFrameHeader, decodePartition, frameOf } from '../../log/lmdb-codec.ts';
import { SluiceError } from '../../model/errors.ts';
import { encodeMessage, FrameReader } from '../../model/frame.ts';
import { DECODE_LIMITS, MessageReadings } from '../../processors/decode/decoder.ts';
import { JsonDecoder } from '../../processors/decode/json.ts';
import { SkeletonDecoder } from '../../processors/decode/skeleton.ts';
import { Random } from '../simulation/random.ts';
import { mutate, packet, randomBytes } from './grammar.ts';

const RECEIVED_MS = 1_760_000_000_000;

/** Reads whatever `bytes` are as a frame: messages, or an error of ours that says that they are damaged. */
export function readFrame(bytes: Uint8Array): number {
  const reader = new FrameReader();
  reader.reset(bytes);
  let messages = 0;
  try {
    while (reader.next()) {
      reader.device();
      reader.topic();
      if (reader.payload().length > bytes.length) throw new Error('a payload is larger than its frame');
      if (++messages > bytes.length) throw new Error('there are more messages than bytes');
    }
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
  }
  return messages;
}

/** Both decoders must give the same for any payload, and neither may throw. */
function decodeBoth(plain: JsonDecoder, fast: SkeletonDecoder, memory: object, payload: Uint8Array): void {
  const told = [plain, fast].map((decoder) => {
    const out = new MessageReadings();
    const own = decoder === fast ? (memory as never) : { shapes: null, misses: 0 };
    const rejection = decoder.decode(payload, 0, payload.length, RECEIVED_MS, own, out);
    if (rejection !== null) return rejection.code;
    return Array.from({ length: out.count }, (_, i) => [out.metricAt(i), out.tsMs[i], out.value[i], out.textAt(i)]);
  });
  const [a, b] = told.map((one) => JSON.stringify(one));
  if (a !== b) throw new Error(`the decoders differ: ${a} and ${b}`);
}

function payloadOf(random: Random): string {
  const value = (depth: number): unknown => {
    switch (random.int(0, depth > 3 ? 6 : 8)) {
      case 0:
        return random.int(-1000, 1000);
      case 1:
        return random.between(-1, 1) * 10 ** random.int(-30, 30);
      case 2:
        return random.pick(['', 'text', 'é\u2028', '\ud83d', '2026-01-01T12:00:00Z', '\\u0000']);
      case 3:
        return random.chance(0.5);
      case 4:
        return null;
      case 5:
        return random.int(0, 2_000_000_000) * random.pick([1, 1e3, 1e6, 1e9]);
      case 6:
        return random.pick([0, -0, 1e308, 5e-324, 123456789012345680]);
      case 7:
        return Array.from({ length: random.int(0, 3) }, () => value(depth + 1));
      default:
        return Object.fromEntries(
          Array.from({ length: random.int(0, 4) }, () => [
            random.pick(['ts', 'values', 'temperature', 'a.b', '__proto__', 'constructor', '', 'seq', '\ufeff']),
            value(depth + 1),
          ]),
        );
    }
  };
  return (
    JSON.stringify(random.chance(0.8) ? { temperature: random.between(0, 50), ...(value(3) as object) } : value(0)) ??
    ''
  );
}

function scanAnyhow(random: Random, bytes: Buffer): void {
  const scan = (cut: () => number): string => {
    const scanner = new PacketScanner(2000);
    const found: string[] = [];
    for (let at = 0; at < bytes.length && scanner.problem === null; ) {
      const to = Math.min(bytes.length, at + cut());
      scanner.feed(bytes.subarray(at, to));
      while (scanner.next())
        found.push(Buffer.from(scanner.bytes.subarray(scanner.start, scanner.end)).toString('hex'));
      at = to;
    }
    return `${found.join(' ')} ${scanner.problem === null ? '' : 'refused'}`;
  };
  const whole = scan(() => bytes.length);
  const cut = scan(() => random.int(1, 9));
  if (whole !== cut) throw new Error(`the scanner depends on how ${bytes.toString('hex')} is cut`);
}

function fetched(random: Random): FetchedPartition {
  const messages = Array.from({ length: random.int(0, 4) }, (_, i) => ({
    offset: `${i * random.int(1, 3)}`,
    timestamp: `${random.pick([RECEIVED_MS, -1, 0])}`,
    key: random.chance(0.3) ? null : Buffer.from(randomBytes(random, random.int(0, 6))),
    value: random.chance(0.2) ? null : Buffer.from(randomBytes(random, random.int(0, 40))),
    headers: random.chance(0.3) ? { 'sluice-frame': Buffer.from('1') } : {},
    isControlRecord: random.chance(0.1),
    batchContext: { producerId: `${random.int(0, 2)}`, inTransaction: random.chance(0.3) },
  }));
  const abortedTransactions = random.chance(0.2) ? [{ producerId: '1', firstOffset: `${random.int(0, 3)}` }] : [];
  return { partition: 0, messages, abortedTransactions } as unknown as FetchedPartition;
}

/** Tries all readers of bytes with `rounds` inputs each. Throws at the first that breaks its promise, with the round in its message. */
export function fuzzCodecs(seed: number, rounds: number): { inputs: number } {
  const random = new Random(seed, 'codecs');
  const plain = new JsonDecoder(DECODE_LIMITS);
  const fast = new SkeletonDecoder(plain);
  const memory = { shapes: null, misses: 0 };
  let inputs = 0;
  for (let round = 0; round < rounds; round++) {
    try {
      const payload = payloadOf(random);
      const bytes = Buffer.from(payload);
      for (const one of [bytes, mutate(random, bytes), mutate(random, mutate(random, bytes))])
        decodeBoth(plain, fast, memory, one);
      const frame = Buffer.concat(
        Array.from({ length: random.int(1, 4) }, () =>
          encodeMessage(RECEIVED_MS, `d${random.int(0, 9)}`, 'devices/d/telemetry', bytes),
        ),
      );
      readFrame(frame);
      for (let i = 0; i < 3; i++) readFrame(mutate(random, frame));
      readFrame(randomBytes(random, random.int(0, 30)));
      const stream = Buffer.concat(
        Array.from({ length: random.int(1, 6) }, () =>
          packet(random.int(0, 255), randomBytes(random, random.int(0, 300))),
        ),
      );
      scanAnyhow(random, stream);
      scanAnyhow(random, mutate(random, stream));
      for (const { bytes: kafkaFrame } of framesOf(fetched(random), random.int(0, 3)).frames) readFrame(kafkaFrame);
      const value = randomBytes(random, random.int(40, 60));
      decodePartition(value);
      decodeFrameHeader(value);
      readFrame(frameOf(value));
      inputs += 14;
    } catch (error) {
      throw new Error(`seed ${seed}, round ${round}: ${(error as Error).message}`, { cause: error });
    }
  }
  return { inputs };
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectMessages, expectNothing, PacketRing, type PayloadName } from '../device-sim/blast-payload.ts';
import { ContentTally } from './content.ts';
import { addPackets } from './peers/subscriber.ts';

const BASE_MS = 1_700_000_000_000;
const DEVICES = 3;
const MESSAGES = 40;

interface Sent {
  device: string;
  packet: Buffer;
}

/** The packets that a blast of three devices sends, and what it says of them. */
function blasted(payload: PayloadName, unacknowledged = 0) {
  const expected = expectNothing(payload);
  const sent: Sent[] = [];
  for (let d = 0; d < DEVICES; d++) {
    const device = `run-000${d + 1}`;
    const ring = new PacketRing(device, payload, 1, BASE_MS, MESSAGES, d * 131);
    ring.fill(0, MESSAGES);
    expectMessages(expected, payload, d * 131, 0, MESSAGES);
    for (let m = 0; m < MESSAGES; m++)
      sent.push({ device, packet: ring.bytes.subarray(m * ring.packetBytes, (m + 1) * ring.packetBytes) });
  }
  const objects = payload === 'array10' ? 10 : 1;
  const result = { devicePrefix: 'run', baseMs: BASE_MS, tsMaxMs: BASE_MS + MESSAGES * objects - 1, unacknowledged };
  return { sent, result: { ...result, expected } };
}

/** What is wrong when these packets were received. */
function problemsOf(packets: readonly Buffer[], { result }: ReturnType<typeof blasted>): string[] {
  const tally = new ContentTally(result);
  addPackets(Buffer.concat(packets), tally);
  return tally.problems(result);
}

describe('the contents at the end of a chain', () => {
  it.each(['object', 'array10', 'single', 'strings'] as const)('are what was sent: %s', (payload) => {
    const blast = blasted(payload);
    const packets = blast.sent.map(({ packet }) => packet);
    expect(problemsOf(packets, blast)).toEqual([]);
    expect(problemsOf([...packets].reverse(), blast)).toEqual([]);
  });

  it.each(['object', 'array10', 'strings'] as const)(
    'miss one message, hold one twice, or one that was changed: %s',
    (payload) => {
      const blast = blasted(payload);
      const packets = blast.sent.map(({ packet }) => packet);
      const which = fc.nat(packets.length - 1);
      fc.assert(
        fc.property(which, which, fc.constantFrom('missing', 'doubled', 'changed', 'exchanged'), (n, other, how) => {
          const changed = [...packets];
          if (how === 'missing') changed.splice(n, 1);
          else if (how === 'doubled') changed.splice(other, 0, packets[n]);
          else if (how === 'changed') changed[n] = withOneMore(packets[n]);
          else if (n === other) return;
          else changed[n] = packets[other];
          expect(problemsOf(changed, blast)).not.toEqual([]);
        }),
      );
    },
  );

  it('name what is wrong', () => {
    const blast = blasted('object');
    const packets = blast.sent.map(({ packet }) => packet);
    expect(problemsOf(packets.slice(1), blast)).toContain('temperature: 1 readings are missing');
    expect(problemsOf([...packets, packets[7]], blast)).toContain('humidity: 1 readings are stored twice');
    expect(problemsOf([], blast)).toContain(`pressure: ${DEVICES * MESSAGES} readings are missing`);
  });

  it('may hold more where not all was acknowledged, and never less', () => {
    const blast = blasted('object', 1);
    const packets = blast.sent.map(({ packet }) => packet);
    expect(
      problemsOf(packets, { ...blast, result: { ...blast.result, expected: less(blast.result.expected) } }),
    ).toEqual([]);
    expect(problemsOf(packets.slice(1), blast)).not.toEqual([]);
  });

  it('see messages of others, of other times, and what cannot be read', () => {
    const { result } = blasted('single');
    const tally = new ContentTally(result);
    const add = (device: string, text: string) => tally.addPayload(device, Buffer.from(text), 0, text.length);
    add('warm-0001', `{"ts":${BASE_MS},"temperature":1}`);
    add('run-0001', `{"ts":${BASE_MS - 1},"temperature":1}`);
    add('run-0001', `{"ts":${result.tsMaxMs + 1},"temperature":1}`);
    add('run-0001', '{"ts":');
    expect(tally.strange).toBe(4);
    expect(tally.problems(result).at(-1)).toBe('4 messages are there that nobody has sent, or cannot be read');
  });

  it('are the same when somebody else has decoded them', () => {
    const { sent, result } = blasted('strings');
    const tally = new ContentTally(result);
    for (const { device, packet } of sent) {
      const { ts, ...values } = JSON.parse(packet.toString('latin1', packet.indexOf('{')));
      tally.addValues(device, ts, values);
    }
    expect(tally.problems(result)).toEqual([]);
    tally.addValues('run-0001', BASE_MS, { voltage: 1 });
    expect(tally.problems(result)).toEqual(['voltage: nobody has sent it']);
  });
});

/** The first value after the first comma is another: a digit of it goes up by one, or a letter to the next. */
function withOneMore(packet: Buffer): Buffer {
  const changed = Buffer.from(packet);
  const at = changed.indexOf('"temperature":') + '"temperature":'.length;
  changed[at] = changed[at] === 0x39 ? 0x31 : changed[at] + 1;
  return changed;
}

function less(expected: ReturnType<typeof expectNothing>): ReturnType<typeof expectNothing> {
  return {
    ...expected,
    numbers: Object.fromEntries(
      Object.entries(expected.numbers).map(([m, n]) => [m, { count: n.count - 1, sum: n.sum - 10 }]),
    ),
  };
}

import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { generate, type Packet } from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { silentLogger } from '../model/logger.ts';
import { Batcher } from './batcher.ts';
import type { BrokerStream } from './broker-stream.ts';
import { ClientRates } from './client-rates.ts';
import { Connection } from './connection.ts';
import { telemetry } from './door.fixture.ts';
import { DOOR_LIMITS, doorLimits, type LimitOverrides } from './limits.ts';
import { MemoryLog } from './memory-log.fixture.ts';
import { PartialPackets } from './partial-packets.ts';
import { Pressure } from './pressure.ts';
import { Qos2Handshakes } from './qos2-handshakes.ts';
import { TelemetryFilters } from './telemetry-filters.ts';

const NO_ANSWERS = { ids: [], received: [], completed: [], pongs: 0, connacks: 0 };

/** A socket of the test's own: it says what was written, and can refuse to take more. */
class TestWire extends Duplex {
  written = Buffer.alloc(0);
  stuck: (() => void)[] = [];
  sticking = false;

  constructor() {
    super({ writableHighWaterMark: 100 });
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written = Buffer.concat([this.written, chunk]);
    if (this.sticking) this.stuck.push(done);
    else done();
  }

  unstick(): void {
    this.sticking = false;
    for (const done of this.stuck.splice(0)) done();
  }
}

/** One connection with the real lane and log, and in place of the broker a list of what it would have got. */
class Bench {
  readonly wire = new TestWire();
  readonly log = new MemoryLog(2);
  readonly clock = new ManualClock(1_700_000_000_000);
  readonly counters = { bytesReceived: 0, packetsRefused: 0 };
  readonly reasons: string[] = [];
  readonly connection: Connection;
  passed = Buffer.alloc(0);
  /** The CONNECTs among it. */
  readonly connects: Buffer[] = [];
  /** Given to the broker once there is a CONNECT. */
  stream: BrokerStream<Connection> | undefined;
  readonly #known: boolean;

  /** `known`: the broker has to know the client from the start. */
  constructor(overrides: LimitOverrides = {}, known = false) {
    this.#known = known;
    const limits = doorLimits(overrides);
    const pressure = new Pressure(1 << 24);
    const options = { lingerMs: 0, frameBytesMax: 65_536, inFlightBytesMax: 1 << 24, tickMs: 1000 };
    this.connection = new Connection(this.wire, 'test', {
      batcher: new Batcher(this.log, options, pressure, this.clock, silentLogger),
      pressure,
      filters: new TelemetryFilters(),
      handshakes: new Qos2Handshakes(limits.total.handshakesMax, () => {}),
      limits,
      rates: new ClientRates(limits.perClient),
      partials: new PartialPackets(limits.total.partialBytesMax),
      clock: this.clock,
      counters: this.counters,
      admit: async (connection, { clientId }) => {
        Object.assign(connection, { clientId, principal: { name: '', device: null } });
        return { granted: true, needsBroker: known };
      },
      serve: (stream) => {
        this.stream = stream;
        stream.on('data', (chunk: Buffer) => {
          if (chunk[0] >>> 4 === 1) {
            this.connects.push(chunk);
            setImmediate(() => {
              this.connection.brokerWrites([Buffer.from([0x20, 2, 0, 0])], () => {});
              this.connection.accepted();
            });
            return;
          }
          this.passed = Buffer.concat([this.passed, chunk]);
          const acknowledged = chunk[0] >>> 4 === 3 && (chunk[0] & 6) > 0;
          if (acknowledged) setImmediate(() => this.connection.slowTelemetryDone());
          const suback = Buffer.from([0x90, 3, chunk[2], chunk[3], 0]);
          if (chunk[0] >>> 4 === 8) setImmediate(() => this.connection.brokerWrites([suback], () => {}));
        });
        stream.on('error', () => {});
      },
      publish: (_message, done) => done(),
      closing: (_connection, reason) => void this.reasons.push(reason),
      closed: () => {},
    });
  }

  async accept(keepalive = 0): Promise<this> {
    const connect = { cmd: 'connect', clientId: 'd1', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive };
    this.wire.push(generate(connect as Packet));
    await this.drained();
    expect(acksIn(this.wire.written)).toEqual({ ...NO_ANSWERS, connacks: 1 });
    this.wire.written = Buffer.alloc(0);
    expect(this.connects.length).toBe(this.#known ? 1 : 0);
    // The broker is given the same CONNECT without a keep-alive, which is the connection's affair.
    if (this.#known) expect(this.connects[0].equals(generate({ ...connect, keepalive: 0 } as Packet))).toBe(true);
    return this;
  }

  async drained(): Promise<void> {
    // Enough turns of the event loop for the streams, the batcher and the log.
    for (let i = 0; i < 12; i++) await new Promise((resolve) => setImmediate(resolve));
  }
}

interface Step {
  bytes: Buffer;
  /** What the step must lead to. */
  logged?: string;
  ack?: number;
  pong?: boolean;
  /** QoS 2: the packet id of a message with this payload, or of a PUBREL. */
  qos2?: { id: number; payload?: string };
}

const other = (packet: object): Step => ({ bytes: generate(packet as Packet) });
const payload = fc.string({ maxLength: 200 });
const id = fc.integer({ min: 1, max: 65_535 });
/** Few, so that they are used again while they are open. */
const handshakeId = fc.integer({ min: 1, max: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(payload, id).map(([p, n]) => ({ bytes: telemetry('d1', p, n), logged: p, ack: n })),
  },
  { weight: 2, arbitrary: payload.map((p) => ({ bytes: telemetry('d2', p), logged: p })) },
  { weight: 1, arbitrary: fc.constant({ bytes: generate({ cmd: 'pingreq' }), pong: true }) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(payload, id)
      .map(([p, messageId]) =>
        other({ cmd: 'publish', topic: 'news/today', payload: p, qos: 1, messageId, dup: false, retain: true }),
      ),
  },
  {
    weight: 1,
    arbitrary: id.map((messageId) => other({ cmd: 'subscribe', messageId, subscriptions: [{ topic: 'a/#', qos: 1 }] })),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(payload, handshakeId, fc.boolean())
      .map(([p, n, dup]) => ({ bytes: telemetry('d1', p, n, { qos: 2, dup }), qos2: { id: n, payload: p } })),
  },
  {
    weight: 3,
    arbitrary: handshakeId.map((n) => ({ ...other({ cmd: 'pubrel', messageId: n }), qos2: { id: n } })),
  },
);

/** What steps of QoS 2 lead to, by the words of MQTT: `begun` are logged, `toBroker` are PUBRELs that are not the lane's. */
function handshakesOf(steps: readonly Step[], known: boolean) {
  const open = new Set<number>();
  const begun: string[] = [];
  const toBroker = new Set<Step>();
  const answers = { received: [] as number[], completed: [] as number[] };
  let broker = known;
  for (const step of steps) {
    const { qos2 } = step;
    if (qos2 === undefined) broker ||= step.logged === undefined && !step.pong;
    else if (qos2.payload !== undefined) {
      answers.received.push(qos2.id);
      if (!open.has(qos2.id)) begun.push(qos2.payload);
      open.add(qos2.id);
    } else if (!open.delete(qos2.id) && broker) toBroker.add(step);
    else answers.completed.push(qos2.id);
  }
  return { begun, toBroker, answers };
}

describe('a connection', () => {
  it('comes to the same, however its bytes are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 40 }),
        fc.boolean(),
        async (steps, cuts, known) => {
          const bench = await new Bench({}, known).accept();
          const bytes = Buffer.concat(steps.map((s) => s.bytes));
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const take = cuts[i % cuts.length];
            bench.wire.push(bytes.subarray(at, at + take));
            at += take;
            if (i % 3 === 0) await bench.drained();
          }
          // Each message of the broker's waits for the acknowledgements before it.
          for (let i = 0; i <= steps.length; i++) await bench.drained();
          expect(bench.reasons).toEqual([]);
          const { begun, toBroker, answers } = handshakesOf(steps, known);
          const logged = [...steps.flatMap((s) => (s.logged === undefined ? [] : [s.logged])), ...begun];
          expect(
            bench.log
              .messages()
              .map((m) => Buffer.from(m.payload, 'latin1').toString())
              .sort(),
          ).toEqual(logged.sort());
          const broker = steps.filter((s) =>
            s.qos2 === undefined ? s.logged === undefined && !s.pong : toBroker.has(s),
          );
          expect(bench.passed.equals(Buffer.concat(broker.map((s) => s.bytes)))).toBe(true);
          // The broker gets to know the client once, when there is something for it.
          expect(bench.connects.length).toBe(known || broker.length > 0 ? 1 : 0);
          expect(acksIn(bench.wire.written)).toEqual({
            ids: steps.filter((s) => s.ack !== undefined).map((s) => s.ack),
            ...answers,
            pongs: steps.filter((s) => s.pong).length,
            connacks: 0,
          });
        },
      ),
      { numRuns: 150 },
    );
  });

  it('stops reading a peer that does not read its acknowledgements', async () => {
    const bench = await new Bench({ writeBufferBytesMax: 400 }).accept();
    bench.wire.sticking = true;
    for (let i = 0; i < 50; i++) {
      bench.wire.push(Buffer.concat(Array.from({ length: 10 }, (_, k) => telemetry('d1', 'x', i * 10 + k + 1))));
      await bench.drained();
    }
    expect(bench.wire.isPaused()).toBe(true);
    expect(bench.log.messages().length).toBeLessThan(200);
    bench.wire.unstick();
    await bench.drained();
    await bench.drained();
    expect(bench.log.messages().length).toBe(500);
    expect(acksIn(bench.wire.written).ids).toEqual(Array.from({ length: 500 }, (_, i) => i + 1));
  });

  it('counts the lane’s packets for the keep-alive, and closes who is silent for one and a half times of it', async () => {
    const bench = await new Bench({}, true).accept(10);
    for (let i = 1; i <= 10; i++) {
      bench.clock.advance(9000);
      bench.connection.sweep(bench.clock.nowMs());
      bench.wire.push(telemetry('d1', 'x', i));
      await bench.drained();
    }
    expect(bench.reasons).toEqual([]);
    bench.clock.advance(15_001);
    bench.connection.sweep(bench.clock.nowMs());
    expect(bench.reasons).toEqual(['silent for one and a half times its keep-alive']);
    expect(bench.stream!.destroyed).toBe(true);
  });

  it('does not take its own pauses for the client’s silence', async () => {
    const bench = await new Bench().accept(10);
    bench.connection.stopReading();
    bench.clock.advance(60_000);
    bench.connection.sweep(bench.clock.nowMs());
    expect(bench.reasons).toEqual([]);
  });

  it('gives a client a time to send CONNECT', () => {
    const bench = new Bench();
    bench.clock.advance(DOOR_LIMITS.connectTimeoutMs);
    bench.connection.sweep(bench.clock.nowMs());
    expect(bench.reasons).toEqual([]);
    bench.clock.advance(1);
    bench.connection.sweep(bench.clock.nowMs());
    expect(bench.reasons).toEqual(['no CONNECT in time']);
  });

  it('reads a client no faster than its rate, in messages and in bytes, and drops nothing', async () => {
    const bytes = telemetry('d1', 'x'.repeat(30), 1).length;
    for (const perClient of [{ perSecondMessagesMax: 10 }, { perSecondBytesMax: 10 * bytes }]) {
      const bench = await new Bench({ perClient }).accept();
      const all = Array.from({ length: 45 }, (_, i) => telemetry('d1', 'x'.repeat(30), i + 1));
      bench.wire.push(Buffer.concat([...all, generate({ cmd: 'pingreq' })]));
      const taken: number[] = [];
      for (let second = 0; second < 5; second++) {
        await bench.drained();
        taken.push(bench.log.messages().length);
        if (second === 0) expect(bench.wire.isPaused()).toBe(true);
        for (let i = 0; i < 10; i++) {
          bench.clock.advance(100);
          await bench.drained();
        }
      }
      // A second's worth at once, then ten a second; one of them is taken ahead.
      for (const [second, n] of taken.entries()) {
        const due = Math.min(45, 10 + 10 * second);
        expect([due, Math.min(45, due + 1)]).toContain(n);
      }
      expect(acksIn(bench.wire.written)).toEqual({ ...NO_ANSWERS, ids: all.map((_, i) => i + 1), pongs: 1 });
      expect(bench.reasons).toEqual([]);
    }
  });

  it('reads no more of a client that has enough messages on their way to the log', async () => {
    const bench = await new Bench({ perClient: { inFlightMessagesMax: 10 } }).accept();
    bench.log.holding = true;
    for (let i = 1; i <= 30; i++) {
      bench.wire.push(telemetry('d1', 'x', i));
      await bench.drained();
    }
    expect(bench.wire.isPaused()).toBe(true);
    bench.log.holding = false;
    bench.log.release();
    for (let i = 0; i < 10; i++) await bench.drained();
    expect(bench.wire.isPaused()).toBe(false);
    expect(acksIn(bench.wire.written).ids).toHaveLength(30);
  });

  it('gives a packet a time to become complete, and its own pauses do not count', async () => {
    const bench = await new Bench({ packetTimeoutMs: 5000 }).accept();
    const packet = telemetry('d1', 'x'.repeat(100), 1);
    const dribble = async (bytes: number, from: number) => {
      for (let at = from; at < from + bytes; at++) {
        bench.clock.advance(500);
        bench.connection.sweep(bench.clock.nowMs());
        bench.wire.push(packet.subarray(at, at + 1));
        await bench.drained();
      }
    };
    await dribble(8, 0);
    bench.wire.push(packet.subarray(8));
    await bench.drained();
    expect(acksIn(bench.wire.written).ids).toEqual([1]);
    bench.clock.advance(60_000); // between packets there is no hurry
    bench.connection.sweep(bench.clock.nowMs());
    expect(bench.reasons).toEqual([]);
    await dribble(13, 0);
    expect(bench.reasons).toEqual(['a packet was not complete after 5000 ms; see mqtt.packetTimeoutMs']);
  });

  it('never throws, whatever comes, and ends what is not MQTT', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(step, { maxLength: 6 }),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
        fc.uint8Array({ maxLength: 60 }),
        async (accepted, steps, changes, tail) => {
          const bench = new Bench({ packetBytesMax: 5000 });
          if (accepted) await bench.accept();
          const bytes = Buffer.concat([...steps.map((s) => s.bytes), tail]);
          for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
          for (let at = 0; at < bytes.length; at += 37) bench.wire.push(bytes.subarray(at, at + 37));
          await bench.drained();
          if (bench.counters.packetsRefused > 0) {
            expect(bench.reasons).toHaveLength(1);
            // A client that was never let through to the broker has nothing to be ended there.
            expect(bench.stream?.destroyed ?? true).toBe(true);
            expect(bench.wire.writableEnded).toBe(true);
          }
          // Nothing is acknowledged that is not on the log.
          const { ids, received } = acksIn(bench.wire.written);
          expect(ids.length + new Set(received).size).toBeLessThanOrEqual(bench.log.messages().length);
        },
      ),
      { numRuns: 400 },
    );
  });
});

/** Reads what the door itself writes, and SUBACKs: anything else is a broken stream. */
function acksIn(bytes: Buffer) {
  const ids: number[] = [];
  const received: number[] = [];
  const completed: number[] = [];
  let pongs = 0;
  let connacks = 0;
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] === 0xd0) {
      pongs++;
      at += 2;
    } else if (bytes[at] === 0x20) {
      connacks++;
      at += 4;
    } else if (bytes[at] === 0x90) {
      at += 5;
    } else {
      expect(['4002', '5002', '7002']).toContain(bytes.subarray(at, at + 2).toString('hex'));
      ({ 4: ids, 5: received, 7: completed })[bytes[at] >>> 4]!.push(bytes.readUInt16BE(at + 2));
      at += 4;
    }
  }
  return { ids, received, completed, pongs, connacks };
}

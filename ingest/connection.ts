import type { Duplex } from 'node:stream';
import type { Clock } from '../model/clock.ts';
import type { SluiceError } from '../model/errors.ts';
import type { Principal } from './access.ts';
import type { Batcher } from './batcher.ts';
import type { BrokerMessage } from './broker.ts';
import { type BrokerPeer, BrokerStream } from './broker-stream.ts';
import { judgeConnect } from './connect-guard.ts';
import type { DoorLimits } from './limits.ts';
import { connack, copyOf, encodePubacks, PACKET, PINGRESP, readUint16 } from './mqtt-bytes.ts';
import type { AckReceiver } from './open-frame.ts';
import { packetProblem, publishPacketProblem } from './packet-guard.ts';
import { PacketScanner } from './packet-scanner.ts';
import type { Pressure, Relievable } from './pressure.ts';
import type { TelemetryFilters } from './telemetry-filters.ts';
import { type Route, TelemetryRoutes } from './telemetry-routes.ts';

/** What a connection needs of the door. */
export interface ConnectionParts {
  batcher: Batcher;
  pressure: Pressure;
  filters: TelemetryFilters;
  limits: DoorLimits;
  clock: Clock;
  counters: { bytesReceived: number; packetsRefused: number };
  serve(stream: BrokerStream<Connection>): void;
  publish(message: BrokerMessage, done: (error?: Error) => void): void;
  released(connection: Connection, packetId: number): void;
  /** The connection ends for a reason that an operator may want to know. */
  closing(connection: Connection, reason: string): void;
  closed(connection: Connection): void;
}

/** Why a socket is not read at the moment; bits of a mask. */
const PAUSE = {
  /** The door is full. */
  pressure: 1,
  /** The broker has not taken what it was given. */
  broker: 2,
  /** The peer does not read what it is sent. */
  writes: 4,
  /** Something has to happen before the next packet may be looked at. */
  hold: 8,
  /** The door is closing. */
  closing: 16,
} as const;

/** After the last byte was written, a peer has this long to close its side. */
const LINGER_MS = 1000;
/** What a client sent before it hung up is given this long to be worked off. */
const READ_OUT_MS = 10_000;
/** A message that goes through the broker costs more than its bytes while it is in flight. */
const FAN_OUT_BYTES = 1024;

/**
 * One client: its socket on one side, the broker's stream on the other, and the express lane between them.
 *
 *     fresh ──CONNECT──▶ connecting ──accepted by the broker──▶ ready ──DISCONNECT──▶ leaving
 *       └────────────────────┴───────────────┴── refused, lost, taken over ──▶ closed ◀──┘
 *
 * While connecting nothing further is read. When ready, a QoS 0 or 1 PUBLISH on a telemetry topic goes into the open frame of
 * its partition, and is acknowledged by `acknowledge` when that frame is durable. A repetition (DUP) takes the same way, since
 * at-least-once is what QoS 1 promises. Everything else goes to the broker, except PINGREQ: it is answered here, so that a
 * client is not thought dead because the broker waits for the log.
 *
 * A telemetry message that the broker has to handle (retained, QoS 2) must not be overtaken by those behind it: the lane waits
 * until it has been published.
 */
export class Connection implements BrokerPeer, AckReceiver, Relievable {
  readonly remote: string;
  readonly loopback: boolean;
  /** Under which key the QoS 2 handshakes of its session are kept. */
  session = '';
  /** Set when the broker has accepted the client. */
  clientId = '';
  clean = true;
  principal: Principal | null = null;
  willTopic: string | null = null;
  /** Why it was ended, if not by the client. */
  reason: string | null = null;
  /** True once the broker has accepted the client, until it is closed. */
  ready = false;
  readonly #wire: Duplex;
  readonly #parts: ConnectionParts;
  readonly #scanner: PacketScanner;
  readonly #stream: BrokerStream<Connection>;
  #phase: 'fresh' | 'connecting' | 'ready' | 'leaving' | 'closed' = 'fresh';
  #routes: TelemetryRoutes | null = null;
  #pauses = 0;
  /** Chunks that came while the scanner could not go on. */
  #stash: Uint8Array[] = [];
  #scanning = false;
  /** The packet that the scanner stands at was not dealt with yet. */
  #again = false;
  #wireEnded = false;
  #brokerEnded = false;
  /** The chunk at hand brought telemetry, so its socket is one to pause when the door is full. */
  #brought = false;
  /** Telemetry messages that the broker is still busy with. */
  #slowTelemetry = 0;
  #brokerWaits: (() => void) | null = null;
  /** Anything has come. */
  #heard = false;
  #openedMs: number;
  #heardMs: number;
  #keepAliveMs = 0;
  /** The socket is gone. */
  #lost = false;
  #closedMs = 0;

  constructor(wire: Duplex, remote: string, loopback: boolean, parts: ConnectionParts) {
    this.#wire = wire;
    this.remote = remote;
    this.loopback = loopback;
    this.#parts = parts;
    this.#scanner = new PacketScanner(parts.limits.connectPacketBytesMax);
    this.#openedMs = this.#heardMs = parts.clock.nowMs();
    this.#stream = new BrokerStream<Connection>(this);
    wire.on('data', (chunk: Uint8Array) => this.#onData(chunk));
    wire.on('drain', () => this.#onDrain());
    wire.on('end', () => this.#onEnd());
    wire.on('error', () => this.#end());
    wire.on('close', () => this.#onLost());
    parts.serve(this.#stream);
  }

  #onData(chunk: Uint8Array): void {
    this.#heardMs = this.#parts.clock.nowMs();
    this.#parts.counters.bytesReceived += chunk.length;
    if (this.#phase === 'closed' || this.#phase === 'leaving') return;
    if (!this.#heard) {
      this.#heard = true;
      // Other protocols are told from the first byte; their next ones would only look like a long packet to wait for.
      if (chunk[0] !== PACKET.connect << 4) {
        this.#refuse('the first packet is not a CONNECT'); // [MQTT-3.1.0-1]
        return;
      }
    }
    if (this.#scanning || (this.#pauses & PAUSE.hold) !== 0 || this.#stash.length > 0) {
      this.#stash.push(chunk);
      return;
    }
    this.#scanner.feed(chunk);
    this.#scan();
  }

  /** Deals with packets until the bytes at hand are used up or something has to be waited for. */
  #scan(): void {
    const scanner = this.#scanner;
    this.#scanning = true;
    for (;;) {
      while ((this.#pauses & PAUSE.hold) === 0 && this.#reading()) {
        if (this.#again) this.#again = false;
        else if (!scanner.next()) break;
        this.#packet(scanner);
      }
      if (scanner.problem !== null && this.#reading()) this.#refuse(scanner.problem);
      if ((this.#pauses & PAUSE.hold) !== 0 || !this.#reading()) break;
      const chunk = this.#stash.shift();
      if (chunk === undefined) break;
      scanner.feed(chunk);
    }
    this.#scanning = false;
    if (!this.#reading()) this.#stash.length = 0;
    else this.#endBroker();
    if (this.#brought && this.#parts.pressure.full && this.#phase === 'ready') {
      this.#pause(PAUSE.pressure);
      this.#parts.pressure.wait(this);
    }
    this.#brought = false;
  }

  #reading(): boolean {
    return this.#phase !== 'closed' && this.#phase !== 'leaving';
  }

  #packet(scanner: PacketScanner): void {
    const { bytes, start, bodyStart, end } = scanner;
    if (this.#phase === 'fresh') {
      this.#connect(bytes, start, bodyStart, end);
      return;
    }
    const type = bytes[start] >>> 4;
    if (type === PACKET.publish) {
      this.#publish(bytes, start, bodyStart, end);
      return;
    }
    if (type === PACKET.connect) {
      this.#refuse('a second CONNECT'); // [MQTT-3.1.0-2]
      return;
    }
    const problem = packetProblem(bytes, start, bodyStart, end, this.#parts.limits);
    if (problem !== null) {
      this.#refuse(problem);
      return;
    }
    if (type === PACKET.pingreq) {
      this.#send(PINGRESP);
      return;
    }
    if (type === PACKET.disconnect) {
      if (this.#waitForBroker()) return;
      this.#phase = 'leaving';
    }
    if (type === PACKET.pubrel) this.#parts.released(this, readUint16(bytes, bodyStart));
    this.#pass(bytes, start, end);
  }

  #connect(bytes: Uint8Array, start: number, bodyStart: number, end: number): void {
    const verdict = judgeConnect(bytes, start, bodyStart, end, this.#parts.limits);
    if (verdict.kind === 'refuse') {
      this.#refuse(verdict.reason);
      return;
    }
    if (verdict.kind === 'answer') {
      this.#send(connack(verdict.returnCode));
      this.#refuse(verdict.reason);
      return;
    }
    this.willTopic = verdict.willTopic;
    this.#keepAliveMs = verdict.keepAliveSeconds * 1500; // one and a half times [MQTT-3.1.2-24]
    this.#phase = 'connecting';
    this.#pause(PAUSE.hold);
    // The broker does not see the lane's packets nor our pauses, so the keep-alive is ours: it is given none.
    const copy = copyOf(bytes, start, end);
    copy[verdict.keepAliveAt - start] = 0;
    copy[verdict.keepAliveAt - start + 1] = 0;
    this.#stream.push(copy);
  }

  /** The broker has accepted the client and sent its CONNACK. */
  accepted(clientId: string, clean: boolean): void {
    if (this.#phase !== 'connecting') return;
    this.#phase = 'ready';
    this.ready = true;
    this.clientId = clientId;
    this.clean = clean;
    this.#routes = new TelemetryRoutes(this.principal!, this.#parts.batcher.partitions, this.#parts.limits);
    this.#scanner.packetBytesMax = this.#parts.limits.packetBytesMax;
    this.#goOn();
  }

  #publish(bytes: Uint8Array, start: number, bodyStart: number, end: number): void {
    const first = bytes[start];
    const topicEnd = bodyStart + 2 + readUint16(bytes, bodyStart);
    if (topicEnd > end) {
      this.#refuse('PUBLISH ends inside its topic');
      return;
    }
    const routes = this.#routes!;
    const route = routes.find(bytes, bodyStart, topicEnd);
    // QoS 0, QoS 1 and QoS 1 repeated, not retained.
    if (route === null || (first !== 0x32 && first !== 0x30 && first !== 0x3a)) {
      this.#publishThroughBroker(route, bytes, start, bodyStart, end);
      return;
    }
    if (this.#slowTelemetry > 0 && this.#waitForBroker()) return;
    let payloadStart = topicEnd;
    let id = 0;
    if (first !== 0x30) {
      id = readUint16(bytes, topicEnd);
      payloadStart = topicEnd + 2;
      if (payloadStart > end || id === 0) {
        this.#refuse(payloadStart > end ? 'PUBLISH ends inside its packet id' : 'packet id 0');
        return;
      }
    }
    this.#brought = true;
    const frame = this.#parts.batcher.add(route.partition, this.#heardMs, route.identity, bytes, payloadStart, end);
    if (id !== 0) frame.expect(this, id);
    if (this.#parts.filters.matches(route.device)) {
      this.#fanOut(route, first === 0x30 ? 0 : 1, copyOf(bytes, payloadStart, end));
    }
  }

  #publishThroughBroker(route: Route | null, bytes: Uint8Array, start: number, bodyStart: number, end: number): void {
    const problem =
      (route === null ? this.#routes!.problem : null) ??
      publishPacketProblem(bytes, start, bodyStart, end, this.#parts.limits);
    if (problem !== null) {
      this.#refuse(problem);
      return;
    }
    if (route !== null) this.#slowTelemetry++;
    this.#pass(bytes, start, end);
  }

  /** Holds the packet that the scanner stands at while the broker is busy with earlier telemetry. */
  #waitForBroker(): boolean {
    if (this.#slowTelemetry === 0) return false;
    this.#again = true;
    this.#pause(PAUSE.hold);
    return true;
  }

  /** The broker is done with a telemetry message of this client. */
  slowTelemetryDone(): void {
    if (this.#slowTelemetry > 0 && --this.#slowTelemetry === 0 && this.#again) this.#goOn();
  }

  /** Lets subscribers of a telemetry topic have a message that took the lane. */
  #fanOut(route: Route, qos: 0 | 1, payload: Uint8Array): void {
    const { pressure } = this.#parts;
    const bytes = payload.length + FAN_OUT_BYTES;
    pressure.add(bytes);
    this.#parts.publish({ topic: route.topic, payload, qos, retain: false }, () => pressure.release(bytes));
  }

  #pass(bytes: Uint8Array, start: number, end: number): void {
    if (!this.#stream.push(bytes.subarray(start, end))) this.#pause(PAUSE.broker);
  }

  /** Goes on where `hold` stopped. */
  #goOn(): void {
    this.#unpause(PAUSE.hold);
    if (!this.#scanning) this.#scan();
  }

  // The batcher's side.

  acknowledge(ids: Uint16Array, count: number): void {
    if (this.#phase !== 'closed') this.#send(encodePubacks(ids, count));
  }

  appendFailed(error: SluiceError): void {
    this.close(`the log did not take its messages: ${error.toLine()}`);
  }

  relieve(): void {
    this.#unpause(PAUSE.pressure);
  }

  // The broker's side.

  brokerReads(): void {
    this.#unpause(PAUSE.broker);
  }

  brokerWrites(chunks: readonly Uint8Array[], done: () => void): void {
    if (this.#wire.destroyed || this.#wire.writableEnded) {
      done();
      return;
    }
    this.#wire.cork();
    for (const chunk of chunks) this.#wire.write(chunk);
    this.#wire.uncork();
    if (this.#wire.writableNeedDrain) this.#brokerWaits = done;
    else done();
  }

  brokerCloses(): void {
    this.#end();
  }

  // The socket's side.

  /** Writes whole packets. */
  #send(packets: Uint8Array): void {
    if (this.#wire.destroyed || this.#wire.writableEnded) return;
    this.#wire.write(packets);
    // Only a stream that has announced `drain` will send it.
    if (this.#wire.writableNeedDrain && this.#wire.writableLength > this.#parts.limits.writeBufferBytesMax)
      this.#pause(PAUSE.writes);
  }

  #onDrain(): void {
    const waits = this.#brokerWaits;
    this.#brokerWaits = null;
    waits?.();
    this.#unpause(PAUSE.writes);
  }

  #onEnd(): void {
    this.#wireEnded = true;
    this.#endBroker();
  }

  /** Tells the broker that the client sends no more, once it has been given all that was sent. */
  #endBroker(): void {
    if (!this.#wireEnded || this.#brokerEnded || !this.#reading()) return;
    if ((this.#pauses & PAUSE.hold) !== 0 || this.#stash.length > 0) return;
    this.#brokerEnded = true;
    this.#stream.push(null);
  }

  /** The socket is gone. What came before a proper end is still the broker's to read; it then closes the stream. */
  #onLost(): void {
    this.#lost = true;
    this.#closedMs = this.#parts.clock.nowMs();
    if (this.#phase === 'closed') this.#parts.closed(this);
    else if (!this.#wireEnded) this.#end();
  }

  #pause(reason: number): void {
    if (this.#pauses === 0) this.#wire.pause();
    this.#pauses |= reason;
  }

  #unpause(reason: number): void {
    if ((this.#pauses & reason) === 0) return;
    this.#pauses &= ~reason;
    // Time that we did not listen is not the client's silence.
    this.#heardMs = this.#parts.clock.nowMs();
    if (this.#pauses === 0) this.#wire.resume();
  }

  #refuse(reason: string): void {
    this.#parts.counters.packetsRefused++;
    this.close(reason);
  }

  /** Ends the connection for a reason that is logged; what was written is still sent. */
  close(reason: string): void {
    if (this.#phase === 'closed') return;
    this.reason = reason;
    this.#parts.closing(this, reason);
    this.#end();
  }

  /** Lets go of the socket at once. */
  destroy(): void {
    this.#end();
    this.#wire.destroy();
  }

  /** Reads no more; acknowledgements are still sent. */
  stopReading(): void {
    this.#pause(PAUSE.closing);
  }

  #end(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.ready = false;
    this.#closedMs = this.#parts.clock.nowMs();
    this.#stash.length = 0;
    this.#parts.pressure.forget(this);
    this.#brokerWaits?.();
    this.#brokerWaits = null;
    this.#stream.destroy();
    this.#wire.end();
    // What still comes is thrown away, so that the peer gets our last bytes instead of a reset.
    this.#pauses = 0;
    this.#wire.resume();
    if (this.#lost) this.#parts.closed(this);
  }

  /** Looks after the times: called about once a second. */
  sweep(nowMs: number): void {
    if (this.#phase === 'closed') {
      if (nowMs - this.#closedMs > LINGER_MS) this.#wire.destroy();
      return;
    }
    if (this.#lost) {
      if (nowMs - this.#closedMs > READ_OUT_MS) this.#end();
      return;
    }
    if (this.#phase === 'fresh') {
      if (nowMs - this.#openedMs > this.#parts.limits.connectTimeoutMs) this.close('no CONNECT in time');
      return;
    }
    if (this.#pauses !== 0 || this.#keepAliveMs === 0) return;
    if (nowMs - this.#heardMs > this.#keepAliveMs) this.close('silent for one and a half times its keep-alive');
  }
}

import type { Duplex } from 'node:stream';
import type { Clock } from '../model/clock.ts';
import type { SluiceError } from '../model/errors.ts';
import type { Principal } from './access.ts';
import { type BrokerPeer, BrokerStream } from './broker-stream.ts';
import type { ClientRate, ClientRates } from './client-rates.ts';
import { judgeConnect } from './connect-guard.ts';
import { ExpressLane, type LaneParts } from './express-lane.ts';
import { connack, copyOf, encodePubacks, PACKET, PINGRESP, readUint16, withSessionPresent } from './mqtt-bytes.ts';
import type { AckReceiver, OpenFrame } from './open-frame.ts';
import { packetProblem } from './packet-guard.ts';
import { PacketScanner } from './packet-scanner.ts';
import { type PartialHolder, PartialPacket, type PartialPackets } from './partial-packets.ts';
import type { Relievable } from './pressure.ts';
import { SubscriptionRequests } from './subscription-requests.ts';
import { PAUSE, Wire, type WireOwner } from './wire.ts';

/** What a connection needs of the door. */
export interface ConnectionParts extends LaneParts {
  clock: Clock;
  rates: ClientRates;
  partials: PartialPackets;
  counters: { bytesReceived: number; packetsRefused: number };
  serve(stream: BrokerStream<Connection>): void;
  released(connection: Connection, packetId: number): void;
  /** The connection ends for a reason that an operator may want to know. */
  closing(connection: Connection, reason: string): void;
  closed(connection: Connection): void;
}

/** What a client sent before it hung up is given this long to be worked off. */
const READ_OUT_MS = 10_000;
/** Of the first byte of a PUBLISH. */
const QOS_BITS = 6;

/**
 * One client: its socket on one side, the broker's stream on the other, and the express lane between them.
 *
 *     fresh ──CONNECT──▶ connecting ──accepted by the broker──▶ ready ──DISCONNECT──▶ leaving
 *       └────────────────────┴───────────────┴── refused, lost, taken over ──▶ closed ◀──┘
 *
 * While connecting nothing further is read. When ready, PUBLISHes are offered to the express lane, and everything that it
 * does not take goes to the broker untouched, except PINGREQ: that is answered here, so that a client is not thought dead
 * because the broker waits for the log.
 */
export class Connection implements BrokerPeer, AckReceiver, Relievable, PartialHolder, WireOwner {
  readonly remote: string;
  readonly loopback: boolean;
  /** Under which key the QoS 2 handshakes of its session are kept. */
  session = '';
  /** Set when the broker has accepted the client. */
  clientId = '';
  clean = true;
  principal: Principal | null = null;
  willTopic: string | null = null;
  sessionPresent = false;
  /** Why it was ended, if not by the client. */
  reason: string | null = null;
  /** True once the broker has accepted the client, until it is closed. */
  ready = false;
  readonly #wire: Wire;
  readonly #parts: ConnectionParts;
  readonly #scanner: PacketScanner;
  readonly #stream: BrokerStream<Connection>;
  #phase: 'fresh' | 'connecting' | 'ready' | 'leaving' | 'closed' = 'fresh';
  readonly #requests = new SubscriptionRequests();
  #lane: ExpressLane | null = null;
  /** Chunks that came while the scanner could not go on. */
  #stash: Uint8Array[] = [];
  #scanning = false;
  /** The packet that the scanner stands at was not dealt with yet. */
  #again = false;
  #brokerEnded = false;
  /** The chunk at hand brought telemetry, so its socket is one to pause when the door is full. */
  #brought = false;
  /** Anything has come. */
  #heard = false;
  #openedMs: number;
  #keepAliveMs = 0;
  #rate: ClientRate | null = null;
  /** QoS 1 messages that the lane has taken and not acknowledged. */
  #inFlight = 0;
  readonly #partial: PartialPacket;

  constructor(stream: Duplex, remote: string, loopback: boolean, parts: ConnectionParts) {
    this.#wire = new Wire(stream, parts.limits, parts.clock);
    this.remote = remote;
    this.loopback = loopback;
    this.#parts = parts;
    this.#scanner = new PacketScanner(parts.limits.connectPacketBytesMax);
    this.#partial = new PartialPacket(parts.partials, this);
    this.#openedMs = this.#wire.heardMs;
    this.#stream = new BrokerStream<Connection>(this);
    this.#wire.open(this);
  }

  onChunk(chunk: Uint8Array): void {
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
    if (this.#scanning || this.#wire.pausedFor(PAUSE.hold) || this.#stash.length > 0) {
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
    let packets = 0;
    for (;;) {
      while (!this.#wire.pausedFor(PAUSE.hold) && this.#reading()) {
        if (this.#again) this.#again = false;
        else if (!scanner.next()) break;
        this.#packet(scanner);
        packets++;
      }
      if (scanner.problem !== null && this.#reading()) this.#refuse(scanner.problem);
      if (this.#wire.pausedFor(PAUSE.hold) || !this.#reading()) break;
      const chunk = this.#stash.shift();
      if (chunk === undefined) break;
      scanner.feed(chunk);
    }
    this.#scanning = false;
    if (!this.#reading()) this.#stash.length = 0;
    else this.#endBroker();
    this.#partial.note(this.#reading() ? scanner.heldBytes : 0, packets > 0, this.#wire.heardMs);
    if (this.#inFlight >= this.#parts.limits.perClient.inFlightMessagesMax) this.#wire.pause(PAUSE.inFlight);
    if (this.#brought && this.#parts.pressure.full && this.#phase === 'ready') {
      this.#wire.pause(PAUSE.pressure);
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
      this.#wire.send(PINGRESP);
      return;
    }
    const request = type === PACKET.subscribe || type === PACKET.unsubscribe;
    if ((type === PACKET.disconnect && this.#lane!.brokerBusy) || (request && this.#requests.pending)) {
      this.#holdPacket();
      return;
    }
    if (type === PACKET.disconnect) this.#phase = 'leaving';
    if (request) this.#requests.begin(type === PACKET.subscribe, bytes, bodyStart, end);
    if (type === PACKET.pubrel) this.#parts.released(this, readUint16(bytes, bodyStart));
    this.#pass(bytes, start, end);
  }

  #connect(bytes: Uint8Array, start: number, bodyStart: number, end: number): void {
    const verdict = judgeConnect(bytes, start, bodyStart, end, this.#parts.limits);
    if (verdict.kind !== 'accept') {
      if (verdict.kind === 'answer') this.#wire.send(connack(verdict.returnCode));
      this.#refuse(verdict.reason);
      return;
    }
    this.willTopic = verdict.willTopic;
    this.#keepAliveMs = verdict.keepAliveSeconds * 1500; // one and a half times [MQTT-3.1.2-24]
    this.#phase = 'connecting';
    this.#wire.pause(PAUSE.hold);
    // The broker does not see the lane's packets nor our pauses, so the keep-alive is ours: it is given none.
    const copy = copyOf(bytes, start, end).fill(0, verdict.keepAliveAt - start, verdict.keepAliveAt - start + 2);
    // Only now, since what the broker makes for a client is more than one that is half open should cost.
    this.#parts.serve(this.#stream);
    this.#stream.push(copy);
  }

  /** The broker has accepted it and sent CONNACK. */
  accepted(clientId: string, clean: boolean): void {
    if (this.#phase !== 'connecting') return;
    this.#phase = 'ready';
    this.ready = true;
    this.clientId = clientId;
    this.clean = clean;
    this.#lane = new ExpressLane(this, this.principal!, this.#parts);
    this.#scanner.packetBytesMax = this.#parts.limits.packetBytesMax;
    this.#rate = this.#parts.rates.of(clientId, this.#parts.clock.nowMs());
    this.#goOn();
  }

  #publish(bytes: Uint8Array, start: number, bodyStart: number, end: number): void {
    const lane = this.#lane!;
    const rate = this.#rate;
    if (rate !== null && this.#tooFast(rate)) return;
    switch (lane.offer(bytes, start, bodyStart, end, this.#wire.heardMs)) {
      case 'taken':
        this.#brought = true;
        if ((bytes[start] & QOS_BITS) !== 0) this.#inFlight++;
        rate?.take(end - start);
        break;
      case 'broker':
        this.#pass(bytes, start, end);
        rate?.take(end - start);
        break;
      case 'wait':
        this.#holdPacket();
        break;
      case 'refused':
        this.#refuse(lane.problem);
    }
  }

  /** Holds the packet that the scanner stands at until its client may bring another. */
  #tooFast(rate: ClientRate): boolean {
    const waitMs = rate.waitMs(this.#parts.clock.nowMs());
    if (waitMs === 0) return false;
    this.#holdPacket();
    this.#parts.clock.after(waitMs, () => {
      if (this.#again && this.#phase === 'ready') this.#goOn();
    });
    return true;
  }

  /** Holds the packet that the scanner stands at, as while the broker is busy with earlier telemetry. */
  #holdPacket(): void {
    this.#again = true;
    this.#wire.pause(PAUSE.hold);
  }

  /** The broker is done with a message of this client that is telemetry or was to be acknowledged. */
  slowTelemetryDone(): void {
    this.#lane?.brokerDone();
    if (this.#again && !this.#lane!.brokerBusy) this.#goOn();
  }

  #pass(bytes: Uint8Array, start: number, end: number): void {
    if (!this.#stream.push(bytes.subarray(start, end))) this.#wire.pause(PAUSE.broker);
  }

  /** Goes on where `hold` stopped. */
  #goOn(): void {
    this.#wire.resume(PAUSE.hold);
    if (!this.#scanning) this.#scan();
  }

  // The batcher's side.

  acknowledge(ids: Uint16Array, count: number, frame: OpenFrame): void {
    this.#inFlight -= count;
    if (this.#inFlight <= this.#parts.limits.perClient.inFlightMessagesMax / 2) this.#wire.resume(PAUSE.inFlight);
    if (this.#phase === 'closed') return;
    this.#lane!.durable(frame, ids, count, (due, dueCount) => this.#wire.send(encodePubacks(due, dueCount)));
    if (this.#again && !this.#lane!.acksWaiting && !this.#lane!.brokerBusy) this.#goOn();
  }

  appendFailed(error: SluiceError): void {
    this.close(`the log did not take its messages: ${error.toLine()}`);
  }

  relieve(): void {
    this.#wire.resume(PAUSE.pressure);
  }

  // The broker's side.

  brokerReads(): void {
    this.#wire.resume(PAUSE.broker);
  }

  brokerWrites(chunks: readonly Uint8Array[], done: () => void): void {
    // The broker knows a session by its subscriptions only, and calls one without them absent.
    const present = this.sessionPresent && this.#phase === 'connecting';
    const requested = this.#requests.pending;
    const packets = present ? [withSessionPresent(chunks)] : requested ? this.#requests.answer(chunks) : chunks;
    this.#wire.sendAll(packets, done);
    if (requested && !this.#requests.pending && this.#again) this.#goOn();
  }

  brokerCloses(): void {
    this.#end();
  }

  // The socket's side.

  onEnded(): void {
    if (this.#phase === 'fresh') this.#end();
    else this.#endBroker();
  }

  /** Tells the broker that the client sends no more, once it has been given all that was sent. */
  #endBroker(): void {
    if (!this.#wire.ended || this.#brokerEnded || !this.#reading()) return;
    if (this.#wire.pausedFor(PAUSE.hold) || this.#stash.length > 0) return;
    this.#brokerEnded = true;
    this.#stream.push(null);
  }

  onBroken(): void {
    this.#end();
  }

  /** What came before a proper end is still the broker's to read; it then closes the stream. */
  onGone(): void {
    if (this.#phase === 'closed') this.#parts.closed(this);
    else if (!this.#wire.ended) this.#end();
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
    this.#wire.pause(PAUSE.closing);
  }

  #end(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.ready = false;
    this.#stash.length = 0;
    this.#parts.pressure.forget(this);
    this.#partial.note(0, false, 0);
    this.#stream.destroy();
    this.#wire.end();
    if (this.#wire.gone) this.#parts.closed(this);
  }

  /** Looks after the times: called about once a second. */
  sweep(nowMs: number): void {
    if (this.#phase === 'closed') {
      this.#wire.sweepClosing(nowMs);
      return;
    }
    if (this.#wire.gone) {
      if (this.#wire.closedForMs(nowMs) > READ_OUT_MS) this.#end();
      return;
    }
    const { subscriberStallMsMax, connectTimeoutMs, packetTimeoutMs } = this.#parts.limits;
    if (this.#wire.stalledForMs(nowMs) > subscriberStallMsMax) {
      this.close('it does not drain what it is sent; see mqtt.subscriberStallMsMax');
      return;
    }
    if (this.#phase === 'fresh') {
      if (nowMs - this.#openedMs > connectTimeoutMs) this.close('no CONNECT in time');
      return;
    }
    if (this.#wire.paused) {
      this.#partial.postpone(nowMs);
      return;
    }
    if (this.#partial.ageMs(nowMs) > packetTimeoutMs)
      this.close(`a packet was not complete after ${packetTimeoutMs} ms; see mqtt.packetTimeoutMs`);
    else if (this.#keepAliveMs > 0 && nowMs - this.#wire.heardMs > this.#keepAliveMs)
      this.close('silent for one and a half times its keep-alive');
  }
}

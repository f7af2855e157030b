import type { Duplex } from 'node:stream';
import type { SluiceError } from '../model/errors.ts';
import type { Principal } from './access.ts';
import { BrokerEnd } from './broker-end.ts';
import type { BrokerPeer } from './broker-stream.ts';
import type { ClientRate } from './client-rates.ts';
import { type ConnectRequest, connectFor, judgeConnect, plainConnectFor } from './connect-guard.ts';
import type { ConnectionParts, Welcome } from './connection-parts.ts';
import { overdue } from './deadlines.ts';
import { ExpressLane, type LaneClient } from './express-lane.ts';
import { connack, copyOf, encodeAcks, PACKET, PINGRESP, readUint16 } from './mqtt-bytes.ts';
import type { OpenFrame } from './open-frame.ts';
import { packetProblem } from './packet-guard.ts';
import { PacketReader, type ReaderOwner } from './packet-reader.ts';
import type { PacketScanner } from './packet-scanner.ts';
import { type PartialHolder, PartialPacket } from './partial-packets.ts';
import type { Relievable } from './pressure.ts';
import { PAUSE, Wire, type WireOwner } from './wire.ts';

/** What a client sent before it hung up is given this long to be worked off. */
const READ_OUT_MS = 10_000;
/** It accepts. */
const CONNACK = connack(0);
/** Of the first byte of a PUBLISH. */
const QOS_BITS = 6;

/**
 * One client: its socket on one side, its end in the broker on the other, and the express lane between them.
 *
 *     fresh ──CONNECT──▶ connecting ──let in, known to the broker if it needs it──▶ ready ──DISCONNECT──▶ leaving
 *       └────────────────────┴───────────────┴── refused, lost, taken over ──▶ closed ◀────────────────────┘
 *
 * While connecting nothing further is read. When ready, PUBLISHes are offered to the express lane, and everything that it
 * does not take goes to the broker untouched, except PINGREQ: that is answered here, so that a client is not thought dead
 * because the broker waits for the log. Most clients never send anything else, so the broker gets to know one without a will or
 * a session to keep with its first such packet (broker-end.ts).
 */
export class Connection implements BrokerPeer, LaneClient, ReaderOwner, Relievable, PartialHolder, WireOwner {
  readonly remote: string;
  /** Under which key the QoS 2 handshakes of its session are kept. */
  session = '';
  /** Set with `principal`, when it is let in. */
  clientId = '';
  principal: Principal | null = null;
  sessionPresent = false;
  /** Why it was ended, if not by the client. */
  reason: string | null = null;
  /** True once the client may be served, until it is closed. */
  ready = false;
  closed = false;
  readonly #wire: Wire;
  readonly #parts: ConnectionParts;
  readonly #reader: PacketReader;
  /** Null while there is nothing that only the broker can do for this client. */
  #broker: BrokerEnd<Connection> | null = null;
  /** The broker knows the client, or is about to. */
  known = false;
  #phase: 'fresh' | 'connecting' | 'ready' | 'leaving' | 'closed' = 'fresh';
  #lane: ExpressLane | null = null;
  /** The chunk at hand brought telemetry, so its socket is one to pause when the door is full. */
  #brought = false;
  #keepAliveMs = 0;
  #rate: ClientRate | null = null;
  /** QoS 1 and 2 messages that the lane has taken and not acknowledged. */
  #inFlight = 0;
  /** Packet ids whose PUBCOMP is to be sent when the bytes at hand are used up. */
  #completed: number[] | null = null;
  readonly #partial: PartialPacket;

  constructor(stream: Duplex, remote: string, parts: ConnectionParts) {
    this.#wire = new Wire(stream, parts.limits, parts.clock);
    this.remote = remote;
    this.#parts = parts;
    this.#reader = new PacketReader(this.#wire, this, parts.limits.connectPacketBytesMax);
    this.#partial = new PartialPacket(parts.partials, this);
    this.#wire.open(this);
  }

  onChunk(chunk: Uint8Array): void {
    this.#parts.counters.bytesReceived += chunk.length;
    if (this.#phase === 'closed' || this.#phase === 'leaving') return;
    // Other protocols are told from the first byte; their next ones would only look like a long packet to wait for.
    if (this.#phase === 'fresh' && this.#reader.scanner.heldBytes === 0 && chunk[0] !== PACKET.connect << 4) {
      this.#refuse('the first packet is not a CONNECT'); // [MQTT-3.1.0-1]
      return;
    }
    this.#reader.feed(chunk);
  }

  onProblem(problem: string): void {
    this.#refuse(problem);
  }

  onPaused(packets: number): void {
    this.#sendCompleted();
    if (this.reading()) this.#endBroker();
    this.#partial.note(this.reading() ? this.#reader.scanner.heldBytes : 0, packets > 0, this.#wire.heardMs);
    if (this.#inFlight >= this.#parts.limits.perClient.inFlightMessagesMax) this.#wire.pause(PAUSE.inFlight);
    if (this.#brought && this.#parts.pressure.full && this.#phase === 'ready') {
      this.#wire.pause(PAUSE.pressure);
      this.#parts.pressure.wait(this);
    }
    this.#brought = false;
  }

  reading(): boolean {
    return this.#phase !== 'closed' && this.#phase !== 'leaving';
  }

  onPacket(scanner: PacketScanner): void {
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
    if ((type === PACKET.disconnect && this.#lane!.brokerBusy) || (request && this.#broker?.requests.pending)) {
      this.#reader.hold(true);
      return;
    }
    if (type === PACKET.disconnect) {
      this.#phase = 'leaving';
      if (this.#broker === null) {
        this.end();
        return;
      }
    }
    if (type === PACKET.pubrel && this.#released(readUint16(bytes, bodyStart))) return;
    this.#pass(bytes, start, end);
    if (request) this.#broker!.requests.begin(type === PACKET.subscribe, bytes, bodyStart, end);
  }

  #connect(bytes: Uint8Array, start: number, bodyStart: number, end: number): void {
    const verdict = judgeConnect(bytes, start, bodyStart, end, this.#parts.limits);
    if (verdict.kind !== 'accept') {
      if (verdict.kind === 'answer') this.#wire.send(connack(verdict.returnCode));
      this.#refuse(verdict.reason);
      return;
    }
    const { request } = verdict;
    this.#keepAliveMs = request.keepAliveSeconds * 1500; // one and a half times [MQTT-3.1.2-24]
    this.#phase = 'connecting';
    this.#reader.hold(false);
    const rest = copyOf(bytes, request.clientIdEnd, end);
    void this.#parts.admit(this, request).then((welcome) => this.#welcome(welcome, request, rest));
  }

  /** `rest`: what follows the client id in CONNECT. */
  #welcome(welcome: Welcome, { level, flags }: ConnectRequest, rest: Uint8Array): void {
    if (this.#phase !== 'connecting') return;
    if (!welcome.granted) {
      // The reason was told where it was found.
      this.#wire.send(connack(welcome.returnCode));
      this.end();
    } else if (welcome.needsBroker) this.#introduce(connectFor(this.clientId, level, flags, rest), null);
    else {
      this.#wire.send(CONNACK);
      this.accepted();
    }
  }

  /** Makes the client known to the broker; `waits` is what it has sent for it, when it is a client since before. */
  #introduce(connect: Uint8Array, waits: Uint8Array | null): void {
    this.#broker = new BrokerEnd<Connection>(this, waits);
    this.known = true;
    this.#parts.serve(this.#broker.stream);
    this.#broker.stream.push(connect);
  }

  /** It may be served: the broker has accepted it and sent CONNACK, or is not needed. */
  accepted(): void {
    this.#broker?.accepted();
    if (this.#phase === 'connecting') {
      this.#phase = 'ready';
      this.ready = true;
      this.#lane = new ExpressLane(this, this.principal!, this.#parts);
      this.#reader.scanner.packetBytesMax = this.#parts.limits.packetBytesMax;
      this.#rate = this.#parts.rates.of(this.clientId, this.#parts.clock.nowMs());
    }
    if (this.#phase === 'ready') this.#reader.goOn();
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
      case 'repeated':
        this.sendReceipts(Uint16Array.of(lane.repeatedId), 1);
        rate?.take(end - start);
        break;
      case 'broker':
        this.#pass(bytes, start, end);
        rate?.take(end - start);
        break;
      case 'wait':
        this.#reader.hold(true);
        break;
      case 'refused':
        this.#refuse(lane.problem);
    }
  }

  /** Holds the packet that the scanner stands at until its client may bring another. */
  #tooFast(rate: ClientRate): boolean {
    const waitMs = rate.waitMs(this.#parts.clock.nowMs());
    if (waitMs === 0) return false;
    this.#reader.hold(true);
    this.#parts.clock.after(waitMs, () => {
      if (this.#reader.again && this.#phase === 'ready') this.#reader.goOn();
    });
    return true;
  }

  /** Whether the door itself answers a PUBREL; one of an unknown id is answered as well [MQTT-4.3.3-2]. */
  #released(id: number): boolean {
    if (!this.#lane!.release(id) && this.#broker !== null) return false;
    this.#completed ??= [];
    this.#completed.push(id);
    return true;
  }

  #sendCompleted(): void {
    if (this.#completed === null) return;
    const ids = Uint16Array.from(this.#completed);
    this.#completed = null;
    this.#wire.send(encodeAcks(PACKET.pubcomp, ids, ids.length));
  }

  /** The broker is done with a message of this client that is telemetry or was to be acknowledged. */
  slowTelemetryDone(): void {
    this.#lane?.brokerDone();
    if (!this.#reader.again) return;
    // The broker writes PUBREC after this, and what is answered here must not overtake it.
    setImmediate(() => {
      if (this.#reader.again && !this.#lane!.brokerBusy) this.#reader.goOn();
    });
  }

  #pass(bytes: Uint8Array, start: number, end: number): void {
    const packet = bytes.subarray(start, end);
    if (this.#broker === null) {
      this.#reader.hold(false);
      this.#introduce(plainConnectFor(this.clientId), packet);
    } else if (!this.#broker.stream.push(packet)) this.#wire.pause(PAUSE.broker);
  }

  // The batcher's side.

  acknowledge(ids: Uint16Array, count: number, frame: OpenFrame): void {
    if (!this.settled(count)) return;
    this.#lane!.durable(frame, ids, count, (due, dueCount) =>
      this.#wire.send(encodeAcks(PACKET.puback, due, dueCount)),
    );
    this.tryAgain();
  }

  settled(messages: number): boolean {
    this.#inFlight -= messages;
    if (this.#inFlight <= this.#parts.limits.perClient.inFlightMessagesMax / 2) this.#wire.resume(PAUSE.inFlight);
    return this.#phase !== 'closed';
  }

  sendReceipts(ids: Uint16Array, count: number): void {
    this.#wire.send(encodeAcks(PACKET.pubrec, ids, count));
  }

  tryAgain(): void {
    if (this.#reader.again && !this.#lane!.acksWaiting && !this.#lane!.brokerBusy) this.#reader.goOn();
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
    const { requests } = this.#broker!;
    const requested = requests.pending;
    this.#wire.sendAll(this.#broker!.outgoing(chunks, this.sessionPresent), done);
    if (requested && !requests.pending && this.#reader.again) this.#reader.goOn();
  }

  brokerCloses(): void {
    this.end();
  }

  // The socket's side.

  onEnded(): void {
    if (this.#phase === 'fresh') this.end();
    else this.#endBroker();
  }

  /** Tells the broker that the client sends no more, once it has been given all that was sent. */
  #endBroker(): void {
    if (!this.#wire.ended || !this.reading()) return;
    if (this.#reader.behind) return;
    if (this.#broker === null) this.end();
    else this.#broker.end();
  }

  onBroken(): void {
    this.end();
  }

  /** What came before a proper end is still the broker's to read; it then closes the stream. */
  onGone(): void {
    if (this.#phase === 'closed') this.#parts.closed(this);
    else if (!this.#wire.ended) this.end();
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
    this.end();
  }

  /** Lets go of the socket at once. */
  destroy(): void {
    this.end();
    this.#wire.destroy();
  }

  /** Reads no more; acknowledgements are still sent. */
  stopReading(): void {
    this.#wire.pause(PAUSE.closing);
  }

  /** Ends the connection; what was written is still sent. */
  end(): void {
    if (this.#phase === 'closed') return;
    this.#sendCompleted();
    this.#phase = 'closed';
    this.ready = false;
    this.closed = true;
    this.#reader.drop();
    this.#parts.pressure.forget(this);
    this.#partial.note(0, false, 0);
    this.#broker?.stream.destroy();
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
      if (this.#wire.closedForMs(nowMs) > READ_OUT_MS) this.end();
      return;
    }
    const freshSinceMs = this.#phase === 'fresh' ? this.#wire.openedMs : null;
    const reason = overdue(this.#wire, this.#partial, this.#parts.limits, freshSinceMs, this.#keepAliveMs, nowMs);
    if (reason !== null) this.close(reason);
  }
}

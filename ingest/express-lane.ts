import type { Principal } from './access.ts';
import { AckOrder } from './ack-order.ts';
import type { Batcher } from './batcher.ts';
import type { BrokerMessage } from './broker.ts';
import type { DoorLimits } from './limits.ts';
import { copyOf, readUint16 } from './mqtt-bytes.ts';
import type { AckReceiver, OpenFrame } from './open-frame.ts';
import { publishPacketProblem } from './packet-guard.ts';
import type { Pressure } from './pressure.ts';
import type { Qos2Handshakes } from './qos2-handshakes.ts';
import { Qos2Receipts, type ReceiptClient } from './qos2-receipts.ts';
import type { TelemetryFilters } from './telemetry-filters.ts';
import { type Route, TelemetryRoutes } from './telemetry-routes.ts';

export interface LaneParts {
  batcher: Batcher;
  pressure: Pressure;
  filters: TelemetryFilters;
  handshakes: Qos2Handshakes;
  limits: DoorLimits;
  publish(message: BrokerMessage, done: (error?: Error) => void): void;
}

/** Whose messages the lane takes. */
export interface LaneClient extends AckReceiver, ReceiptClient {
  /** Under which name the QoS 2 handshakes of its session are kept. */
  readonly session: string;
}

/** First bytes of the PUBLISHes that the lane takes: QoS 0, QoS 1 and 2, and these repeated (DUP); none of them retained. */
const QOS_0 = 0x30;
const QOS_1 = 0x32;
const QOS_1_DUP = 0x3a;
const QOS_2 = 0x34;
const QOS_2_DUP = 0x3c;

/** A message that goes through the broker costs more than its bytes while it is in flight. */
const FAN_OUT_BYTES = 1024;

/**
 * Takes the PUBLISHes of one accepted client. One of an ordinary shape on a telemetry topic is copied into the open frame of
 * its partition, and its sender is acknowledged when that frame is durable; nothing else is kept of it. A repeated message
 * takes the same way, since at-least-once is what QoS 1 promises.
 *
 *     PUBLISH ──▶ a telemetry topic? ──no──▶ 'broker'
 *                        │ yes
 *                 not retained, and nobody subscribed if it has QoS 2? ──no──▶ 'broker'
 *                        │ yes
 *                 broker busy with an earlier one? ──yes──▶ 'wait', and offer it again: it must not overtake that one
 *                        │ no
 *                 QoS 2, and its handshake is open? ──yes──▶ 'wait' while it is on its way to the log, else 'repeated'
 *                        │ no
 *                     'taken'
 *
 * Of a QoS 2 message the packet id is kept until PUBREL. One that has subscribers goes to the broker, which hands it out after
 * it is durable, and so once.
 *
 * What goes to the broker keeps it busy until `brokerDone`, if it is telemetry or to be acknowledged; and it waits until the
 * lane has sent its PUBACKs, or its PUBRECs if it has QoS 2, since each go out in order [MQTT-4.6.0-2], [MQTT-4.6.0-3].
 */
export class ExpressLane {
  /** Why the packet was 'refused'. */
  problem = '';
  /** Of a message that is 'repeated': it is on the log, and its PUBREC is to be sent again. */
  repeatedId = 0;
  readonly #client: LaneClient;
  readonly #parts: LaneParts;
  readonly #routes: TelemetryRoutes;
  readonly #acks = new AckOrder<OpenFrame>();
  #receipts: Qos2Receipts | null = null;
  /** Messages that the broker has still to deal with. */
  #brokerHas = 0;

  constructor(client: LaneClient, principal: Principal, parts: LaneParts) {
    this.#client = client;
    this.#parts = parts;
    this.#routes = new TelemetryRoutes(principal, parts.batcher.partitions, parts.limits);
  }

  get brokerBusy(): boolean {
    return this.#brokerHas > 0;
  }

  /** PUBACKs or PUBRECs are still to be sent. */
  get acksWaiting(): boolean {
    return this.#acks.waiting || this.#receipts?.waiting === true;
  }

  /** A frame is durable: gives `send` the PUBACKs that may go out now. */
  durable(frame: OpenFrame, ids: Uint16Array, count: number, send: (ids: Uint16Array, count: number) => void): void {
    this.#acks.durable(frame, ids, count, send);
  }

  brokerDone(): void {
    if (this.#brokerHas > 0) this.#brokerHas--;
  }

  offer(
    bytes: Uint8Array,
    start: number,
    bodyStart: number,
    end: number,
    nowMs: number,
  ): 'taken' | 'repeated' | 'broker' | 'wait' | 'refused' {
    const topicEnd = bodyStart + 2 + readUint16(bytes, bodyStart);
    if (topicEnd > end) return this.#refuse('PUBLISH ends inside its topic');
    const route = this.#routes.find(bytes, bodyStart, topicEnd);
    const first = bytes[start];
    const isQos2 = first === QOS_2 || first === QOS_2_DUP;
    if (route === null || (first !== QOS_1 && first !== QOS_0 && first !== QOS_1_DUP && !isQos2))
      return this.#leaveToBroker(route, bytes, start, bodyStart, end);
    let payloadStart = topicEnd;
    let id = 0;
    if (first !== QOS_0) {
      payloadStart = topicEnd + 2;
      if (payloadStart > end) return this.#refuse('PUBLISH ends inside its packet id');
      id = readUint16(bytes, topicEnd);
      if (id === 0) return this.#refuse('packet id 0'); // [MQTT-2.3.1-1]
    }
    const { batcher, filters, handshakes } = this.#parts;
    if (isQos2) {
      const begun = this.#begun(id);
      if (begun !== undefined) return this.#repeat(id, begun);
      if (filters.matches(route.device)) return this.#leaveToBroker(route, bytes, start, bodyStart, end);
    }
    if (this.#brokerHas > 0) return 'wait';
    const frame = batcher.add(route.partition, nowMs, route.identity, bytes, payloadStart, end);
    if (isQos2) {
      this.#receipts ??= new Qos2Receipts(this.#client, handshakes.of(this.#client.session));
      this.#receipts.expect(id, frame);
      return 'taken';
    }
    if (id !== 0) {
      frame.expect(this.#client, id);
      this.#acks.expect(frame);
    }
    if (filters.matches(route.device)) this.#fanOut(route, id === 0 ? 0 : 1, copyOf(bytes, payloadStart, end));
    return 'taken';
  }

  /** The frame of an open handshake, null when it is durable, undefined when there is none. */
  #begun(id: number): OpenFrame | null | undefined {
    return this.#parts.handshakes.find(this.#client.session)?.frameOf(id);
  }

  /** The same message again [MQTT-4.3.3-2], whichever way it took: PUBREC, once it is durable, and behind those before it. */
  #repeat(id: number, frame: OpenFrame | null): 'repeated' | 'wait' {
    if (frame === null && this.#brokerHas === 0 && this.#receipts?.waiting !== true) {
      this.repeatedId = id;
      return 'repeated';
    }
    // It may be on its way since an earlier connection of the session. Looked at when the batcher is through with what failed.
    frame?.whenSettled(() => queueMicrotask(() => this.#client.tryAgain()));
    return 'wait';
  }

  /** A PUBREL has come. True when its message took the lane, which owes the PUBCOMP. */
  release(id: number): boolean {
    return this.#parts.handshakes.find(this.#client.session)?.release(id) === true;
  }

  #leaveToBroker(
    route: Route | null,
    bytes: Uint8Array,
    start: number,
    bodyStart: number,
    end: number,
  ): 'repeated' | 'broker' | 'wait' | 'refused' {
    const problem =
      (route === null ? this.#routes.problem : null) ??
      publishPacketProblem(bytes, start, bodyStart, end, this.#parts.limits);
    if (problem !== null) return this.#refuse(problem);
    const qos = (bytes[start] >>> 1) & 3;
    if (qos === 2) {
      const id = readUint16(bytes, bodyStart + 2 + readUint16(bytes, bodyStart));
      const begun = this.#begun(id);
      if (begun !== undefined) return this.#repeat(id, begun);
    }
    if (qos === 1 ? this.#acks.waiting : qos === 2 && this.#receipts?.waiting === true) return 'wait';
    if (route !== null || qos > 0) this.#brokerHas++;
    return 'broker';
  }

  /** Lets subscribers of a telemetry topic have a message that took the lane. */
  #fanOut(route: Route, qos: 0 | 1, payload: Uint8Array): void {
    const { pressure } = this.#parts;
    const bytes = payload.length + FAN_OUT_BYTES;
    pressure.add(bytes);
    this.#parts.publish({ topic: route.topic, payload, qos, retain: false }, () => pressure.release(bytes));
  }

  #refuse(problem: string): 'refused' {
    this.problem = problem;
    return 'refused';
  }
}

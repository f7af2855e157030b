import type { Principal } from './access.ts';
import type { Batcher } from './batcher.ts';
import type { BrokerMessage } from './broker.ts';
import type { DoorLimits } from './limits.ts';
import { copyOf, readUint16 } from './mqtt-bytes.ts';
import type { AckReceiver } from './open-frame.ts';
import { publishPacketProblem } from './packet-guard.ts';
import type { Pressure } from './pressure.ts';
import type { TelemetryFilters } from './telemetry-filters.ts';
import { type Route, TelemetryRoutes } from './telemetry-routes.ts';

export interface LaneParts {
  batcher: Batcher;
  pressure: Pressure;
  filters: TelemetryFilters;
  limits: DoorLimits;
  publish(message: BrokerMessage, done: (error?: Error) => void): void;
}

/** First bytes of the PUBLISHes that the lane takes: QoS 0, QoS 1, and QoS 1 repeated (DUP); none of them retained. */
const QOS_0 = 0x30;
const QOS_1 = 0x32;
const QOS_1_DUP = 0x3a;

/** A message that goes through the broker costs more than its bytes while it is in flight. */
const FAN_OUT_BYTES = 1024;

/**
 * Takes the PUBLISHes of one accepted client. One of an ordinary shape on a telemetry topic is copied into the open frame of
 * its partition, and its receiver is acknowledged when that frame is durable; nothing else is kept of it. A repeated message
 * takes the same way, since at-least-once is what QoS 1 promises.
 *
 *     PUBLISH ──▶ a telemetry topic? ──no──▶ 'broker'
 *                        │ yes
 *                 QoS 0 or 1, not retained? ──no──▶ 'broker', which is then busy until `brokerDone`
 *                        │ yes
 *                 broker busy with an earlier one? ──yes──▶ 'wait', and offer it again: it must not overtake that one
 *                        │ no
 *                     'taken'
 */
export class ExpressLane {
  /** Why the packet was 'refused'. */
  problem = '';
  readonly #receiver: AckReceiver;
  readonly #parts: LaneParts;
  readonly #routes: TelemetryRoutes;
  /** Telemetry messages that the broker has still to deal with. */
  #brokerHas = 0;

  constructor(receiver: AckReceiver, principal: Principal, parts: LaneParts) {
    this.#receiver = receiver;
    this.#parts = parts;
    this.#routes = new TelemetryRoutes(principal, parts.batcher.partitions, parts.limits);
  }

  get brokerBusy(): boolean {
    return this.#brokerHas > 0;
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
  ): 'taken' | 'broker' | 'wait' | 'refused' {
    const topicEnd = bodyStart + 2 + readUint16(bytes, bodyStart);
    if (topicEnd > end) return this.#refuse('PUBLISH ends inside its topic');
    const route = this.#routes.find(bytes, bodyStart, topicEnd);
    const first = bytes[start];
    if (route === null || (first !== QOS_1 && first !== QOS_0 && first !== QOS_1_DUP))
      return this.#leaveToBroker(route, bytes, start, bodyStart, end);
    if (this.#brokerHas > 0) return 'wait';
    let payloadStart = topicEnd;
    let id = 0;
    if (first !== QOS_0) {
      payloadStart = topicEnd + 2;
      if (payloadStart > end) return this.#refuse('PUBLISH ends inside its packet id');
      id = readUint16(bytes, topicEnd);
      if (id === 0) return this.#refuse('packet id 0'); // [MQTT-2.3.1-1]
    }
    const frame = this.#parts.batcher.add(route.partition, nowMs, route.identity, bytes, payloadStart, end);
    if (id !== 0) frame.expect(this.#receiver, id);
    if (this.#parts.filters.matches(route.device))
      this.#fanOut(route, first === QOS_0 ? 0 : 1, copyOf(bytes, payloadStart, end));
    return 'taken';
  }

  #leaveToBroker(
    route: Route | null,
    bytes: Uint8Array,
    start: number,
    bodyStart: number,
    end: number,
  ): 'broker' | 'refused' {
    const problem =
      (route === null ? this.#routes.problem : null) ??
      publishPacketProblem(bytes, start, bodyStart, end, this.#parts.limits);
    if (problem !== null) return this.#refuse(problem);
    if (route !== null) this.#brokerHas++;
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

import { viewOf } from '../model/byte-view.ts';
import { encodeIdentity } from '../model/frame.ts';
import { partitionOf } from '../model/partition.ts';
import { type Principal, publishProblem } from './access.ts';
import { telemetryDevice } from './device-id.ts';
import type { DoorLimits } from './limits.ts';
import { copyOf } from './mqtt-bytes.ts';
import { topicProblem } from './packet-guard.ts';

/** Where the messages of one telemetry topic go, worked out once for each connection and topic. */
export interface Route {
  device: string;
  topic: string;
  /** The topic as it stands in a PUBLISH, its two bytes of length included. */
  wire: DataView;
  /** Device and topic as they stand in a frame. */
  identity: Uint8Array;
  partition: number;
}

/** A gateway may speak for many devices over one connection; more than this many routes are worked out again. */
const ROUTES_MAX = 1024;

/**
 * The telemetry topics that one connection publishes on. Nearly always it is the one of the message before, which
 * `current` compares byte by byte; others are looked up by their bytes.
 */
export class TelemetryRoutes {
  /** Why the topic that was just looked up is refused; null when it is not. */
  problem: string | null = null;
  readonly #principal: Principal;
  readonly #partitions: number;
  readonly #limits: DoorLimits;
  readonly #routes = new Map<string, Route>();
  #current: Route | null = null;

  constructor(principal: Principal, partitions: number, limits: DoorLimits) {
    this.#principal = principal;
    this.#partitions = partitions;
    this.#limits = limits;
  }

  /** The route of the topic at `bytes[from, to)` (with its length), or null when it is no telemetry topic, or `problem` is set. */
  find(bytes: Uint8Array, from: number, to: number): Route | null {
    const current = this.#current;
    if (current !== null && sameBytes(current.wire, bytes, from, to)) return current;
    this.problem = null;
    const key = Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1');
    const known = this.#routes.get(key);
    if (known !== undefined) {
      this.#current = known;
      return known;
    }
    return this.#resolve(key, bytes, from, to);
  }

  #resolve(key: string, bytes: Uint8Array, from: number, to: number): Route | null {
    this.problem = topicProblem(bytes, from + 2, to, this.#limits);
    if (this.problem !== null) return null;
    const topic = Buffer.from(bytes.buffer, bytes.byteOffset + from + 2, to - from - 2).toString('utf8');
    const device = telemetryDevice(topic);
    if (device === null) return null;
    this.problem = publishProblem(this.#principal, topic);
    if (this.problem !== null) return null;
    const wire = new DataView(copyOf(bytes, from, to).buffer);
    const route = routeOf(device, topic, this.#partitions, wire);
    if (this.#routes.size >= ROUTES_MAX) this.#routes.clear();
    this.#routes.set(key, route);
    this.#current = route;
    return route;
  }
}

/** The route of a telemetry topic. */
export function routeOf(device: string, topic: string, partitions: number, wire: DataView): Route {
  return { device, topic, wire, identity: encodeIdentity(device, topic), partition: partitionOf(device, partitions) };
}

function sameBytes(known: DataView, bytes: Uint8Array, from: number, to: number): boolean {
  const length = known.byteLength;
  if (to - from !== length) return false;
  const view = viewOf(bytes);
  // From the back: device ids of a fleet mostly share their beginning.
  let i = length;
  for (; i >= 4; i -= 4) if (known.getInt32(i - 4) !== view.getInt32(from + i - 4)) return false;
  while (i > 0) if (known.getUint8(--i) !== bytes[from + i]) return false;
  return true;
}

import { SluiceError } from '../model/errors.ts';
import { type Scenario, type SimulatedDevice, scenarioOf, type Values } from './scenario.ts';
import { type BrokenKind, breakPayload, fateOf, NO_TROUBLES, offlineUntil, type Troubles } from './troubles.ts';

/**
 * A fleet as a plan: what each device publishes and when, in order of time, without a clock and without a network. The plan is a
 * function of its options; whoever carries it out (simulate.ts, a test) decides what "when" means.
 */
export interface FleetOptions {
  /** Name of a scenario. */
  scenario: string;
  /** How many devices; the scenario's own number when absent. */
  devices?: number;
  /** Readings a second of each device. Default 1. */
  rateHz?: number;
  /** Default 1. */
  seed?: number;
  troubles?: Partial<Troubles>;
  /** `flat`: {"ts":…,"temperature":21.5}. `values`: {"ts":…,"values":{"temperature":21.5}}. Default flat. */
  shape?: 'flat' | 'values';
}

export type FleetEvent = PublishEvent | DisconnectEvent | ConnectEvent;

export interface PublishEvent {
  kind: 'publish';
  /** When it is published. */
  atMs: number;
  /** Index in `Fleet.devices`. */
  device: number;
  /** When it was measured, and what the payload says of that (another time when the device's clock is wrong). */
  tsMs: number;
  stampMs: number;
  payload: string | Buffer;
  /** How many values the payload holds; 0 when it is broken. */
  readings: number;
  late: boolean;
  duplicate: boolean;
  broken: BrokenKind | null;
}

export interface DisconnectEvent {
  kind: 'disconnect';
  atMs: number;
  device: number;
}

export interface ConnectEvent {
  kind: 'connect';
  atMs: number;
  device: number;
}

export class Fleet {
  readonly scenario: Scenario;
  readonly devices: readonly SimulatedDevice[];
  readonly #seed: number;
  readonly #periodMs: number;
  readonly #troubles: Troubles;
  readonly #shape: 'flat' | 'values';

  /** Throws INPUT_INVALID for an unknown scenario, a count below 1 or a rate outside 0 … 1000. */
  constructor(options: FleetOptions) {
    const { devices, rateHz = 1, seed = 1, troubles = {}, shape = 'flat' } = options;
    this.scenario = scenarioOf(options.scenario);
    const count = devices ?? this.scenario.devicesDefault;
    if (!Number.isInteger(count) || count < 1) {
      throw new SluiceError('INPUT_INVALID', `a fleet of ${count} devices`, {
        remedy: 'devices is a whole number from 1',
      });
    }
    if (!(rateHz > 0 && rateHz <= 1000)) {
      throw new SluiceError('INPUT_INVALID', `a rate of ${rateHz} readings a second`, {
        remedy: 'rateHz is above 0 and at most 1000 for each device',
      });
    }
    this.#seed = seed;
    this.#periodMs = 1000 / rateHz;
    this.#troubles = { ...NO_TROUBLES, ...troubles };
    this.#shape = shape;
    this.devices = Array.from({ length: count }, (_, index) => this.scenario.device(seed, index));
  }

  /** The plan from a moment on, in order of `atMs`, without end. */
  *events(fromMs: number): Generator<FleetEvent, never> {
    const queue = new EventQueue();
    const ticks = this.devices.map((_, device) => this.#firstTick(device, fromMs));
    const away = new Array<boolean>(this.devices.length).fill(false);
    // Ticks of all devices come in a fixed order within each period, because each device has its own place in it.
    const order = ticks
      .map((_, device) => device)
      .sort((a, b) => this.#timeOf(a, ticks[a]) - this.#timeOf(b, ticks[b]));
    for (let turn = 0; ; turn = (turn + 1) % order.length) {
      const device = order[turn];
      const tsMs = this.#timeOf(device, ticks[device]);
      while (queue.nextMs() <= tsMs) yield queue.take(away);
      ticks[device]++;
      if (!away[device]) {
        const untilMs = offlineUntil(this.#troubles, this.#seed, device, tsMs);
        if (untilMs !== null) {
          away[device] = true;
          yield { kind: 'disconnect', atMs: tsMs, device };
          queue.put({ kind: 'connect', atMs: untilMs, device });
        }
      }
      const [first, second] = this.#publishes(device, tsMs);
      if (first.late) queue.put(first);
      else yield first;
      if (second) queue.put(second);
    }
  }

  /** The moments of a device: `tick` periods after the epoch, plus its own share of a period, in whole ms. */
  #timeOf(device: number, tick: number): number {
    return Math.round((tick + (device + 0.5) / this.devices.length) * this.#periodMs);
  }

  #firstTick(device: number, fromMs: number): number {
    let tick = Math.floor(fromMs / this.#periodMs) - 1;
    while (this.#timeOf(device, tick) < fromMs) tick++;
    return tick;
  }

  #publishes(device: number, tsMs: number): [PublishEvent, PublishEvent | null] {
    const fate = fateOf(this.#troubles, this.#seed, device, tsMs);
    const values = this.devices[device].read(tsMs);
    const whole = encodeValues(fate.stampMs, values, this.#shape);
    const first: PublishEvent = {
      kind: 'publish',
      atMs: tsMs + fate.delayMs,
      device,
      tsMs,
      stampMs: fate.stampMs,
      payload: fate.broken === null ? whole : breakPayload(fate.broken, whole, tsMs),
      readings: fate.broken === null ? Object.keys(values).length : 0,
      late: fate.delayMs > 0,
      duplicate: false,
      broken: fate.broken,
    };
    if (fate.againMs === null) return [first, null];
    return [first, { ...first, atMs: tsMs + fate.againMs, duplicate: true }];
  }
}

/** A payload as the program documents it: JSON, time in ms. */
export function encodeValues(tsMs: number, values: Values, shape: 'flat' | 'values'): string {
  return shape === 'flat' ? JSON.stringify({ ts: tsMs, ...values }) : JSON.stringify({ ts: tsMs, values });
}

/** Events that come later than the tick that made them: a binary heap by time; of equal times the first put comes first. */
class EventQueue {
  #heap: { event: FleetEvent; order: number }[] = [];
  #order = 0;

  nextMs(): number {
    return this.#heap.length === 0 ? Number.POSITIVE_INFINITY : this.#heap[0].event.atMs;
  }

  put(event: FleetEvent): void {
    const heap = this.#heap;
    const item = { event, order: this.#order++ };
    let at = heap.length;
    heap.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(item, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = item;
  }

  /** The first event; a `connect` is noted in `away`. */
  take(away: boolean[]): FleetEvent {
    const heap = this.#heap;
    const { event } = heap[0];
    const item = heap.pop()!;
    if (heap.length > 0) {
      let at = 0;
      for (;;) {
        let child = 2 * at + 1;
        if (child >= heap.length) break;
        if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
        if (!before(heap[child], item)) break;
        heap[at] = heap[child];
        at = child;
      }
      heap[at] = item;
    }
    if (event.kind === 'connect') away[event.device] = false;
    return event;
  }
}

function before(a: { event: FleetEvent; order: number }, b: { event: FleetEvent; order: number }): boolean {
  return a.event.atMs < b.event.atMs || (a.event.atMs === b.event.atMs && a.order < b.order);
}

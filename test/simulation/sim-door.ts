import { Batcher } from '../../ingest/batcher.ts';
import { ExpressLane, type LaneClient } from '../../ingest/express-lane.ts';
import { DOOR_LIMITS } from '../../ingest/limits.ts';
import { FACT_SOURCE, OperationIntake } from '../../ingest/operation-intake.ts';
import { PacketScanner } from '../../ingest/packet-scanner.ts';
import { Pressure, type Relievable } from '../../ingest/pressure.ts';
import { Qos2Handshakes } from '../../ingest/qos2-handshakes.ts';
import { TelemetryFilters } from '../../ingest/telemetry-filters.ts';
import type { Log } from '../../log/log.ts';
import type { SluiceError } from '../../model/errors.ts';
import { silentLogger } from '../../model/logger.ts';
import type { Process } from './scheduler.ts';
import type { SimDevice } from './sim-device.ts';
import type { World } from './world.ts';

/** The connection of a device: two ordered streams with delays, cut off at any moment. */
export class Link {
  readonly device: SimDevice;
  readonly #world: World;
  readonly #session: Session;
  #open = true;
  #toDoorMs = 0;
  #toDeviceMs = 0;

  constructor(world: World, device: SimDevice, door: SimDoor) {
    this.#world = world;
    this.device = device;
    this.#session = new Session(this, door);
  }

  toDoor(bytes: Uint8Array): void {
    const { random, scheduler } = this.#world;
    // A packet may come in two reads.
    const cut = random.chance(0.1) ? random.int(1, bytes.length - 1) : bytes.length;
    for (const chunk of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
      if (chunk.length === 0) continue;
      this.#toDoorMs = Math.max(this.#toDoorMs, scheduler.nowMs + this.#world.delay(2));
      scheduler.at(this.#toDoorMs - scheduler.nowMs, `${this.device.id} -> ${chunk.length} B`, () => {
        if (this.#open) this.#session.receive(chunk);
      });
    }
  }

  toDevice(ids: readonly number[]): void {
    const { scheduler } = this.#world;
    this.#toDeviceMs = Math.max(this.#toDeviceMs, scheduler.nowMs + this.#world.delay(2));
    scheduler.at(this.#toDeviceMs - scheduler.nowMs, `${this.device.id} <- acks ${ids.join(' ')}`, () => {
      if (this.#open) for (const id of ids) this.device.acknowledged(this, id);
    });
  }

  /** Both sides find out, the device a little later. */
  lose(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#session.closed();
    this.#world.scheduler.at(this.#world.delay(20), `${this.device.id} notices`, () => this.device.disconnected(this));
  }
}

/** What ingest/connection.ts is to an accepted client, without the broker: bytes to the lane, acknowledgements back. */
class Session implements LaneClient, Relievable {
  readonly session: string;
  readonly #link: Link;
  readonly #door: SimDoor;
  readonly #scanner = new PacketScanner(DOOR_LIMITS.packetBytesMax);
  readonly #lane: ExpressLane;
  #stash: Uint8Array[] = [];
  #paused = false;
  #closed = false;

  constructor(link: Link, door: SimDoor) {
    this.#link = link;
    this.#door = door;
    this.session = link.device.id;
    const { batcher, pressure } = door;
    const publish = () => Promise.reject(new Error('nobody has subscribed'));
    const parts = {
      batcher,
      pressure,
      filters: new TelemetryFilters(),
      handshakes: new Qos2Handshakes(1_000_000, () => {}),
      limits: DOOR_LIMITS,
      publish,
    };
    this.#lane = new ExpressLane(this, { name: '', device: null }, parts);
    door.links.add(link);
  }

  receive(chunk: Uint8Array): void {
    if (this.#closed) return;
    if (this.#paused) {
      this.#stash.push(chunk);
      return;
    }
    const scanner = this.#scanner;
    scanner.feed(chunk);
    while (scanner.next()) {
      const { bytes, start, bodyStart, end } = scanner;
      const verdict = this.#lane.offer(bytes, start, bodyStart, end, this.#door.process.clock.nowMs());
      if (verdict !== 'taken') throw new Error(`the lane did not take a message: ${verdict} ${this.#lane.problem}`);
    }
    if (scanner.problem !== null) throw new Error(scanner.problem);
    if (!this.#door.pressure.full) return;
    this.#paused = true;
    this.#door.pressure.wait(this);
  }

  relieve(): void {
    this.#door.process.after(0, 'reads on', () => {
      this.#paused = false;
      while (this.#stash.length > 0 && !this.#paused) this.receive(this.#stash.shift() as Uint8Array);
    });
  }

  acknowledge(ids: Uint16Array, count: number): void {
    if (!this.#closed && this.#door.process.alive) this.#link.toDevice([...ids.subarray(0, count)]);
  }

  appendFailed(_error: SluiceError): void {
    this.#link.lose();
  }

  // Devices send with QoS 0 and 1 only.

  settled(): boolean {
    return !this.#closed;
  }

  sendReceipts(): void {
    throw new Error('nothing was sent with QoS 2');
  }

  tryAgain(): void {}

  closed(): void {
    this.#closed = true;
    this.#stash = [];
    this.#door.pressure.forget(this);
    this.#door.links.delete(this.#link);
  }
}

/** The door's process: the production batcher, lane and pressure between simulated sockets and the simulated log. */
export class SimDoor {
  readonly process: Process;
  readonly batcher: Batcher;
  readonly pressure: Pressure;
  readonly links = new Set<Link>();
  readonly #world: World;
  readonly #facts: OperationIntake | null;
  #taking = true;

  constructor(world: World, process: Process, log: Log) {
    this.#world = world;
    this.process = process;
    const { lingerMs, frameBytesMax, inFlightBytesMax, tickMs } = world.plan;
    this.pressure = new Pressure(inFlightBytesMax);
    const ledger = { door: process.name, flushMs: 3000 };
    const options = { lingerMs, frameBytesMax, inFlightBytesMax, tickMs, ledger };
    this.batcher = new Batcher(log, options, this.pressure, process.clock, silentLogger);
    // One topic more, only where there is anything to tell: other worlds go as they did without.
    this.#facts =
      world.plan.features === null
        ? null
        : new OperationIntake(log, this.batcher, process.clock, silentLogger, FACT_SOURCE);
    void this.#facts?.start();
    this.batcher.onFatal = (error) => {
      throw error;
    };
    const tick = () => {
      if (!this.#taking || !world.ticking) return;
      this.batcher.tick(process.clock.nowMs());
      process.clock.after(Math.max(1, tickMs / 4), tick);
    };
    tick();
  }

  /** Null while it takes no connections. */
  connect(device: SimDevice): Link | null {
    if (!this.process.alive || !this.#taking) return null;
    return new Link(this.#world, device, this);
  }

  /** SIGTERM: no more comes in, and what came is finished. */
  async stop(): Promise<void> {
    this.#taking = false;
    await this.#facts?.close();
    await this.batcher.drain();
    for (const link of [...this.links]) link.lose();
  }

  crash(): void {
    this.process.kill();
    for (const link of [...this.links]) link.lose();
  }
}

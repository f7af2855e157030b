import { telemetryTopic } from '../../model/topics.ts';
import { Payloads } from './payloads.ts';
import { Random } from './random.ts';
import type { Link, SimDoor } from './sim-door.ts';
import type { World } from './world.ts';

/** A message as its device remembers it. */
export interface Sent {
  payload: string;
  qos: 0 | 1;
  acknowledged: boolean;
}

/** Unacknowledged messages that a device has at most. */
const WINDOW = 8;

/** A device that keeps what it has to say until it is acknowledged, over as many connections as it takes. */
export class SimDevice {
  readonly id: string;
  /** All that it ever handed to a connection, in order, each once. */
  readonly sent: Sent[] = [];
  readonly #world: World;
  readonly #doors: readonly (SimDoor | null)[];
  readonly #random: Random;
  readonly #payloads: Payloads;
  readonly #unacknowledged = new Map<number, Sent>();
  #queue: Sent[] = [];
  #toMake: number;
  #link: Link | null = null;
  #packetId = 0;

  constructor(world: World, number: number, doors: readonly (SimDoor | null)[]) {
    this.#world = world;
    this.#random = new Random(world.seed, `device ${number}`);
    this.id = this.#random.chance(0.1) ? `é-${number}` : `d${number}`;
    this.#payloads = new Payloads(this.#random);
    this.#doors = doors;
    this.#toMake = world.plan.messagesPerDevice;
    world.scheduler.at(world.delay(200), `${this.id} begins`, () => {
      this.#connect();
      this.#make();
    });
  }

  /** It has said everything, and everything was acknowledged. */
  get done(): boolean {
    return this.#toMake === 0 && this.#queue.length === 0 && this.#unacknowledged.size === 0;
  }

  #make(): void {
    if (this.#toMake === 0) return;
    this.#toMake--;
    const r = this.#random;
    const trueMs = this.#world.plan.startMs + this.#world.scheduler.nowMs;
    this.#queue.push({ payload: this.#payloads.next(trueMs), qos: r.chance(0.93) ? 1 : 0, acknowledged: false });
    this.#send();
    const { messagePauseMs } = this.#world.plan;
    const pauseMs = r.chance(0.02) ? messagePauseMs * r.between(5, 20) : r.delay(messagePauseMs);
    this.#world.scheduler.at(this.#world.chaos ? pauseMs : 1, `${this.id} measures`, () => this.#make());
  }

  #connect(): void {
    const door = this.#random.pick(this.#doors);
    const link = door?.connect(this) ?? null;
    if (link === null) {
      this.#world.scheduler.at(this.#random.between(50, 500), `${this.id} tries again`, () => this.#connect());
      return;
    }
    this.#link = link;
    for (const [id, sent] of this.#unacknowledged) link.toDoor(publish(this.id, sent, id, true));
    this.#send();
  }

  #send(): void {
    while (this.#link !== null && this.#queue.length > 0 && this.#unacknowledged.size < WINDOW) {
      const sent = this.#queue.shift() as Sent;
      this.sent.push(sent);
      let id = 0;
      if (sent.qos === 1) {
        do this.#packetId = (this.#packetId % 40) + 1;
        while (this.#unacknowledged.has(this.#packetId));
        id = this.#packetId;
        this.#unacknowledged.set(id, sent);
      }
      this.#link.toDoor(publish(this.id, sent, id, false));
    }
  }

  acknowledged(link: Link, id: number): void {
    if (link !== this.#link) return;
    const sent = this.#unacknowledged.get(id);
    if (sent === undefined) throw new Error(`${this.id}: an acknowledgement of ${id}, which waits for none`);
    sent.acknowledged = true;
    this.#unacknowledged.delete(id);
    this.#send();
  }

  disconnected(link: Link): void {
    if (link !== this.#link) return;
    this.#link = null;
    this.#world.scheduler.at(this.#random.between(5, 500), `${this.id} reconnects`, () => this.#connect());
  }

  /** The network drops the connection. */
  dropLink(): void {
    this.#link?.lose();
  }
}

/** The bytes of a PUBLISH (MQTT 3.1.1, section 3.3). */
function publish(device: string, { payload, qos }: Sent, id: number, again: boolean): Uint8Array {
  const topic = Buffer.from(telemetryTopic(device));
  const head = Buffer.alloc(2);
  head.writeUInt16BE(topic.length);
  const tail = qos === 0 ? Buffer.alloc(0) : Buffer.from([id >>> 8, id & 0xff]);
  const body = Buffer.concat([head, topic, tail, Buffer.from(payload)]);
  const length = body.length < 128 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >>> 7];
  return Buffer.concat([Buffer.from([0x30 | (qos << 1) | (again && qos === 1 ? 8 : 0), ...length]), body]);
}

import type { Duplex } from 'node:stream';
import { encodePublish } from './mqtt-bytes.ts';
import type { PacketIds } from './packet-ids.ts';
import type { SendQueue } from './send-queue.ts';
import { topicMatches } from './topic-match.ts';

/** A message on its way to a subscriber, as the broker hands it on or keeps it in a session's queue. */
export interface OutgoingPacket {
  cmd: string;
  topic: string;
  payload: Buffer | string;
  qos: 0 | 1 | 2;
  retain: boolean;
  dup: boolean;
  messageId?: number;
  /** Null for a retained message that a new subscription asks for. */
  brokerId: string | null;
  /** The same for all copies of one message. */
  brokerCounter: number;
}

/** The part of the broker's client that a delivery needs. */
export interface Subscriber {
  readonly id: string;
  readonly clean: boolean;
  readonly closed: boolean;
  readonly connected: boolean;
  readonly conn: Duplex;
  readonly subscriptions: Record<string, { qos: number }>;
  readonly broker: { id: string; counter: number };
  once(event: 'connected', listener: () => void): unknown;
  emit(event: 'error', error: Error): boolean;
  waitForDrain(done: (error?: Error | null) => void): void;
}

/** Where messages of sessions that are kept stay until they are acknowledged. */
export interface OutgoingQueue {
  outgoingEnqueue(to: { clientId: string }, packet: OutgoingPacket): Promise<void>;
  outgoingUpdate(client: { id: string }, packet: OutgoingPacket): Promise<void>;
  outgoingClearMessageId(client: { id: string }, packet: { messageId?: number }): Promise<unknown>;
}

/** What a delivery asks and tells the door. */
export interface DeliveryParts {
  queue: OutgoingQueue;
  /** What waits for the client to read it. */
  room: SendQueue;
  mayReceive(topic: string): boolean;
  /** A message of QoS 0 was dropped, because the client reads too slowly. */
  dropped(): void;
}

/**
 * Gives messages to one connected client, in place of the broker's own way. That one takes the QoS of the subscription whose
 * filter equals the topic, if there is one, tells copies by a counter that must not go back, hands DUP on from the publisher,
 * writes to clients before their CONNACK, and uses packet ids again that wait for an acknowledgement.
 *
 *     broker ──▶ a copy? ──▶ connected? ──no──▶ held until the session's queue is sent
 *                                │ yes
 *                  granted QoS 0 ──▶ written
 *                  granted QoS 1, 2 ──▶ packet id ──▶ noted in the queue of a kept session ──▶ written
 *
 * Nobody waits for a client that does not read: what finds no room is dropped at QoS 0, and cuts the client off above it. Only
 * the retained messages that it asked for come at its own pace.
 */
export class Delivery {
  readonly ids: PacketIds;
  readonly #client: Subscriber;
  readonly #parts: DeliveryParts;
  #lastCounter = -1;
  #held: OutgoingPacket[] = [];
  /** Messages that were sent out of the session's queue while connecting. */
  #resent = new Set<number>();
  /** What is noted in the queue is written in the order in which it came [MQTT-4.6.0-6]. */
  #noted: Promise<unknown> = Promise.resolve();

  constructor(client: Subscriber, ids: PacketIds, parts: DeliveryParts) {
    this.#client = client;
    this.ids = ids;
    this.#parts = parts;
    parts.room.onCutOff = () => {
      client.emit('error', new Error('it does not drain what it is sent; see mqtt.perClient.sendQueueBytesMax'));
    };
    client.once('connected', () => this.#release());
    client.conn.once('close', () => this.#release());
  }

  /** Delivers a message; `done` is called once, when more may come, whatever has become of it. */
  readonly deliver = (packet: OutgoingPacket, done: () => void): void => {
    const fresh = packet.brokerId === null;
    if (!fresh) {
      // All filters that match are served in one go, so a copy follows its original at once.
      if (packet.brokerCounter === this.#lastCounter) {
        setImmediate(done);
        return;
      }
      this.#lastCounter = packet.brokerCounter;
    }
    if (this.#client.closed) setImmediate(done);
    else if (!this.#client.connected) this.#hold(packet, done);
    else this.#send(packet, done);
  };

  /** The queue of a session that is resumed, made ready to be sent again with the packet ids of before [MQTT-4.4.0-1]. */
  async *resume(queued: AsyncIterable<OutgoingPacket>): AsyncGenerator<OutgoingPacket> {
    for await (const packet of queued) {
      this.#resent.add(packet.brokerCounter);
      if (packet.cmd !== 'publish') {
        yield packet;
        continue;
      }
      const dup = packet.messageId !== undefined; // [MQTT-3.3.1-1], [MQTT-3.3.1-3]
      const messageId = packet.messageId ?? this.ids.take();
      if (messageId === 0) return;
      yield { ...packet, dup, messageId };
    }
  }

  /** While its session is resumed a client may be slow, too. */
  #hold(packet: OutgoingPacket, done: () => void): void {
    setImmediate(done);
    if (this.#parts.room.take(packet.payload.length)) this.#held.push(packet);
    else if (packet.qos === 0) this.#drop();
    else this.#parts.room.cutOff();
  }

  #release(): void {
    const held = this.#held;
    this.#held = [];
    const resent = this.#resent;
    this.#resent = new Set();
    for (const packet of held) {
      this.#parts.room.give(packet.payload.length);
      if (!this.#client.closed && !resent.has(packet.brokerCounter)) this.#send(packet, () => {});
    }
  }

  #send(packet: OutgoingPacket, done: () => void): void {
    const granted = this.#granted(packet.topic);
    if (granted < 0 || !this.#parts.mayReceive(packet.topic)) {
      this.#discard(packet, done);
      return;
    }
    const qos = Math.min(packet.qos, granted) as 0 | 1 | 2; // [MQTT-3.8.4-6]
    if (qos === 0) {
      this.#write(packet, 0, 0, done);
      return;
    }
    const id = this.ids.take();
    if (id === 0) {
      this.#client.emit('error', new Error('all packet ids wait for an acknowledgement'));
      setImmediate(done);
      return;
    }
    if (this.#client.clean) this.#write(packet, qos, id, done);
    else this.#note(packet, qos, id, done);
  }

  /** The highest QoS that any matching subscription was granted [MQTT-3.3.5-1]; −1 when there is none any more. */
  #granted(topic: string): number {
    const { subscriptions } = this.#client;
    let granted = -1;
    for (const filter in subscriptions) {
      const { qos } = subscriptions[filter];
      if (qos > granted && topicMatches(filter, topic)) granted = qos;
    }
    return granted;
  }

  /** Notes the packet id in the session's queue, so that the message is sent again when the client comes back. */
  #note(packet: OutgoingPacket, qos: 0 | 1 | 2, messageId: number, done: () => void): void {
    const client = this.#client;
    const noted = { ...packet, qos, messageId };
    this.#noted = this.#noted
      .then(async () => {
        if (packet.brokerId === null) {
          noted.brokerId = client.broker.id;
          noted.brokerCounter = ++client.broker.counter;
          await this.#parts.queue.outgoingEnqueue({ clientId: client.id }, { ...noted, messageId: undefined });
        }
        await this.#parts.queue.outgoingUpdate(client, noted);
      })
      // A queue that is full has not kept it; then this is its one delivery.
      .catch(() => {})
      .then(() => this.#write(packet, qos, messageId, done));
  }

  /** Takes a message out of the session's queue that the client is not to have. */
  #discard(packet: OutgoingPacket, done: () => void): void {
    setImmediate(done);
    const client = this.#client;
    if (client.clean || packet.qos === 0 || packet.brokerId === null) return;
    const messageId = this.ids.take();
    this.#noted = this.#noted
      .then(() => this.#parts.queue.outgoingUpdate(client, { ...packet, messageId }))
      .then(() => this.#parts.queue.outgoingClearMessageId(client, { messageId }))
      .catch(() => {})
      .then(() => this.ids.giveBack(messageId));
  }

  #write({ topic, payload, brokerId }: OutgoingPacket, qos: 0 | 1 | 2, id: number, done: () => void): void {
    const client = this.#client;
    if (client.closed || client.conn.destroyed) {
      setImmediate(done);
      return;
    }
    const retained = brokerId === null;
    // RETAIN says that a new subscription is answered [MQTT-3.3.1-8], [MQTT-3.3.1-9].
    const bytes = encodePublish(topic, payload, qos, retained, id);
    if (retained) {
      if (client.conn.write(bytes)) setImmediate(done);
      else client.waitForDrain(() => done());
      return;
    }
    setImmediate(done);
    const { room } = this.#parts;
    if (room.take(bytes.length)) client.conn.write(bytes, () => room.give(bytes.length));
    else if (qos === 0) this.#drop();
    else this.#parts.room.cutOff();
  }

  #drop(): void {
    this.#parts.room.dropped();
    this.#parts.dropped();
  }
}

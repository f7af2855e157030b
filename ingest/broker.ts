import type { EventEmitter } from 'node:events';
import { Aedes, type AedesPublishPacket, type Client } from 'aedes';
import type { Logger } from '../model/logger.ts';
import { type BoundableStore, boundSessionStore } from './bounded-store.ts';
import type { BrokerPeer, BrokerStream } from './broker-stream.ts';
import { Delivery, type Subscriber } from './delivery.ts';
import type { DoorLimits } from './limits.ts';
import { OfflineQueues } from './offline-queues.ts';
import { Sessions } from './packet-ids.ts';

import { PublishTurns } from './publish-turns.ts';
import { RetainedMessages } from './retained-messages.ts';
import { SendQueue, SendQueues } from './send-queue.ts';
import { repairSessionStore } from './session-store.ts';

import type { TelemetryFilters } from './telemetry-filters.ts';

/** A message as the broker gives and takes it. */
export interface BrokerMessage {
  topic: string;
  payload: Uint8Array;
  qos: 0 | 1 | 2;
  retain: boolean;
}

/** What the door decides for the broker. `Peer` is the door's side of a client's stream. */
export interface BrokerHooks<Peer extends BrokerPeer> {
  /** The client has its CONNACK and may be served. */
  ready(peer: Peer): void;
  /**
   * Decides about a message before the broker acknowledges it, and may take its time. `peer` is null for the will of a client
   * that is gone for good; `packetId` is undefined for wills. An error refuses it.
   */
  authorizePublish(
    peer: Peer | null,
    message: BrokerMessage,
    packetId: number | undefined,
    done: (error: Error | null) => void,
  ): void;
  /** A message of this client has been given to its subscribers. */
  published(peer: Peer, message: BrokerMessage): void;
  /** The broker has given a client up because of this. */
  failed(peer: Peer, clientId: string, reason: string): void;
  maySubscribe(peer: Peer, filter: string): boolean;
  unsubscribed(peer: Peer, filters: readonly string[]): void;
  /** Something that was to be kept for a client, or of one, was not, because a bound was reached. */
  notKept(what: string, clientId: string, reason: string): void;
  mayReceive(peer: Peer, topic: string): boolean;
}

/** The broker: sessions, subscriptions, retained messages and wills. */
export interface Broker<Peer extends BrokerPeer> {
  /** Serves a client over the stream. */
  serve(stream: BrokerStream<Peer>): void;
  /** Gives a message to its subscribers; `done` is called when it has been written to them. */
  publish(message: BrokerMessage, done: (error?: Error) => void): void;
  /** Ends a persistent session whose client is away: its subscriptions and its queue. */
  forgetSession(clientId: string): Promise<void>;
  /** Forgets which QoS 2 messages of a client wait for PUBREL. */
  forgetHandshakes(clientId: string): void;
  /** What is kept for clients. */
  held(): BrokerHeld;
  /** Closes all clients; their wills are published. */
  close(): Promise<void>;
}

export interface BrokerHeld {
  offlineMessages: number;
  offlineBytes: number;
  /** Since the start. */
  offlineMessagesDropped: number;
  sendQueueBytes: number;
  /** QoS 0, since the start. */
  sendQueueMessagesDropped: number;
  retainedMessages: number;
  retainedBytes: number;
  /** Since the start. */
  retainedMessagesRefused: number;
}

type Publish = Parameters<Aedes['publish']>[0];
type Published = (error?: Error) => void;

const COMING_AND_GOING = /^\$SYS\/[^/]+\/(new|disconnect)\/clients$/;

/** Aedes with a count of who is subscribed to telemetry, and with messages in order. */
class OrderedAedes extends Aedes {
  filters: TelemetryFilters | null = null;
  readonly #waiting: (() => void)[] = [];
  /** The message on its way to being handed out; null when there is none. */
  #handedOut: (() => void) | null = null;
  #starting = false;

  constructor(options: ConstructorParameters<typeof Aedes>[0]) {
    super(options);
    const mq = (this as unknown as { mq: { emit(packet: unknown, done: () => void): unknown } }).mq;
    const emit = mq.emit.bind(mq);
    mq.emit = (packet, done) => {
      const handedOut = this.#handedOut;
      emit(packet, done);
      handedOut?.();
      return mq;
    };
  }

  override subscribe(...args: Parameters<Aedes['subscribe']>): void {
    this.filters?.add(args[0]);
    super.subscribe(...args);
  }

  override unsubscribe(...args: Parameters<Aedes['unsubscribe']>): void {
    this.filters?.remove(args[0]);
    super.unsubscribe(...args);
  }

  /**
   * Storing a retained message and queueing one for absent clients take their time, so a later message that needs neither
   * would be handed out first. One at a time gets as far as that [MQTT-4.6.0-6].
   */
  override publish(packet: Publish, ...rest: unknown[]): void {
    const [client, done] = (rest.length === 2 ? rest : [null, rest[0]]) as [Client | null, Published | undefined];
    // That a client came or went is for other brokers, of which there are none; nobody here may read it (access.ts).
    if (COMING_AND_GOING.test(packet.topic)) {
      done?.();
      return;
    }
    this.#waiting.push(() => {
      const handedOut = (): void => {
        if (this.#handedOut !== handedOut) return;
        this.#handedOut = null;
        this.#start();
      };
      this.#handedOut = handedOut;
      const publish = super.publish as unknown as (packet: Publish, client: Client | null, done: Published) => void;
      publish.call(this, packet, client, (error) => {
        handedOut();
        done?.(error);
      });
    });
    this.#start();
  }

  #start(): void {
    if (this.#starting) return;
    this.#starting = true;
    while (this.#handedOut === null && this.#waiting.length > 0) this.#waiting.shift()!();
    this.#starting = false;
  }
}

/** Starts the broker. Everything that knows Aedes is in this file; its version is pinned, because its inner order of events matters here. */
export async function startBroker<Peer extends BrokerPeer>(
  hooks: BrokerHooks<Peer>,
  filters: TelemetryFilters,
  limits: DoorLimits,
  logger: Logger,
): Promise<Broker<Peer>> {
  const peerOf = (client: Client): Peer => (client.conn as BrokerStream<Peer>).peer;
  const sessions = new Sessions();
  const queues = new OfflineQueues(limits, (clientId, _messages, reason) =>
    hooks.notKept('messages for a session dropped', clientId, reason),
  );
  const retained = new RetainedMessages(limits, (clientId, _topic, reason) =>
    hooks.notKept('message not retained', clientId, reason),
  );
  const sendQueues = new SendQueues(limits.perClient.sendQueueBytesMax, limits.total.sendQueueBytesMax);
  const deliveries = new WeakMap<object, Delivery>();
  const turns = new WeakMap<object, PublishTurns>();
  const turnsOf = (client: Client): PublishTurns => {
    const mine = turns.get(client) ?? new PublishTurns();
    turns.set(client, mine);
    return mine;
  };
  const dealtWith = (client: Client, packet: AedesPublishPacket): void => {
    hooks.published(peerOf(client), toMessage(packet));
    turnsOf(client).pass();
  };
  /** Hands a message back to Aedes, which publishes it, unless it knows it as a repeated one: that is only acknowledged. */
  const goOn = (
    client: Client,
    packet: AedesPublishPacket,
    error: Error | null,
    done: (e?: Error | null) => void,
  ): void => {
    if (error !== null || packet.qos !== 2) {
      done(error);
      return;
    }
    store.incomingGetPacket(client, packet).then(
      () => {
        done(null);
        setImmediate(() => dealtWith(client, packet));
      },
      () => done(null),
    );
  };
  const aedes = new OrderedAedes({
    // The door sees for itself who does not read (wire.ts); this one would also cut off who reads slowly, but reads.
    drainTimeout: 10 * limits.subscriberStallMsMax,
    maxTopicLevels: Math.min(limits.topicLevelsMax, 100),
    // Open handshakes are bounded by the door, for both ways together (qos2-handshakes.ts).
    maxInflightInbound: 0,
    // Only clients that were let in come as far as this.
    authenticate(client, _username, _password, done) {
      const { present, ids } = sessions.begin(client.id, client.clean);
      if (client.clean) queues.forget(client.id);
      peerOf(client).sessionPresent = present;
      deliverBy(
        client,
        new Delivery(client as unknown as Subscriber, ids, {
          queue: store,
          room: new SendQueue(sendQueues),
          mayReceive: (topic) => hooks.mayReceive(peerOf(client), topic),
          dropped: () => hooks.notKept('QoS 0 message dropped', client.id, 'it reads what it is sent too slowly'),
        }),
      );
      done(null, true);
    },
    authorizePublish(client, packet, done) {
      const message = toMessage(packet);
      // A will is handed over without the fields of a packet; Aedes calls this for it while the client is being closed.
      const packetId = packet.cmd === 'publish' ? packet.messageId : undefined;
      // Aedes says who published only after it has retained the message.
      if (client !== null) Object.assign(packet, { clientId: client.id });
      // Only what a client sends as a packet takes a turn.
      const turn = client === null || packet.cmd !== 'publish' ? null : turnsOf(client).take();
      hooks.authorizePublish(client === null ? null : peerOf(client), message, packetId, (error) => {
        if (turn === null) done(error);
        else turn(() => goOn(client!, packet as AedesPublishPacket, error, done));
      });
    },
    authorizeSubscribe(client, subscription, done) {
      // No subscription back means 128 in SUBACK, for this filter alone.
      done(null, hooks.maySubscribe(peerOf(client), subscription.topic) ? subscription : null);
    },
    authorizeForward: (client, packet) => (hooks.mayReceive(peerOf(client), packet.topic) ? packet : null),
    published(packet: AedesPublishPacket, client: Client | null, done) {
      if (client !== null && packet.cmd === 'publish') dealtWith(client, packet);
      done(null);
    },
  });
  aedes.filters = filters;
  aedes.on('clientReady', (client) => {
    // What its former connection was sent while it was taken over.
    if (client.clean) queues.forget(client.id);
    hooks.ready(peerOf(client));
  });
  aedes.on('unsubscribe', (filters, client) => hooks.unsubscribed(peerOf(client), filters));
  // Without a listener an error of the session store would end the process.
  (aedes as EventEmitter).on('error', (error: Error) =>
    logger.error('the broker reports an error', { reason: error.message }),
  );
  const failed = (client: Client, error: Error): void => hooks.failed(peerOf(client), client.id ?? '', error.message);
  aedes.on('clientError', failed);
  aedes.on('connectionError', failed);
  await aedes.listen();
  const store = (aedes as unknown as { persistence: BoundableStore }).persistence;
  boundSessionStore(store, queues, retained);
  repairSessionStore(store, {
    filters,
    maySubscribe: (client, filter) => hooks.maySubscribe(peerOf(client as Client), filter),
    deliveryOf: (client) => deliveries.get(client),
    failed: (error) => void aedes.emit('error', error),
  });
  const deliverBy = (client: Client, delivery: Delivery): void => {
    deliveries.set(client, delivery);
    // Aedes takes one of these two for each subscription, and the second for retained messages.
    Object.assign(client, { deliver0: delivery.deliver, deliverQoS: delivery.deliver });
  };
  return {
    serve: (stream) => void aedes.handle(stream),
    publish: (message, done) =>
      aedes.publish({ cmd: 'publish', dup: false, ...message, payload: asBuffer(message.payload) }, done),
    async forgetSession(clientId) {
      const client = { id: clientId, clean: true, connected: false };
      sessions.forget(clientId);
      await store.cleanSubscriptions(client);
      await store.cleanIncoming(client);
      queues.forget(clientId);
    },
    forgetHandshakes: (clientId) => void store.cleanIncoming({ id: clientId }),
    held: () => ({
      offlineMessages: queues.messages,
      offlineBytes: queues.bytes,
      offlineMessagesDropped: queues.dropped,
      sendQueueBytes: sendQueues.bytes,
      sendQueueMessagesDropped: sendQueues.dropped,
      retainedMessages: retained.messages,
      retainedBytes: retained.bytes,
      retainedMessagesRefused: retained.refused,
    }),
    close: () => new Promise((resolve) => aedes.close(() => resolve())),
  };
}

function toMessage(packet: {
  topic: string;
  payload: string | Buffer;
  qos: 0 | 1 | 2;
  retain: boolean;
}): BrokerMessage {
  const { topic, payload, qos, retain } = packet;
  return { topic, payload: typeof payload === 'string' ? Buffer.from(payload) : payload, qos: qos ?? 0, retain };
}

function asBuffer({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, length);
}

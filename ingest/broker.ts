import type { EventEmitter } from 'node:events';
import { Aedes, type AedesPublishPacket, type AuthenticateError, type Client, type Subscription } from 'aedes';
import type { Logger } from '../model/logger.ts';
import type { BrokerPeer, BrokerStream } from './broker-stream.ts';
import type { DoorLimits } from './limits.ts';
import type { TelemetryFilters } from './telemetry-filters.ts';

/** A message as the broker gives and takes it. */
export interface BrokerMessage {
  topic: string;
  payload: Uint8Array;
  qos: 0 | 1 | 2;
  retain: boolean;
}

/** A client as the broker knows it. */
export interface BrokerClient {
  id: string;
  clean: boolean;
  /** False for a will, which has no packet, once the client is gone. */
  closed: boolean;
}

/** What the door decides for the broker. `Peer` is the door's side of a client's stream. */
export interface BrokerHooks<Peer extends BrokerPeer> {
  authenticate(
    peer: Peer,
    client: BrokerClient,
    username: string | undefined,
    password: Buffer | undefined,
  ): Promise<{ granted: true } | { granted: false; returnCode: number; reason: string }>;
  /** The client has its CONNACK and may be served. */
  ready(peer: Peer, client: BrokerClient): void;
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
  mayReceive(peer: Peer, topic: string): boolean;
}

/** The broker: sessions, subscriptions, retained messages and wills. */
export interface Broker<Peer extends BrokerPeer> {
  /** Serves a client over the stream. */
  serve(stream: BrokerStream<Peer>): void;
  /** Gives a message to its subscribers; `done` is called when it has been written to them. */
  publish(message: BrokerMessage, done: (error?: Error) => void): void;
  /** Closes all clients; their wills are published. */
  close(): Promise<void>;
}

/** The part of the persistence that says which subscriptions outlive their connection. */
interface SessionStore {
  on?(event: 'error', listener: (error: Error) => void): void;
  addSubscriptions(client: Client, subscriptions: Subscription[]): Promise<void>;
  removeSubscriptions(client: Client, filters: string[]): Promise<void>;
  cleanSubscriptions(client: Client): Promise<void>;
}

/** Aedes with a count of who is subscribed to telemetry. */
class CountingAedes extends Aedes {
  filters: TelemetryFilters | null = null;

  override subscribe(...args: Parameters<Aedes['subscribe']>): void {
    this.filters?.add(args[0]);
    super.subscribe(...args);
  }

  override unsubscribe(...args: Parameters<Aedes['unsubscribe']>): void {
    this.filters?.remove(args[0]);
    super.unsubscribe(...args);
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
  const aedes = new CountingAedes({
    drainTimeout: limits.subscriberStallMsMax,
    maxTopicLevels: Math.min(limits.topicLevelsMax, 100),
    authenticate(client, username, password, done) {
      hooks.authenticate(peerOf(client), client, username, password).then(
        (answer) => {
          if (answer.granted) done(null, true);
          else done(refusal(answer.reason, answer.returnCode), null);
        },
        (error: Error) => done(refusal(error.message, 3), null),
      );
    },
    authorizePublish(client, packet, done) {
      const message = toMessage(packet);
      // A will is handed over without the fields of a packet; Aedes calls this for it while the client is being closed.
      const packetId = packet.cmd === 'publish' ? packet.messageId : undefined;
      hooks.authorizePublish(client === null ? null : peerOf(client), message, packetId, done);
    },
    authorizeSubscribe(client, subscription, done) {
      // No subscription back means 128 in SUBACK, for this filter alone.
      done(null, hooks.maySubscribe(peerOf(client), subscription.topic) ? subscription : null);
    },
    authorizeForward: (client, packet) => (hooks.mayReceive(peerOf(client), packet.topic) ? packet : null),
    published(packet: AedesPublishPacket, client: Client | null, done) {
      if (client !== null && packet.cmd === 'publish') hooks.published(peerOf(client), toMessage(packet));
      done(null);
    },
  });
  aedes.filters = filters;
  aedes.on('clientReady', (client) => hooks.ready(peerOf(client), client));
  // Without a listener an error of the session store would end the process.
  (aedes as EventEmitter).on('error', (error: Error) =>
    logger.error('the broker reports an error', { reason: error.message }),
  );
  const failed = (client: Client, error: Error): void => hooks.failed(peerOf(client), client.id ?? '', error.message);
  aedes.on('clientError', failed);
  aedes.on('connectionError', failed);
  await aedes.listen();
  countStoredSubscriptions(aedes, hooks, peerOf, filters);
  return {
    serve: (stream) => void aedes.handle(stream),
    publish: (message, done) =>
      aedes.publish({ cmd: 'publish', dup: false, ...message, payload: asBuffer(message.payload) }, done),
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

function refusal(message: string, returnCode: number): AuthenticateError {
  return Object.assign(new Error(message), { returnCode }) as AuthenticateError;
}

/**
 * Subscriptions of persistent sessions count while their client is away, since messages are queued for it. Aedes stores the
 * filters of a SUBSCRIBE before it has asked for each whether it is allowed, so those that are not are taken out here.
 */
function countStoredSubscriptions<Peer extends BrokerPeer>(
  aedes: Aedes,
  hooks: BrokerHooks<Peer>,
  peerOf: (client: Client) => Peer,
  filters: TelemetryFilters,
): void {
  const store = (aedes as unknown as { persistence: SessionStore }).persistence;
  const stored = new Map<string, Set<string>>();
  const drop = (clientId: string, gone: Iterable<string>): void => {
    const mine = stored.get(clientId);
    if (mine === undefined) return;
    for (const filter of [...gone]) if (mine.delete(filter)) filters.remove(filter);
    if (mine.size === 0) stored.delete(clientId);
  };
  const { addSubscriptions, removeSubscriptions, cleanSubscriptions } = store;
  store.addSubscriptions = (client, subscriptions) => {
    const granted = subscriptions.filter((s) => hooks.maySubscribe(peerOf(client), s.topic));
    let mine = stored.get(client.id);
    for (const { topic } of granted) {
      if (mine === undefined) {
        mine = new Set();
        stored.set(client.id, mine);
      }
      if (!mine.has(topic)) {
        mine.add(topic);
        filters.add(topic);
      }
    }
    return granted.length === 0 ? Promise.resolve() : addSubscriptions.call(store, client, granted);
  };
  store.removeSubscriptions = (client, gone) => {
    drop(client.id, gone);
    return removeSubscriptions.call(store, client, gone);
  };
  store.cleanSubscriptions = (client) => {
    drop(client.id, stored.get(client.id) ?? []);
    return cleanSubscriptions.call(store, client);
  };
  store.on?.('error', (error) => aedes.emit('error', error));
}

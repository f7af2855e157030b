import { Readable } from 'node:stream';
import type { Delivery, OutgoingPacket, OutgoingQueue } from './delivery.ts';
import type { TelemetryFilters } from './telemetry-filters.ts';
import { hasWildcard, topicMatches } from './topic-match.ts';

interface StoredSubscription {
  topic: string;
  qos: number;
}

interface MatchedSubscription extends StoredSubscription {
  clientId: string;
}

interface StoredClient {
  id: string;
  clean: boolean;
  connected: boolean;
}

/** The part of the broker's persistence that is put right here. */
export interface SessionStore extends OutgoingQueue {
  on?(event: 'error', listener: (error: Error) => void): void;
  addSubscriptions(client: StoredClient, subscriptions: StoredSubscription[]): Promise<void>;
  removeSubscriptions(client: StoredClient, filters: string[]): Promise<void>;
  cleanSubscriptions(client: StoredClient): Promise<void>;
  subscriptionsByTopic(topic: string): Promise<MatchedSubscription[]>;
  outgoingEnqueueCombi(subscriptions: MatchedSubscription[], packet: OutgoingPacket): Promise<void>;
  outgoingStream(client: StoredClient): Readable;
  /** Rejects when the QoS 2 message is not known. */
  incomingGetPacket(client: { id: string }, packet: { messageId?: number }): Promise<unknown>;
  createRetainedStreamCombi(filters: string[]): Readable;
}

interface StoreParts {
  filters: TelemetryFilters;
  maySubscribe(client: StoredClient, filter: string): boolean;
  deliveryOf(client: StoredClient): Delivery | undefined;
  failed(error: Error): void;
}

/**
 * Puts right what the broker's persistence does otherwise than MQTT says, around whatever it is:
 * - filters that may not be had are not stored, and those that are count for the lane while their client is away;
 * - `a/+` matches `a/`, for queues and retained messages as it does for connected clients;
 * - a client with several matching subscriptions has a message queued once, with the QoS that it was granted, and without
 *   the publisher's DUP and RETAIN;
 * - queues are sent again with the packet ids of before and with DUP;
 * - a PUBREC that nobody waits for costs nothing.
 */
export function repairSessionStore(store: SessionStore, parts: StoreParts): void {
  const stored = new Map<string, Map<string, number>>();
  repairSubscriptions(store, stored, parts);
  repairMatching(store, stored, parts);
  repairQueues(store, parts);
  store.on?.('error', parts.failed);
}

/**
 * Subscriptions of persistent sessions count while their client is away, since messages are queued for it. Aedes stores the
 * filters of a SUBSCRIBE before it has asked for each whether it is allowed, so those that are not are taken out here.
 */
function repairSubscriptions(
  store: SessionStore,
  stored: Map<string, Map<string, number>>,
  { filters, maySubscribe }: StoreParts,
): void {
  const drop = (clientId: string, gone: Iterable<string>): void => {
    const mine = stored.get(clientId);
    if (mine === undefined) return;
    for (const filter of [...gone]) if (mine.delete(filter)) filters.remove(filter);
    if (mine.size === 0) stored.delete(clientId);
  };
  const { addSubscriptions, removeSubscriptions, cleanSubscriptions } = store;
  store.addSubscriptions = (client, subscriptions) => {
    const granted = subscriptions.filter((s) => maySubscribe(client, s.topic));
    if (granted.length === 0) return Promise.resolve();
    const mine = stored.get(client.id) ?? new Map<string, number>();
    stored.set(client.id, mine);
    for (const { topic, qos } of granted) {
      if (!mine.has(topic)) filters.add(topic);
      mine.set(topic, qos);
    }
    return addSubscriptions.call(store, client, granted);
  };
  store.removeSubscriptions = (client, gone) => {
    drop(client.id, gone);
    return removeSubscriptions.call(store, client, gone);
  };
  store.cleanSubscriptions = (client) => {
    drop(client.id, stored.get(client.id)?.keys() ?? []);
    return cleanSubscriptions.call(store, client);
  };
}

function repairMatching(store: SessionStore, stored: Map<string, Map<string, number>>, { failed }: StoreParts): void {
  const { subscriptionsByTopic, createRetainedStreamCombi } = store;
  store.subscriptionsByTopic = async (topic) => {
    const best = new Map<string, MatchedSubscription>();
    const note = (one: MatchedSubscription): void => {
      if ((best.get(one.clientId)?.qos ?? 0) < one.qos) best.set(one.clientId, one); // [MQTT-3.3.5-1]
    };
    try {
      for (const one of await subscriptionsByTopic.call(store, topic)) if (topicMatches(one.topic, topic)) note(one); // [MQTT-4.7.2-1]
    } catch (error) {
      failed(error as Error); // the broker would wait for an answer for ever
    }
    // The store's own matching passes over `+` for an empty level.
    if (hasEmptyLevel(topic))
      for (const [clientId, mine] of stored)
        for (const [filter, qos] of mine)
          if (hasWildcard(filter) && topicMatches(filter, topic)) note({ clientId, topic: filter, qos });
    return [...best.values()];
  };
  store.createRetainedStreamCombi = (filters) =>
    Readable.from(matching(createRetainedStreamCombi.call(store, retainedPatterns(filters)), filters));
}

function hasEmptyLevel(topic: string): boolean {
  return topic.startsWith('/') || topic.endsWith('/') || topic.includes('//');
}

/** What to ask the store for: each topic once, though filters overlap, and all of them where `+` may stand for nothing. */
function retainedPatterns(filters: string[]): string[] {
  return filters.some(hasWildcard) ? ['#'] : filters;
}

async function* matching(retained: AsyncIterable<OutgoingPacket>, filters: string[]): AsyncGenerator<OutgoingPacket> {
  for await (const packet of retained) if (filters.some((filter) => topicMatches(filter, packet.topic))) yield packet;
}

function repairQueues(store: SessionStore, { deliveryOf }: StoreParts): void {
  const { outgoingEnqueueCombi, outgoingStream, outgoingUpdate, outgoingClearMessageId } = store;
  store.outgoingEnqueueCombi = async (subscriptions, packet) => {
    for (const qos of [1, 2] as const) {
      const mine = subscriptions.filter((s) => Math.min(s.qos, packet.qos) === qos); // [MQTT-3.8.4-6]
      if (mine.length === 0) continue;
      await outgoingEnqueueCombi.call(store, mine, { ...packet, qos, dup: false, retain: false });
    }
  };
  store.outgoingStream = (client) => {
    const queued = outgoingStream.call(store, client);
    const delivery = deliveryOf(client);
    // What is left of an earlier session is only to be cleared away.
    return client.clean || delivery === undefined ? queued : Readable.from(delivery.resume(queued));
  };
  store.outgoingUpdate = (client, packet) => {
    const updated = outgoingUpdate.call(store, client, packet);
    // A PUBREC is answered with PUBREL [MQTT-4.3.3-1], also when it comes twice; the broker would hang up.
    return packet.cmd === 'pubrel' ? updated.catch(() => {}) : updated;
  };
  store.outgoingClearMessageId = (client, packet) => {
    const { clean, connected } = client as StoredClient;
    const delivery = deliveryOf(client as StoredClient);
    if (packet.messageId !== undefined) delivery?.ids.giveBack(packet.messageId);
    // A clean session has no queue, and asking for it would make one that stays.
    if (clean && connected) return Promise.resolve(undefined);
    return outgoingClearMessageId.call(store, client, packet);
  };
}

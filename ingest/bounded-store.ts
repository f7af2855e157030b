import type { OfflineQueues } from './offline-queues.ts';
import type { RetainedMessages, RetainedPacket } from './retained-messages.ts';
import type { SessionStore } from './session-store.ts';

/** The further part of the broker's persistence that is bounded here, or is needed to forget a session. */
export interface BoundableStore extends SessionStore {
  storeRetained(packet: RetainedPacket): Promise<void>;
  incomingStorePacket(client: { id: string }, packet: { messageId?: number }): Promise<void>;
  cleanIncoming(client: { id: string }): Promise<void>;
}

const NOTHING = Buffer.alloc(0);

/**
 * Puts bounded queues and retained messages in the place of those of the broker's persistence, which grow without end. Before
 * anything else is done to it. Of a QoS 2 message that waits for PUBREL its packet id alone is kept: it has been handed out by then.
 */
export function boundSessionStore(store: BoundableStore, queues: OfflineQueues, retained: RetainedMessages): void {
  const { incomingStorePacket } = store;
  store.incomingStorePacket = (client, { messageId }) =>
    incomingStorePacket.call(store, client, { messageId, topic: '', payload: NOTHING } as { messageId?: number });
  store.outgoingEnqueue = (to, packet) => queues.outgoingEnqueue(to, packet);
  store.outgoingEnqueueCombi = (to, packet) => queues.outgoingEnqueueCombi(to, packet);
  store.outgoingUpdate = (client, packet) => queues.outgoingUpdate(client, packet);
  store.outgoingClearMessageId = (client, packet) => queues.outgoingClearMessageId(client, packet);
  store.outgoingStream = (client) => queues.outgoingStream(client);
  store.storeRetained = (packet) => retained.storeRetained(packet);
  store.createRetainedStreamCombi = (topics) => retained.createRetainedStreamCombi(topics);
}

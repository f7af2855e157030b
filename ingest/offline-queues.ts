import { Readable } from 'node:stream';
import type { OutgoingPacket, OutgoingQueue } from './delivery.ts';
import type { DoorLimits } from './limits.ts';

/** What an entry takes beside its topic and payload, by measurement. */
const ENTRY_BYTES = 400;

interface Entry {
  packet: OutgoingPacket;
  bytes: number;
}

interface Queue {
  /** In the order in which they came. */
  entries: Set<Entry>;
  byCounter: Map<number, Entry>;
  byId: Map<number, Entry>;
  bytes: number;
}

/**
 * What persistent sessions are kept: messages of QoS 1 and 2 until the client acknowledges them. They live in memory, and are
 * bounded for each client and for all together.
 *
 * When a queue is full its oldest message that has not been sent yet makes room for the new one, since a device that comes
 * back wants the present rather than the past; one that was sent stays until it is acknowledged. When all are full it is the
 * largest queue that loses its older half. Telemetry on the log is not concerned: this is about its MQTT subscribers alone.
 */
export class OfflineQueues implements OutgoingQueue {
  messages = 0;
  bytes = 0;
  dropped = 0;
  readonly #limits: DoorLimits;
  readonly #onDropped: (clientId: string, messages: number, reason: string) => void;
  readonly #queues = new Map<string, Queue>();

  constructor(limits: DoorLimits, onDropped: (clientId: string, messages: number, reason: string) => void) {
    this.#limits = limits;
    this.#onDropped = onDropped;
  }

  async outgoingEnqueue({ clientId }: { clientId: string }, packet: OutgoingPacket): Promise<void> {
    this.#add(clientId, packet, ownBytes(packet.payload));
  }

  async outgoingEnqueueCombi(to: readonly { clientId: string }[], packet: OutgoingPacket): Promise<void> {
    if (to.length === 0) return;
    const payload = ownBytes(packet.payload);
    for (const { clientId } of to) this.#add(clientId, packet, payload);
  }

  #add(clientId: string, packet: OutgoingPacket, payload: Buffer): void {
    const { perClient, total } = this.#limits;
    const bytes = ENTRY_BYTES + Buffer.byteLength(packet.topic) + payload.length;
    const queue = this.#queues.get(clientId) ?? newQueue();
    while (queue.entries.size >= perClient.offlineMessagesMax || queue.bytes + bytes > perClient.offlineBytesMax) {
      const room = this.#dropOldest(queue);
      this.#tell(clientId, 1, 'the queue of its session is full; see mqtt.perClient');
      if (!room) return; // all of it was sent and waits for acknowledgements, so it is the new one that is dropped
    }
    if (this.messages >= total.offlineMessagesMax || this.bytes + bytes > total.offlineBytesMax) this.#halveLargest();
    const { topic, qos, retain, dup, brokerId, brokerCounter } = packet;
    const entry: Entry = {
      packet: { cmd: 'publish', topic, payload, qos, retain, dup, brokerId, brokerCounter, messageId: undefined },
      bytes,
    };
    queue.entries.add(entry);
    queue.byCounter.set(brokerCounter, entry);
    queue.bytes += bytes;
    this.messages++;
    this.bytes += bytes;
    this.#queues.set(clientId, queue);
  }

  /** Notes under which packet id a message was sent, or that its PUBREC has come. Rejects when it is not here. */
  async outgoingUpdate({ id }: { id: string }, packet: OutgoingPacket): Promise<void> {
    const queue = this.#queues.get(id);
    const released = packet.cmd === 'pubrel';
    const entry = released ? queue?.byId.get(packet.messageId!) : queue?.byCounter.get(packet.brokerCounter);
    if (queue === undefined || entry === undefined) throw new Error('no such packet');
    if (entry.packet.messageId !== undefined) queue.byId.delete(entry.packet.messageId);
    if (released) {
      queue.byCounter.delete(entry.packet.brokerCounter);
      entry.packet = packet;
    } else entry.packet.messageId = packet.messageId;
    if (packet.messageId !== undefined) queue.byId.set(packet.messageId, entry);
  }

  /** Takes out the message that was sent under this packet id, and gives it back; undefined when there is none. */
  async outgoingClearMessageId(
    { id }: { id: string },
    { messageId }: { messageId?: number },
  ): Promise<OutgoingPacket | undefined> {
    const queue = this.#queues.get(id);
    const entry = messageId === undefined ? undefined : queue?.byId.get(messageId);
    if (queue === undefined || entry === undefined) return undefined;
    this.#remove(queue, entry);
    if (queue.entries.size === 0) this.#queues.delete(id);
    return entry.packet;
  }

  /** All that is queued at this moment, oldest first. */
  outgoingStream({ id }: { id: string }): Readable {
    return Readable.from([...(this.#queues.get(id)?.entries ?? [])].map((entry) => entry.packet));
  }

  /** The session is over. */
  forget(clientId: string): void {
    const queue = this.#queues.get(clientId);
    if (queue === undefined) return;
    this.messages -= queue.entries.size;
    this.bytes -= queue.bytes;
    this.#queues.delete(clientId);
  }

  #dropOldest(queue: Queue): boolean {
    for (const entry of queue.entries) {
      if (entry.packet.cmd !== 'publish' || entry.packet.messageId !== undefined) continue;
      this.#remove(queue, entry);
      return true;
    }
    return false;
  }

  #halveLargest(): void {
    let largest: [string, Queue] | null = null;
    for (const one of this.#queues) if (largest === null || one[1].bytes > largest[1].bytes) largest = one;
    if (largest === null) return;
    const [clientId, queue] = largest;
    const keep = Math.floor(queue.entries.size / 2);
    let dropped = 0;
    for (const entry of queue.entries) {
      if (queue.entries.size <= keep) break;
      this.#remove(queue, entry);
      dropped++;
    }
    if (queue.entries.size === 0) this.#queues.delete(clientId);
    this.#tell(clientId, dropped, 'the queues of all sessions are full, and its is the largest; see mqtt.total');
  }

  #remove(queue: Queue, entry: Entry): void {
    const { packet, bytes } = entry;
    queue.entries.delete(entry);
    if (packet.cmd === 'publish') queue.byCounter.delete(packet.brokerCounter);
    if (packet.messageId !== undefined) queue.byId.delete(packet.messageId);
    queue.bytes -= bytes;
    this.messages--;
    this.bytes -= bytes;
  }

  #tell(clientId: string, messages: number, reason: string): void {
    this.dropped += messages;
    this.#onDropped(clientId, messages, reason);
  }
}

function newQueue(): Queue {
  return { entries: new Set(), byCounter: new Map(), byId: new Map(), bytes: 0 };
}

/** A copy: what is kept must not keep the whole chunk alive in which it came, which may be a thousand times as large. */
export function ownBytes(payload: Buffer | string): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

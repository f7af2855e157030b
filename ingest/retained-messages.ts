import { Readable } from 'node:stream';
import type { DoorLimits } from './limits.ts';
import { ownBytes } from './offline-queues.ts';

/** A message to be retained. `clientId` is who published it; undefined for the door itself. */
export interface RetainedPacket {
  topic: string;
  payload: Buffer | string;
  qos: 0 | 1 | 2;
  clientId?: string;
}

interface Kept {
  cmd: 'publish';
  topic: string;
  payload: Buffer;
  qos: 0 | 1 | 2;
  retain: true;
}

interface Owner {
  messages: number;
  bytes: number;
}

/** What an entry takes beside its topic and payload, by measurement. */
const ENTRY_BYTES = 500;

/**
 * The retained messages: the last of each topic, bounded for each client that publishes them and in total.
 *
 * One above a bound is delivered to whoever is subscribed now, and not kept; the older one of its topic is not kept either,
 * since it is no longer the last.
 */
export class RetainedMessages {
  bytes = 0;
  refused = 0;
  readonly #limits: DoorLimits;
  readonly #onRefused: (clientId: string, topic: string, reason: string) => void;
  readonly #kept = new Map<string, { packet: Kept; bytes: number; owner: string }>();
  readonly #owners = new Map<string, Owner>();

  constructor(limits: DoorLimits, onRefused: (clientId: string, topic: string, reason: string) => void) {
    this.#limits = limits;
    this.#onRefused = onRefused;
  }

  get messages(): number {
    return this.#kept.size;
  }

  async storeRetained({ topic, payload, qos, clientId }: RetainedPacket): Promise<void> {
    this.#remove(topic);
    if (payload.length === 0) return; // [MQTT-3.3.1-10]
    const bytes = ENTRY_BYTES + Buffer.byteLength(topic) + Buffer.byteLength(payload);
    const owner = clientId ?? '';
    const account = this.#owners.get(owner) ?? { messages: 0, bytes: 0 };
    const problem = this.#problem(owner, account, bytes);
    if (problem !== null) {
      this.refused++;
      this.#onRefused(owner, topic, problem);
      return;
    }
    this.#kept.set(topic, {
      packet: { cmd: 'publish', topic, payload: ownBytes(payload), qos, retain: true },
      bytes,
      owner,
    });
    account.messages++;
    account.bytes += bytes;
    this.#owners.set(owner, account);
    this.bytes += bytes;
  }

  #problem(owner: string, account: Owner, bytes: number): string | null {
    const { perClient, total } = this.#limits;
    if (this.#kept.size >= total.retainedMessagesMax || this.bytes + bytes > total.retainedBytesMax)
      return 'the retained messages of all clients are at their bound; see mqtt.total';
    if (owner === '') return null;
    if (account.messages >= perClient.retainedMessagesMax || account.bytes + bytes > perClient.retainedBytesMax)
      return 'the retained messages of this client are at their bound; see mqtt.perClient';
    return null;
  }

  #remove(topic: string): void {
    const old = this.#kept.get(topic);
    if (old === undefined) return;
    this.#kept.delete(topic);
    this.bytes -= old.bytes;
    const account = this.#owners.get(old.owner)!;
    account.messages--;
    account.bytes -= old.bytes;
    if (account.messages === 0) this.#owners.delete(old.owner);
  }

  /** Those of the topics that are named; all of them when one is `#`. */
  createRetainedStreamCombi(topics: readonly string[]): Readable {
    if (topics.includes('#')) return Readable.from(packets(this.#kept.values()));
    return Readable.from(packets([...new Set(topics)].flatMap((topic) => this.#kept.get(topic) ?? [])));
  }
}

function* packets(kept: Iterable<{ packet: Kept }>): Generator<Kept> {
  for (const { packet } of kept) yield packet;
}

import { type BrokerPeer, BrokerStream } from './broker-stream.ts';
import { withSessionPresent } from './mqtt-bytes.ts';
import { SubscriptionRequests } from './subscription-requests.ts';

/**
 * A client's end in the broker. What the broker makes for a client takes more memory than all the rest of a connection, and a
 * device that only publishes its telemetry never needs it; so there is one when a client asks for what only the broker does.
 *
 *     with a will or a session to keep     CONNECT ─▶ broker ─CONNACK─▶ client
 *     any other                            CONNECT ─▶ door ─CONNACK─▶ client … its first packet that the lane does not take:
 *                                          CONNECT in its name ─▶ broker ─CONNACK─▶ nobody, and then that packet ─▶ broker
 */
export class BrokerEnd<Peer extends BrokerPeer> {
  readonly stream: BrokerStream<Peer>;
  readonly requests = new SubscriptionRequests();
  /** What the client sent before the broker knew it; to be passed on when the broker has accepted it. */
  #waits: Uint8Array | null;
  #state: 'introduced' | 'accepted' | 'ended' = 'introduced';

  /** `waits`: the client has its CONNACK, and this packet is the first for the broker. */
  constructor(peer: Peer, waits: Uint8Array | null) {
    this.stream = new BrokerStream(peer);
    this.#waits = waits;
  }

  /** The broker knows the client. */
  accepted(): void {
    this.#state = 'accepted';
    const waits = this.#waits;
    this.#waits = null;
    if (waits !== null) this.stream.push(waits);
  }

  /** What to send of what the broker writes; `sessionPresent` when the client comes back to a session that was kept. */
  outgoing(chunks: readonly Uint8Array[], sessionPresent: boolean): readonly Uint8Array[] {
    if (this.#waits !== null) return NOTHING;
    // The broker knows a session by its subscriptions only, and calls one without them absent.
    if (this.#state === 'introduced') return sessionPresent ? [withSessionPresent(chunks)] : chunks;
    return this.requests.pending ? this.requests.answer(chunks) : chunks;
  }

  /** The client sends no more. */
  end(): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.stream.push(null);
  }
}

const NOTHING: readonly Uint8Array[] = [];

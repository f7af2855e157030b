import type { SluiceError } from '../model/errors.ts';
import { AckOrder } from './ack-order.ts';
import type { AckReceiver, OpenFrame } from './open-frame.ts';
import type { SessionHandshakes } from './qos2-handshakes.ts';

/** The client that PUBRECs go to. */
export interface ReceiptClient {
  /** So many of its messages are on their way to the log no longer. False when it is gone. */
  settled(messages: number): boolean;
  /** PUBRECs of the first `count` ids, which are reused after the call. */
  sendReceipts(ids: Uint16Array, count: number): void;
  /** A packet that had to wait may be looked at again. */
  tryAgain(): void;
  appendFailed(error: SluiceError, frame: OpenFrame): void;
}

/**
 * The QoS 2 messages of one connection that took the lane: their handshakes are begun with them, and their PUBRECs go out in
 * order [MQTT-4.6.0-3] when the frames are durable. There is one from a connection's first such message on.
 */
export class Qos2Receipts implements AckReceiver {
  readonly #client: ReceiptClient;
  readonly #handshakes: SessionHandshakes;
  readonly #order = new AckOrder<OpenFrame>();

  constructor(client: ReceiptClient, handshakes: SessionHandshakes) {
    this.#client = client;
    this.#handshakes = handshakes;
  }

  /** PUBRECs are still to be sent. */
  get waiting(): boolean {
    return this.#order.waiting;
  }

  /** A new message is in this frame. */
  expect(id: number, frame: OpenFrame): void {
    this.#handshakes.begin(id, frame, false);
    frame.expect(this, id);
    this.#order.expect(frame);
  }

  acknowledge(ids: Uint16Array, count: number, frame: OpenFrame): void {
    // The handshakes are the session's, which the connection may not outlive.
    for (let i = 0; i < count; i++) this.#handshakes.durable(ids[i], frame);
    if (!this.#client.settled(count)) return;
    this.#order.durable(frame, ids, count, (due, dueCount) => this.#client.sendReceipts(due, dueCount));
    this.#client.tryAgain();
  }

  appendFailed(error: SluiceError, frame: OpenFrame): void {
    this.#handshakes.failed(frame);
    this.#client.appendFailed(error, frame);
  }
}

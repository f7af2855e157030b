import type { OpenFrame } from './open-frame.ts';

/**
 * Which QoS 2 telemetry messages of each session have been taken and not yet released by PUBREL, whether they took the lane
 * or the broker's way. Until then a PUBLISH with the same packet id is the same message [MQTT-4.3.3-2] and is not appended
 * again. The broker's own check comes after its authorization, so it cannot serve here.
 *
 * The handshakes of a persistent session outlive its connection, as the broker's session does: both are gone with the process.
 */
export class Qos2Handshakes {
  readonly #sessions = new Map<string, SessionHandshakes>();

  of(session: string): SessionHandshakes {
    let handshakes = this.#sessions.get(session);
    if (handshakes === undefined) {
      handshakes = new SessionHandshakes();
      this.#sessions.set(session, handshakes);
    }
    return handshakes;
  }

  /** Those of a session that has begun one. */
  find(session: string): SessionHandshakes | undefined {
    return this.#sessions.get(session);
  }

  /** A clean session begins: nothing of an earlier one counts. */
  forget(session: string): void {
    this.#sessions.delete(session);
  }
}

/**
 *     begin ──▶ on its way in a frame ──durable──▶ on the log ──PUBREL: release──▶ (its id is new)
 *                        └──failed──▶ (it never happened, so that the device's repetition counts)
 */
export class SessionHandshakes {
  /** By packet id: the frame on its way, null once that is durable. */
  readonly #open = new Map<number, OpenFrame | null>();
  /** The ids whose PUBREL is for the broker to answer. */
  readonly #brokers = new Set<number>();

  /** The frame that the message is on its way in, null when it is durable, undefined when the packet id begins a new handshake. */
  frameOf(id: number): OpenFrame | null | undefined {
    return this.#open.get(id);
  }

  brokerHas(id: number): boolean {
    return this.#brokers.has(id);
  }

  begin(id: number, frame: OpenFrame, byBroker: boolean): void {
    this.#open.set(id, frame);
    if (byBroker) this.#brokers.add(id);
  }

  /** The frame is durable; an id that was released and begun anew meanwhile is in another one. */
  durable(id: number, frame: OpenFrame): void {
    if (this.#open.get(id) === frame) this.#open.set(id, null);
  }

  /** The frame did not get onto the log. */
  failed(frame: OpenFrame): void {
    for (const [id, on] of this.#open) if (on === frame) this.release(id);
  }

  /** Ends a handshake. True when it was the lane's, which then owes a PUBCOMP. */
  release(id: number): boolean {
    const open = this.#open.delete(id);
    return !this.#brokers.delete(id) && open;
  }
}

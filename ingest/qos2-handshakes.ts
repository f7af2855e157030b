import type { OpenFrame } from './open-frame.ts';

/**
 * Which QoS 2 messages of each session have been taken and not yet released by PUBREL, whether they took the lane or the
 * broker's way. Until then a PUBLISH with the same packet id is the same message [MQTT-4.3.3-2], and is not appended again. The
 * broker's own check comes after its authorization, so it cannot serve here.
 *
 * The handshakes of a persistent session outlive its connection, as the broker's session does: both are gone with the process.
 * Clients that never send PUBREL are bounded together: the session with the most open handshakes is forgotten.
 */
export class Qos2Handshakes {
  readonly #max: number;
  readonly #onForgotten: (session: string) => void;
  readonly #sessions = new Map<string, SessionHandshakes>();
  readonly #total: Total = { open: 0 };

  /** `onForgotten`: this session had the most of more than `max`, and what was open in it counts no longer. */
  constructor(max: number, onForgotten: (session: string) => void) {
    this.#max = max;
    this.#onForgotten = onForgotten;
  }

  /** Open handshakes of all sessions. */
  get open(): number {
    return this.#total.open;
  }

  /** Those of a session, which is about to begin one. */
  of(session: string): SessionHandshakes {
    let handshakes = this.#sessions.get(session);
    if (handshakes === undefined) {
      handshakes = new SessionHandshakes(this.#total, () => this.#makeRoom());
      this.#sessions.set(session, handshakes);
    }
    return handshakes;
  }

  /** Those of a session that has begun one. */
  find(session: string): SessionHandshakes | undefined {
    return this.#sessions.get(session);
  }

  /** A clean session begins, or one has ended: nothing of it counts any more. */
  forget(session: string): void {
    this.#sessions.get(session)?.detach();
    this.#sessions.delete(session);
  }

  #makeRoom(): void {
    if (this.#total.open <= this.#max) return;
    let most: [string, SessionHandshakes] | null = null;
    for (const one of this.#sessions) if (most === null || one[1].open > most[1].open) most = one;
    if (most === null) return;
    this.forget(most[0]);
    this.#onForgotten(most[0]);
  }
}

interface Total {
  open: number;
}

/**
 *     begin ──▶ on its way in a frame ──durable──▶ on the log ──PUBREL: release──▶ (its id is new)
 *                        └──failed──▶ (it never happened, so that the device's repetition counts)
 */
export class SessionHandshakes {
  /** By packet id: the frame on its way, null once that is durable, or where there is none. */
  readonly #open = new Map<number, OpenFrame | null>();
  /** The ids whose PUBREL is for the broker to answer. */
  readonly #brokers = new Set<number>();
  readonly #begun: () => void;
  #total: Total;

  constructor(total: Total, begun: () => void) {
    this.#total = total;
    this.#begun = begun;
  }

  get open(): number {
    return this.#open.size;
  }

  /** The frame that the message is on its way in, null when it is durable, undefined when the packet id begins a new handshake. */
  frameOf(id: number): OpenFrame | null | undefined {
    return this.#open.get(id);
  }

  /** Begins the handshake of an id that has none. `frame`: null for what is not logged. */
  begin(id: number, frame: OpenFrame | null, byBroker: boolean): void {
    this.#open.set(id, frame);
    if (byBroker) this.#brokers.add(id);
    this.#total.open++;
    this.#begun();
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
    if (!this.#open.delete(id)) return false;
    this.#total.open--;
    return !this.#brokers.delete(id);
  }

  /** The session is over; a connection that still knows this counts for nobody. */
  detach(): void {
    this.#total.open -= this.#open.size;
    this.#total = { open: this.#open.size };
  }
}

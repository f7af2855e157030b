/**
 * Which QoS 2 messages of a session are on the log but not yet released by PUBREL. Until then a PUBLISH with the same packet
 * id is the same message [MQTT-4.3.3-2] and is not appended again. The broker's own check comes after its authorization, so
 * it cannot serve here.
 *
 * The handshakes of a persistent session outlive its connection, as the broker's session does: both are gone with the process.
 */
export class Qos2Handshakes {
  readonly #sessions = new Map<string, Map<number, Promise<void>>>();

  /** The append of an open handshake, or undefined when the packet id begins a new one. */
  find(session: string, packetId: number): Promise<void> | undefined {
    return this.#sessions.get(session)?.get(packetId);
  }

  /** Begins a handshake. If the append fails it never happened, so that the device's repetition counts. */
  begin(session: string, packetId: number, appended: Promise<void>): void {
    let open = this.#sessions.get(session);
    if (open === undefined) {
      open = new Map();
      this.#sessions.set(session, open);
    }
    open.set(packetId, appended);
    appended.catch(() => {
      if (this.find(session, packetId) === appended) this.end(session, packetId);
    });
  }

  end(session: string, packetId: number): void {
    const open = this.#sessions.get(session);
    if (open === undefined) return;
    open.delete(packetId);
    if (open.size === 0) this.#sessions.delete(session);
  }

  /** A clean session begins: nothing of an earlier one counts. */
  forget(session: string): void {
    this.#sessions.delete(session);
  }
}

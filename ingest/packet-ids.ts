const IDS = 65_535;

/** The packet ids that the door has given to messages of one session and not got back: each is used once at a time [MQTT-2.3.1-4]. */
export class PacketIds {
  readonly #used = new Set<number>();
  #last = 0;

  get used(): number {
    return this.#used.size;
  }

  /** An id that is not in use; 0 when all of them are. */
  take(): number {
    if (this.#used.size >= IDS) return 0;
    do {
      this.#last = this.#last === IDS ? 1 : this.#last + 1;
    } while (this.#used.has(this.#last));
    this.#used.add(this.#last);
    return this.#last;
  }

  giveBack(id: number): void {
    this.#used.delete(id);
  }
}

/** What outlives the connection of a session that is kept, beside what the broker's persistence holds. */
export class Sessions {
  readonly #kept = new Map<string, PacketIds>();

  /** Begins, resumes or, for a clean one, forgets the session of a client that was let in. */
  begin(clientId: string, clean: boolean): { present: boolean; ids: PacketIds } {
    const kept = this.#kept.get(clientId);
    if (clean) this.#kept.delete(clientId); // [MQTT-3.1.2-6]
    if (clean || kept === undefined) {
      const ids = new PacketIds();
      if (!clean) this.#kept.set(clientId, ids);
      return { present: false, ids }; // [MQTT-3.2.2-1], [MQTT-3.2.2-3]
    }
    return { present: true, ids: kept }; // [MQTT-3.2.2-2]
  }

  forget(clientId: string): void {
    this.#kept.delete(clientId);
  }
}

/** How a client's wish for a session that outlives its connection is answered. */
export type SessionAnswer = 'granted' | 'full' | 'of another';

interface KeptSession {
  /** The name of the credential that it belongs to. */
  owner: string;
  /** Since when its client has been away; null while it is connected. */
  awaySinceMs: number | null;
}

/** Which persistent sessions there are, whose they are, and since when their clients have been away. */
export class KeptSessions {
  readonly #max: number;
  readonly #expiryMs: number;
  readonly #sessions = new Map<string, KeptSession>();

  constructor(max: number, expiryMs: number) {
    this.#max = max;
    this.#expiryMs = expiryMs;
  }

  get count(): number {
    return this.#sessions.size;
  }

  has(clientId: string): boolean {
    return this.#sessions.has(clientId);
  }

  /** Whether this credential may begin or resume the session of a client id. Nothing is changed yet. */
  judge(clientId: string, clean: boolean, owner: string): SessionAnswer {
    const session = this.#sessions.get(clientId);
    if (session !== undefined) return session.owner === owner ? 'granted' : 'of another';
    return clean || this.#sessions.size < this.#max ? 'granted' : 'full';
  }

  /** The client is let in. */
  begin(clientId: string, clean: boolean, owner: string): void {
    if (clean) this.#sessions.delete(clientId);
    else this.#sessions.set(clientId, { owner, awaySinceMs: null });
  }

  /** The client has gone, and nobody took its client id over. */
  left(clientId: string, nowMs: number): void {
    const session = this.#sessions.get(clientId);
    if (session !== undefined) session.awaySinceMs = nowMs;
  }

  /** Forgets the sessions whose clients have been away for too long, and names them. */
  expire(nowMs: number): string[] {
    const expired: string[] = [];
    for (const [clientId, { awaySinceMs }] of this.#sessions) {
      if (awaySinceMs === null || nowMs - awaySinceMs < this.#expiryMs) continue;
      this.#sessions.delete(clientId);
      expired.push(clientId);
    }
    return expired;
  }
}

/** Counts the filters of each session, and of all together, and grants no more than are allowed. */
export class SubscriptionCounts {
  total = 0;
  readonly #perSessionMax: number;
  readonly #totalMax: number;
  readonly #sessions = new Map<string, Set<string>>();

  constructor(perSessionMax: number, totalMax: number) {
    this.#perSessionMax = perSessionMax;
    this.#totalMax = totalMax;
  }

  /** Whether a session may have this filter; one that it has already, it may. */
  grant(session: string, filter: string): boolean {
    const filters = this.#sessions.get(session);
    if (filters?.has(filter)) return true;
    if (this.total >= this.#totalMax || (filters?.size ?? 0) >= this.#perSessionMax) return false;
    if (filters === undefined) this.#sessions.set(session, new Set([filter]));
    else filters.add(filter);
    this.total++;
    return true;
  }

  release(session: string, filter: string): void {
    const filters = this.#sessions.get(session);
    if (!filters?.delete(filter)) return;
    this.total--;
    if (filters.size === 0) this.#sessions.delete(session);
  }

  /** The session is over. */
  forget(session: string): void {
    this.total -= this.#sessions.get(session)?.size ?? 0;
    this.#sessions.delete(session);
  }
}

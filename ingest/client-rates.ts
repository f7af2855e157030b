import type { ClientLimits } from './limits.ts';
import { TokenBucket } from './token-bucket.ts';

/** A client's two buckets. */
export class ClientRate {
  readonly #messages: TokenBucket | null;
  readonly #bytes: TokenBucket | null;

  constructor({ perSecondMessagesMax, perSecondBytesMax }: ClientLimits, nowMs: number) {
    // A second's worth at once: devices send in bursts.
    const bucket = (rate: number): TokenBucket | null => (rate > 0 ? new TokenBucket(rate, rate, nowMs) : null);
    this.#messages = bucket(perSecondMessagesMax);
    this.#bytes = bucket(perSecondBytesMax);
  }

  /** How long until the client may bring its next message, ms. */
  waitMs(nowMs: number): number {
    return Math.max(this.#messages?.waitMs(nowMs) ?? 0, this.#bytes?.waitMs(nowMs) ?? 0);
  }

  take(bytes: number): void {
    this.#messages?.take(1);
    this.#bytes?.take(bytes);
  }

  full(nowMs: number): boolean {
    return (this.#messages?.full(nowMs) ?? true) && (this.#bytes?.full(nowMs) ?? true);
  }
}

/** Rates are kept by client id, so that a client does not get a new allowance by connecting again. */
export class ClientRates {
  readonly #limits: ClientLimits;
  readonly #rates = new Map<string, ClientRate>();
  #pruneAt = 1024;

  constructor(limits: ClientLimits) {
    this.#limits = limits;
  }

  /** The rate of a client; null when there is no limit. */
  of(clientId: string, nowMs: number): ClientRate | null {
    const { perSecondMessagesMax, perSecondBytesMax } = this.#limits;
    if (perSecondMessagesMax === 0 && perSecondBytesMax === 0) return null;
    let rate = this.#rates.get(clientId);
    if (rate === undefined) {
      if (this.#rates.size >= this.#pruneAt) this.#prune(nowMs);
      rate = new ClientRate(this.#limits, nowMs);
      this.#rates.set(clientId, rate);
    }
    return rate;
  }

  /** One that owes nothing is as good as a new one, also for a client that is connected and holds it. */
  #prune(nowMs: number): void {
    for (const [clientId, rate] of this.#rates) if (rate.full(nowMs)) this.#rates.delete(clientId);
    this.#pruneAt = Math.max(1024, this.#rates.size * 2);
  }
}

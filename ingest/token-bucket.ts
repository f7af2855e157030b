/**
 * Allows `perSecond` in the long run, and `burst` at once after a quiet time. It may be overdrawn: whoever has taken more
 * than there was waits until the debt is paid, so that the rate holds for large takings too.
 */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #atMs: number;

  constructor(perSecond: number, burst: number, nowMs: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#atMs = nowMs;
  }

  /** How long until anything may be taken, ms; 0 when it may be now. A clock that steps back gives nothing and takes nothing. */
  waitMs(nowMs: number): number {
    if (nowMs > this.#atMs) this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#atMs) * this.#perMs);
    this.#atMs = nowMs;
    return this.#tokens > 0 ? 0 : Math.max(1, Math.ceil(-this.#tokens / this.#perMs));
  }

  take(amount: number): void {
    this.#tokens -= amount;
  }

  /** Nothing is owed: it is as good as new. */
  full(nowMs: number): boolean {
    this.waitMs(nowMs);
    return this.#tokens >= this.#burst;
  }
}

/** A bound on how many do something at once; the others wait in the order they came. */
export class Slots {
  #free: number;
  #inUse = 0;
  #waiting: (() => void)[] = [];
  #idle: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Resolves when there is a place; rejects with the signal's reason when it is aborted before. */
  async take(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
      this.#inUse++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const go = () => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        this.#waiting = this.#waiting.filter((other) => other !== go);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.push(go);
    });
  }

  /** Gives a place back, or on to whoever has waited longest. */
  give(): void {
    const next = this.#waiting.shift();
    if (next) {
      next();
      return;
    }
    this.#free++;
    this.#inUse--;
    if (this.#inUse === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Resolves when nobody holds a place. */
  drain(): Promise<void> {
    if (this.#inUse === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }
}

/** One taker's place, which may be given back and taken again; giving back what is not held does nothing. */
export class Lease {
  readonly #slots: Slots;
  readonly #signal: AbortSignal | undefined;
  #isHeld = false;

  constructor(slots: Slots, signal?: AbortSignal) {
    this.#slots = slots;
    this.#signal = signal;
  }

  async take(): Promise<void> {
    await this.#slots.take(this.#signal);
    this.#isHeld = true;
  }

  give(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#slots.give();
  }
}

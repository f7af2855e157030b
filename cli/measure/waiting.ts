import type { Clock } from '../../model/clock.ts';

export interface WaitingEntry {
  startMs: number;
}

/** Calls that have had no answer yet, and how long the oldest has waited. A set keeps the order of the calls. */
export class Waiting {
  readonly #clock: Clock;
  readonly #entries = new Set<WaitingEntry>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get count(): number {
    return this.#entries.size;
  }

  begin(): WaitingEntry {
    const entry = { startMs: this.#clock.nowMs() };
    this.#entries.add(entry);
    return entry;
  }

  end(entry: WaitingEntry): void {
    this.#entries.delete(entry);
  }

  ageMs(entry: WaitingEntry): number {
    return Math.max(0, this.#clock.nowMs() - entry.startMs);
  }

  /** 0 when none waits. */
  oldestMs(): number {
    for (const entry of this.#entries) return this.ageMs(entry);
    return 0;
  }
}

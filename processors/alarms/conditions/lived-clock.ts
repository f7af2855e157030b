import type { StateReader, StateWriter } from '../../state-bytes.ts';

/**
 * The partition's clock as far as we were there to listen: silence is measured by it. While a door is up it writes its time into each
 * partition every few moments (`log.tickMs`), so a gap in the clock is a door that was down, or the log that could not be written. That is our own
 * outage and nobody's silence: the gap does not count, and neither does the time after it in which devices find their way
 * back. Processing that lags behind does not show here at all, since the clock is on the log.
 *
 *     clock    ├──────────┤     gap      ├─ graceMs ─┼────────▶
 *     lived    ├──────────┤ . . . . . . . . . . . . .├────────▶
 */
export class LivedClock {
  livedMs = 0;
  readonly #outageMs: number;
  readonly #graceMs: number;
  /** −1 before there was any. */
  #lastMs = -1;
  #frozenUntilMs = 0;

  constructor(outageMs: number, graceMs: number) {
    this.#outageMs = outageMs;
    this.#graceMs = graceMs;
  }

  advance(clockMs: number): void {
    const last = this.#lastMs;
    if (clockMs <= last) return;
    this.#lastMs = clockMs;
    if (last < 0) return;
    if (clockMs - last > this.#outageMs) this.#frozenUntilMs = clockMs + this.#graceMs;
    else this.livedMs += Math.max(0, clockMs - Math.max(last, this.#frozenUntilMs));
  }

  /** When the partition's clock will be where this one is at `livedMs`, if nothing comes between. */
  clockAt(livedMs: number): number {
    return Math.max(this.#lastMs, this.#frozenUntilMs) + (livedMs - this.livedMs);
  }

  save(out: StateWriter): void {
    out.varint(this.livedMs);
    out.varint(this.#lastMs + 1);
    out.varint(this.#frozenUntilMs);
  }

  restore(from: StateReader): void {
    this.livedMs = from.varint();
    this.#lastMs = from.varint() - 1;
    this.#frozenUntilMs = from.varint();
  }
}

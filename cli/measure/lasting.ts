/** For how long something has been so, each time it was looked at. */
export class Lasting {
  #sinceMs: number | null = null;

  look(isSo: boolean, nowMs: number): number {
    if (!isSo) this.#sinceMs = null;
    else this.#sinceMs ??= nowMs;
    return this.#sinceMs === null ? 0 : nowMs - this.#sinceMs;
  }
}

/** How much a value has changed over a span of time, and how a counter has: looked at about once a second. */
export class Change {
  readonly #spanMs: number;
  readonly #values: { atMs: number; value: number }[] = [];

  constructor(spanMs: number) {
    this.#spanMs = spanMs;
  }

  look(value: number, nowMs: number): number {
    this.#values.push({ atMs: nowMs, value });
    while (this.#values.length > 2 && this.#values[1].atMs <= nowMs - this.#spanMs) this.#values.shift();
    return value - this.#values[0].value;
  }
}

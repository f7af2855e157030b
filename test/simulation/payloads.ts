import type { Random } from './random.ts';

/** Payloads of one device with the world's troubles. `n` numbers the messages, so that each can be told from all others. */
export class Payloads {
  readonly #random: Random;
  readonly #usedMs = new Set<number>();
  readonly #skewMs: number;
  #number = 0;
  #last = '';

  constructor(random: Random) {
    this.#random = random;
    this.#skewMs = random.chance(0.15) ? random.int(-300_000, 300_000) : 0;
  }

  next(trueMs: number): string {
    const r = this.#random;
    if (this.#last !== '' && r.chance(0.06)) return this.#last; // the device itself sends it twice
    const n = ++this.#number;
    const ts = this.#time(trueMs);
    const t = Math.round((24 + 12 * Math.sin(trueMs / 4000 + this.#skewMs) + r.between(-2, 2)) * 100) / 100;
    const h = r.int(0, 1000) / 10;
    const kind = r.next();
    this.#last = this.#payload(kind, n, ts, t, h);
    return this.#last;
  }

  #payload(kind: number, n: number, ts: number, t: number, h: number): string {
    const r = this.#random;
    if (kind < 0.5) return `{"ts":${ts},"t":${t},"n":${n}}`;
    if (kind < 0.6) return `{"ts":${ts},"t":${t},"h":${h},"n":${n}}`;
    if (kind < 0.66) return `{"ts":${ts},"values":{"t":${t},"state":"on"},"n":${n}}`;
    if (kind < 0.74) return `{"t":${t},"n":${n}}`;
    if (kind < 0.8) return `[{"ts":${ts},"t":${t},"n":${n}},{"ts":${this.#free(ts - 1000)},"t":${h},"n":${n}}]`;
    if (kind < 0.85) return `{"ts":"${new Date(ts).toISOString()}","h":${h},"ok":true,"n":${n}}`;
    if (kind < 0.9) return `{"ts":${(ts / 1000).toFixed(3)},"t":${t},"n":${n},"none":null}`;
    if (kind < 0.95) return `{"n":${n},"t":`;
    return r.pick([`{"n":[${n}]}`, `${n}`, `{"ts":"soon","n":${n}}`]);
  }

  #time(trueMs: number): number {
    const r = this.#random;
    const kind = r.next();
    let ts = Math.floor(trueMs) + this.#skewMs;
    if (kind < 0.2) ts -= r.int(0, 4000);
    else if (kind < 0.3) ts -= r.int(0, 40_000);
    else if (kind < 0.32) ts -= r.int(0, 1_000_000);
    else if (kind < 0.35) ts += r.int(0, 5_000_000);
    return this.#free(ts);
  }

  #free(ts: number): number {
    let free = ts;
    while (this.#usedMs.has(free)) free++;
    this.#usedMs.add(free);
    return free;
  }
}

const DEVICES = 2 ** 32;

/** Rules that are to be judged for devices when the readings at hand are through, by the rank of the rule. */
export class Touched {
  /** rank · 2³² + device */
  readonly #keys = new Set<number>();

  get size(): number {
    return this.#keys.size;
  }

  add(rank: number, device: number): void {
    this.#keys.add(rank * DEVICES + device);
  }

  clear(): void {
    this.#keys.clear();
  }

  /** Rank by rank, devices in their order, until nothing is left: what judging touches in turn has a higher rank. */
  settle(judge: (rank: number, device: number) => void): void {
    while (this.#keys.size > 0) {
      const keys = [...this.#keys].sort((a, b) => a - b);
      const rank = Math.floor(keys[0] / DEVICES);
      for (const key of keys) {
        if (Math.floor(key / DEVICES) !== rank) break;
        this.#keys.delete(key);
        judge(rank, key % DEVICES);
      }
    }
  }
}

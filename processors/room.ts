/** Bytes of frames that are under way in a processor, of all partitions together, and those who wait for some to be done. */
export class Room {
  readonly bytesMax: number;
  bytes = 0;
  #waiting: (() => void)[] = [];

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Whether so many bytes more may be under way. A single batch that is larger than all room may be, alone. */
  has(bytes: number): boolean {
    return this.bytes === 0 || this.bytes + bytes <= this.bytesMax;
  }

  take(bytes: number): void {
    this.bytes += bytes;
  }

  give(bytes: number): void {
    this.bytes -= bytes;
    this.changed();
  }

  /** Resolves when something has changed; the waiter looks again. */
  change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  changed(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

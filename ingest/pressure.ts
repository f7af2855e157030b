/** Something that stops taking input while the door is full, and is told when to go on. */
export interface Relievable {
  relieve(): void;
}

/**
 * Bytes that the door has taken and not yet got rid of. Above `bytesMax` it is full, and whoever brings more waits; everybody
 * goes on when it has fallen to half of that, so that sockets are not paused and resumed for each message.
 */
export class Pressure {
  bytes = 0;
  readonly bytesMax: number;
  readonly #waiting = new Set<Relievable>();

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get full(): boolean {
    return this.bytes >= this.bytesMax;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  add(bytes: number): void {
    this.bytes += bytes;
  }

  release(bytes: number): void {
    this.bytes -= bytes;
    if (this.#waiting.size === 0 || this.bytes > this.bytesMax / 2) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const one of waiting) one.relieve();
  }

  wait(one: Relievable): void {
    this.#waiting.add(one);
  }

  forget(one: Relievable): void {
    this.#waiting.delete(one);
  }
}

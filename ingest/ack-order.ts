interface Early {
  ids: Uint16Array;
  at: number;
}

/**
 * The order in which one connection's PUBACKs may go out: that of the PUBLISHes [MQTT-4.6.0-2], though frames of several
 * partitions become durable in any order. Messages that went into the same frame one behind the other are one run, so a device
 * that publishes on its own topic has one run for each frame, and nothing is copied.
 *
 *     runs    frame A: 3 │ frame B: 1 │ frame A: 2        B is durable: its id waits; A is durable: all go out
 */
export class AckOrder<Frame extends object> {
  readonly #frames: Frame[] = [];
  readonly #counts: number[] = [];
  #head = 0;
  /** Frames that are durable before something that came earlier is. */
  readonly #early = new Map<Frame, Early>();

  /** True while PUBACKs are to come. */
  get waiting(): boolean {
    return this.#head < this.#frames.length;
  }

  /** A message in this frame is to be acknowledged. */
  expect(frame: Frame): void {
    const last = this.#frames.length - 1;
    if (last >= this.#head && this.#frames[last] === frame) this.#counts[last]++;
    else {
      this.#frames.push(frame);
      this.#counts.push(1);
    }
  }

  /** The frame is durable: gives `send` what may go out now, in order. The ids are not kept. */
  durable(frame: Frame, ids: Uint16Array, count: number, send: (ids: Uint16Array, count: number) => void): void {
    if (this.#frames[this.#head] === frame && this.#counts[this.#head] === count) {
      this.#next();
      send(ids, count);
    } else this.#early.set(frame, { ids: ids.slice(0, count), at: 0 });
    if (this.#early.size > 0) this.#sendEarly(send);
  }

  #sendEarly(send: (ids: Uint16Array, count: number) => void): void {
    const due: number[] = [];
    while (this.waiting) {
      const frame = this.#frames[this.#head];
      const early = this.#early.get(frame);
      if (early === undefined) break;
      for (let left = this.#counts[this.#head]; left > 0; left--) due.push(early.ids[early.at++]);
      if (early.at === early.ids.length) this.#early.delete(frame);
      this.#next();
    }
    if (due.length > 0) send(Uint16Array.from(due), due.length);
  }

  #next(): void {
    this.#head++;
    if (this.#head === this.#frames.length) {
      this.#frames.length = 0;
      this.#counts.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#frames.splice(0, this.#head);
      this.#counts.splice(0, this.#head);
      this.#head = 0;
    }
  }
}

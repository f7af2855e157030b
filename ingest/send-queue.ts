/** What a message takes in memory beside its bytes while it waits to be read. */
const ENTRY_BYTES = 250;
/** A queue below this is not what fills the memory. */
const LARGE_BYTES = 64 * 1024;

/** What all subscribers together are sent and have not read yet. */
export class SendQueues {
  bytes = 0;
  /** Messages of QoS 0 that were dropped since the start. */
  dropped = 0;
  readonly clientBytesMax: number;
  readonly totalBytesMax: number;
  /** Those that were large once since they were empty. */
  readonly large = new Set<SendQueue>();

  constructor(clientBytesMax: number, totalBytesMax: number) {
    this.clientBytesMax = clientBytesMax;
    this.totalBytesMax = totalBytesMax;
  }

  /** Makes room at the cost of whoever takes the most of it. */
  cutOffLargest(): void {
    let largest: SendQueue | null = null;
    for (const queue of this.large) if (largest === null || queue.bytes > largest.bytes) largest = queue;
    largest?.cutOff();
  }
}

/**
 * What one subscriber is sent and has not read yet. Publishers and other subscribers never wait for it, so it is bounded here:
 * a message that finds no room is dropped when it is QoS 0, and otherwise its subscriber has to be cut off. When all together
 * take too much, the one that takes the most is cut off.
 */
export class SendQueue {
  bytes = 0;
  /** Ends the client; set by whoever fills the queue. */
  onCutOff: () => void = () => {};
  readonly #all: SendQueues;
  #over = false;

  constructor(all: SendQueues) {
    this.#all = all;
  }

  /** Takes room for a message of this size. False when there is none, and nothing is taken. */
  take(messageBytes: number): boolean {
    const { clientBytesMax, totalBytesMax } = this.#all;
    const bytes = messageBytes + ENTRY_BYTES;
    // An empty queue takes any message, which packetBytesMax bounds.
    if (this.#over || (this.bytes > 0 && this.bytes + bytes > clientBytesMax)) return false;
    this.bytes += bytes;
    this.#all.bytes += bytes;
    if (this.bytes > LARGE_BYTES) this.#all.large.add(this);
    if (this.#all.bytes > totalBytesMax) this.#all.cutOffLargest();
    return !this.#over;
  }

  /** The message was handed to the socket, or will never be. Once for each `take` that was granted. */
  give(messageBytes: number): void {
    if (this.#over) return;
    const bytes = messageBytes + ENTRY_BYTES;
    this.bytes -= bytes;
    this.#all.bytes -= bytes;
    if (this.bytes === 0) this.#all.large.delete(this);
  }

  /** Nothing is written to the client any more; its room is free at once. */
  cutOff(): void {
    if (this.#over) return;
    this.#over = true;
    this.#all.bytes -= this.bytes;
    this.#all.large.delete(this);
    this.bytes = 0;
    this.onCutOff();
  }

  dropped(): void {
    this.#all.dropped++;
  }
}

/** A connection that holds the beginning of a packet. */
export interface PartialHolder {
  /** Ends it, for a reason that is logged. */
  close(reason: string): void;
}

/**
 * What connections hold of packets that have begun and not ended. Each is bounded by the size of a packet, but there are many
 * of them; when all together take too much, the one that began first is ended.
 */
export class PartialPackets {
  bytes = 0;
  readonly #bytesMax: number;
  /** In the order in which their packets began. */
  readonly #holders = new Map<PartialHolder, number>();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Notes how much a connection holds now; 0 for nothing. */
  set(holder: PartialHolder, bytes: number): void {
    this.bytes += bytes - (this.#holders.get(holder) ?? 0);
    if (bytes === 0) this.#holders.delete(holder);
    else this.#holders.set(holder, bytes);
    while (this.bytes > this.#bytesMax) {
      const [first] = this.#holders.keys();
      // Closing it gives its bytes back.
      first.close('its packet is not complete while too many others are not either; see mqtt.total.partialBytesMax');
      if (this.#holders.has(first)) this.set(first, 0);
    }
  }
}

/** The beginning of a packet is not worth counting up to this size. */
const PARTIAL_BYTES_MIN = 4096;

/** The packet of one connection that has begun and not ended, if there is one. */
export class PartialPacket {
  readonly #all: PartialPackets;
  readonly #holder: PartialHolder;
  #sinceMs = 0;
  #bytes = 0;

  constructor(all: PartialPackets, holder: PartialHolder) {
    this.#all = all;
    this.#holder = holder;
  }

  /** What is held now, 0 for nothing; `another` when it is not the packet of the last time. */
  note(heldBytes: number, another: boolean, nowMs: number): void {
    if (heldBytes === 0) this.#sinceMs = 0;
    else if (another || this.#sinceMs === 0) this.#sinceMs = nowMs;
    const bytes = heldBytes > PARTIAL_BYTES_MIN ? heldBytes : 0;
    if (bytes === this.#bytes) return;
    this.#bytes = bytes;
    this.#all.set(this.#holder, bytes);
  }

  /** Time that nobody listened does not count. */
  postpone(nowMs: number): void {
    if (this.#sinceMs > 0) this.#sinceMs = nowMs;
  }

  ageMs(nowMs: number): number {
    return this.#sinceMs === 0 ? 0 : nowMs - this.#sinceMs;
  }
}

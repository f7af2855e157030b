import { PacketScanner } from './packet-scanner.ts';
import { PAUSE, type Wire } from './wire.ts';

/** Whose packets are read. */
export interface ReaderOwner {
  /** False when no further packet is to be looked at. */
  reading(): boolean;
  /** The scanner stands at a packet. Its owner deals with it, or holds the reader. */
  onPacket(scanner: PacketScanner): void;
  /** What comes cannot be packets. */
  onProblem(problem: string): void;
  /** The bytes at hand are used up, or something has to be waited for; `packets` were dealt with. */
  onPaused(packets: number): void;
}

/**
 * Reads the packets of a socket one by one, until the bytes at hand are used up or its owner has to wait for something.
 *
 *     reading ──hold──▶ held ──goOn──▶ reading        what comes while it is held, or busy, is kept in order
 */
export class PacketReader {
  readonly scanner: PacketScanner;
  readonly #wire: Wire;
  readonly #owner: ReaderOwner;
  /** Chunks that came while the scanner could not go on. */
  #stash: Uint8Array[] | null = null;
  #scanning = false;
  #again = false;

  constructor(wire: Wire, owner: ReaderOwner, packetBytesMax: number) {
    this.scanner = new PacketScanner(packetBytesMax);
    this.#wire = wire;
    this.#owner = owner;
  }

  /** The packet that the scanner stands at was not dealt with yet. */
  get again(): boolean {
    return this.#again;
  }

  /** Some of what came has not been looked at. */
  get behind(): boolean {
    return this.#wire.pausedFor(PAUSE.hold) || this.#stash !== null;
  }

  feed(chunk: Uint8Array): void {
    if (this.#scanning || this.behind) {
      this.#stash ??= [];
      this.#stash.push(chunk);
      return;
    }
    this.scanner.feed(chunk);
    this.#scan();
  }

  /** Reads no further until `goOn`; `again`: the packet that the scanner stands at is to be looked at again. */
  hold(again: boolean): void {
    this.#again = again;
    this.#wire.pause(PAUSE.hold);
  }

  goOn(): void {
    this.#wire.resume(PAUSE.hold);
    if (!this.#scanning) this.#scan();
  }

  /** Forgets what was not looked at. */
  drop(): void {
    this.#stash = null;
  }

  #scan(): void {
    const { scanner } = this;
    const owner = this.#owner;
    this.#scanning = true;
    let packets = 0;
    for (;;) {
      while (!this.#wire.pausedFor(PAUSE.hold) && owner.reading()) {
        if (this.#again) this.#again = false;
        else if (!scanner.next()) break;
        owner.onPacket(scanner);
        packets++;
      }
      if (scanner.problem !== null && owner.reading()) owner.onProblem(scanner.problem);
      if (this.#wire.pausedFor(PAUSE.hold) || !owner.reading()) break;
      const chunk = this.#stash?.shift();
      if (chunk === undefined) break;
      scanner.feed(chunk);
    }
    this.#scanning = false;
    if (!owner.reading() || this.#stash?.length === 0) this.#stash = null;
    owner.onPaused(packets);
  }
}

import type { Duplex } from 'node:stream';
import type { Clock } from '../model/clock.ts';
import type { DoorLimits } from './limits.ts';

/** Why a socket is not read at the moment; bits of a mask. */
export const PAUSE = {
  /** The door is full. */
  pressure: 1,
  /** The broker has not taken what it was given. */
  broker: 2,
  /** The peer does not read what it is sent. */
  writes: 4,
  /** Something has to happen before the next packet may be looked at. */
  hold: 8,
  /** The door is closing. */
  closing: 16,
  /** It has as many messages on their way to the log as it may have. */
  inFlight: 32,
} as const;

/** After the last byte was written, a peer has this long to close its side. */
const LINGER_MS = 1000;

/** What is told of a socket. */
export interface WireOwner {
  onChunk(chunk: Uint8Array): void;
  /** The peer sends no more. */
  onEnded(): void;
  /** The socket is broken. */
  onBroken(): void;
  /** The socket is gone, for whatever reason. Told once, after everything else. */
  onGone(): void;
}

/**
 * A client's socket: TCP, TLS, or a WebSocket as a stream. It is read only while nobody has a reason to pause it, takes whole
 * packets to write, and is closed in a way that lets the peer have the last of them.
 */
export class Wire {
  readonly openedMs: number;
  /** When something last came, or could have come, ms. */
  heardMs: number;
  /** The peer has sent all that it will. */
  ended = false;
  gone = false;
  readonly #stream: Duplex;
  readonly #limits: DoorLimits;
  readonly #clock: Clock;
  #pauses = 0;
  #closing = false;
  #closedMs = 0;
  /** Whoever waits for the peer to read. */
  #waits: (() => void) | null = null;
  /** What the socket has not taken yet. */
  #rest: Uint8Array[] = [];
  #restBytes = 0;
  /** Since when the peer reads nothing of what waits for it, 0 when nothing does. */
  #stalledSinceMs = 0;

  constructor(stream: Duplex, limits: DoorLimits, clock: Clock) {
    this.#stream = stream;
    this.#limits = limits;
    this.#clock = clock;
    this.openedMs = clock.nowMs();
    this.heardMs = this.openedMs;
  }

  /** Begins to read. */
  open(owner: WireOwner): void {
    this.#stream.on('data', (chunk: Uint8Array) => {
      this.heardMs = this.#clock.nowMs();
      owner.onChunk(chunk);
    });
    this.#stream.on('drain', () => this.#onDrain());
    this.#stream.on('end', () => {
      this.ended = true;
      owner.onEnded();
    });
    this.#stream.on('error', () => owner.onBroken());
    this.#stream.on('close', () => {
      this.gone = true;
      this.#closedMs = this.#clock.nowMs();
      owner.onGone();
    });
  }

  get paused(): boolean {
    return this.#pauses !== 0;
  }

  pausedFor(reason: number): boolean {
    return (this.#pauses & reason) !== 0;
  }

  pause(reason: number): void {
    if (this.#closing) return;
    if (this.#pauses === 0) this.#stream.pause();
    this.#pauses |= reason;
  }

  resume(reason: number): void {
    if ((this.#pauses & reason) === 0) return;
    this.#pauses &= ~reason;
    // Time that nobody listened is not the peer's silence.
    this.heardMs = this.#clock.nowMs();
    if (this.#pauses === 0) this.#stream.resume();
  }

  get #writable(): boolean {
    return !this.#stream.destroyed && !this.#stream.writableEnded;
  }

  /** Writes whole packets. A peer that does not read them is not read from either. */
  send(packets: Uint8Array): void {
    if (!this.#writable) return;
    if (this.#rest.length > 0) {
      // Behind what waits, so that no packet comes to lie inside another.
      this.#rest.push(packets);
      this.#restBytes += packets.length;
    } else {
      this.#stream.write(packets);
      this.#noteStall();
    }
    // Only a stream that has announced `drain` will send it.
    if (
      this.#stream.writableNeedDrain &&
      this.#stream.writableLength + this.#restBytes > this.#limits.writeBufferBytesMax
    )
      this.pause(PAUSE.writes);
  }

  /** Writes whole packets; `done` is called when there is room for more. One call at a time. */
  sendAll(chunks: readonly Uint8Array[], done: () => void): void {
    if (!this.#writable) {
      done();
      return;
    }
    this.#waits = done;
    for (const chunk of chunks) {
      this.#rest.push(chunk);
      this.#restBytes += chunk.length;
    }
    this.#pump();
  }

  /** Gives the socket as much as it takes at once: each `drain` shows that the peer reads, so it has to come in small steps. */
  #pump(): void {
    let at = 0;
    this.#stream.cork();
    while (at < this.#rest.length && !this.#stream.writableNeedDrain) {
      const chunk = this.#rest[at++];
      this.#restBytes -= chunk.length;
      this.#stream.write(chunk);
    }
    this.#stream.uncork();
    this.#rest = at === this.#rest.length ? [] : this.#rest.slice(at);
    this.#noteStall();
    if (this.#rest.length === 0 && !this.#stream.writableNeedDrain) this.#release();
  }

  #onDrain(): void {
    this.#stalledSinceMs = 0;
    if (this.#rest.length > 0) this.#pump();
    else this.#release();
    if (this.#rest.length === 0) this.resume(PAUSE.writes);
  }

  #noteStall(): void {
    if (this.#stalledSinceMs === 0 && this.#stream.writableNeedDrain) this.#stalledSinceMs = this.#clock.nowMs();
  }

  /** For how long the peer has not read what it was sent, ms; 0 when nothing waits. */
  stalledForMs(nowMs: number): number {
    return this.#stalledSinceMs === 0 ? 0 : nowMs - this.#stalledSinceMs;
  }

  #release(): void {
    const waits = this.#waits;
    this.#waits = null;
    waits?.();
  }

  /** Sends what was written, then closes. What still comes is thrown away, so that the peer gets our last bytes, not a reset. */
  end(): void {
    this.#closing = true;
    this.#closedMs = this.#clock.nowMs();
    if (this.#writable) for (const chunk of this.#rest) this.#stream.write(chunk);
    this.#rest = [];
    this.#restBytes = 0;
    this.#release();
    this.#stream.end();
    this.#pauses = 0;
    this.#stream.resume();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  /** How long it has been closing, or gone, ms. */
  closedForMs(nowMs: number): number {
    return nowMs - this.#closedMs;
  }

  /** Lets go of a peer that does not close its side. */
  sweepClosing(nowMs: number): void {
    if (this.#closing && this.closedForMs(nowMs) > LINGER_MS) this.#stream.destroy();
  }
}

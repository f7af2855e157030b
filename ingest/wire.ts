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

  constructor(stream: Duplex, limits: DoorLimits, clock: Clock) {
    this.#stream = stream;
    this.#limits = limits;
    this.#clock = clock;
    this.heardMs = clock.nowMs();
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
    this.#stream.write(packets);
    // Only a stream that has announced `drain` will send it.
    if (this.#stream.writableNeedDrain && this.#stream.writableLength > this.#limits.writeBufferBytesMax)
      this.pause(PAUSE.writes);
  }

  /** Writes whole packets in one go; `done` is called when there is room for more. One call at a time. */
  sendAll(chunks: readonly Uint8Array[], done: () => void): void {
    if (!this.#writable) {
      done();
      return;
    }
    this.#stream.cork();
    for (const chunk of chunks) this.#stream.write(chunk);
    this.#stream.uncork();
    if (this.#stream.writableNeedDrain) this.#waits = done;
    else done();
  }

  #onDrain(): void {
    this.#release();
    this.resume(PAUSE.writes);
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

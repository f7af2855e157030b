import { connect, type Socket } from 'node:net';

/** A bare TCP connection that sends what it is told, and gives the packets that come one by one. */
export class RawSocket {
  readonly socket: Socket;
  closed = false;
  #bytes: Buffer = Buffer.alloc(0);
  readonly #packets: Buffer[] = [];
  #wake: (() => void) | null = null;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('data', (chunk: Buffer) => this.#take(chunk));
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
      this.#wake?.();
    });
  }

  send(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  /** Sends, and resolves when the kernel has taken it or the connection is gone. */
  async sendAll(bytes: Buffer): Promise<void> {
    if (this.closed || this.socket.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.socket.off('drain', done).off('close', done);
        resolve();
      };
      this.socket.on('drain', done).on('close', done);
    });
  }

  /** The next packet, whole; null when the connection is closed. */
  async next(): Promise<Buffer | null> {
    while (this.#packets.length === 0 && !this.closed)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    return this.#packets.shift() ?? null;
  }

  destroy(): void {
    this.socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    for (let end = packetEnd(this.#bytes); end > 0; end = packetEnd(this.#bytes)) {
      this.#packets.push(this.#bytes.subarray(0, end));
      this.#bytes = this.#bytes.subarray(end);
    }
    this.#wake?.();
  }
}

/** Where the first packet ends; 0 when it is not complete. */
function packetEnd(bytes: Buffer): number {
  let remaining = 0;
  for (let at = 1; at < Math.min(bytes.length, 5); at++) {
    remaining |= (bytes[at] & 127) << (7 * (at - 1));
    if (bytes[at] < 128) return at + 1 + remaining <= bytes.length ? at + 1 + remaining : 0;
  }
  return 0;
}

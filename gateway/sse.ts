import type { ServerResponse } from 'node:http';

/** Bytes that may wait for a client's socket. One that reads slower than this is cut off; its browser connects again. */
const BUFFERED_BYTES_MAX = 512 * 1024;

/**
 * One client of the event stream (HTML, section 9.2, "Server-sent events"):
 *
 *     event: NAME \n  data: JSON \n \n
 *
 * Something is sent to every client each second (the event `stats`), so that a dead connection shows itself on both sides.
 */
export class SseClient {
  closed = false;
  readonly #response: ServerResponse;
  readonly #onClose: (slow: boolean) => void;

  /** Writes the head at once; `onClose` is called once, whoever ended it. */
  constructor(response: ServerResponse, headers: Record<string, string>, onClose: (slow: boolean) => void) {
    this.#response = response;
    this.#onClose = onClose;
    response.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      connection: 'keep-alive',
      'x-accel-buffering': 'no',
    });
    response.on('close', () => this.#end(false));
    response.on('error', () => this.#end(false));
    response.write('retry: 2000\n\n');
  }

  send(event: string, data: string): void {
    this.#write(`event: ${event}\ndata: ${data}\n\n`);
  }

  /** Ends the stream; the browser connects again after its retry time unless it has left. */
  close(): void {
    if (this.closed) return;
    this.#response.end();
    this.#end(false);
  }

  #write(text: string): void {
    if (this.closed) return;
    this.#response.write(text);
    if (this.#response.writableLength > BUFFERED_BYTES_MAX) {
      this.#response.destroy();
      this.#end(true);
    }
  }

  #end(slow: boolean): void {
    if (this.closed) return;
    this.closed = true;
    this.#onClose(slow);
  }
}

import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { EngineError } from './engine.ts';
import { statusOf } from './errors.ts';
import { contentTypeOf } from './formats.ts';

/** What every answer says of the server. */
export interface ServerIdentity {
  displayName: string;
  version: string;
  timezone: string;
}

/** Counts of a statement, for the header X-ClickHouse-Summary. */
export interface Summary {
  readRows?: number;
  readBytes?: number;
  writtenRows?: number;
  writtenBytes?: number;
  resultRows?: number;
  elapsedMs?: number;
}

/** A client that takes nothing of its answer for this long has gone. */
const STALL_MS_MAX = 60_000;

/** One answer: its head goes out with the first bytes, so that an error before them still has its own status. */
export class Answer {
  readonly #response: ServerResponse;
  readonly #identity: ServerIdentity;
  readonly #gzip: boolean;
  readonly #queryId: string;
  readonly #exceptionTag = randomBytes(8).toString('hex');
  #out: Writable | null = null;

  constructor(response: ServerResponse, identity: ServerIdentity, queryId: string | null, gzip: boolean) {
    this.#response = response;
    this.#identity = identity;
    this.#queryId = queryId ?? randomUUID();
    this.#gzip = gzip;
  }

  get isBegun(): boolean {
    return this.#out !== null;
  }

  begin(format: string, summary: Summary): void {
    this.#headers(200, contentTypeOf(format), summary);
    this.#response.setHeader('X-ClickHouse-Format', format);
    this.#response.setHeader('X-ClickHouse-Exception-Tag', this.#exceptionTag);
    if (this.#gzip) {
      this.#response.setHeader('Content-Encoding', 'gzip');
      const gzip = createGzip({ level: 1 });
      gzip.pipe(this.#response);
      this.#out = gzip;
    } else this.#out = this.#response;
  }

  /** Resolves when more may be written; rejects when the client has gone. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#out === null || bytes.length === 0) return;
    if (this.#response.destroyed) throw new Error('the client went away');
    if (this.#out.write(bytes)) return;
    const gone = new AbortController();
    const onClose = () => gone.abort();
    this.#response.once('close', onClose);
    try {
      await once(this.#out, 'drain', { signal: AbortSignal.any([gone.signal, AbortSignal.timeout(STALL_MS_MAX)]) });
    } catch {
      this.#response.destroy();
      throw new Error('the client went away');
    } finally {
      this.#response.off('close', onClose);
    }
  }

  end(): void {
    this.#out?.end();
  }

  /** A whole answer without a body, or with a short text. */
  finish(status: number, text: string, summary: Summary = {}): void {
    this.#headers(status, 'text/plain; charset=UTF-8', summary);
    this.#response.end(text);
  }

  /**
   * An error in ClickHouse's form. Once part of a result is out, the status cannot be changed: the error is put behind it between marks
   * that the header X-ClickHouse-Exception-Tag announced, and the connection is cut, so that nobody takes the part for the whole.
   */
  fail(error: unknown): void {
    const code = error instanceof EngineError ? error.code : 1001;
    const message = this.#message(error, code);
    const response = this.#response;
    if (response.destroyed) return;
    if (!this.isBegun) {
      this.#headers(statusOf(code), 'text/plain; charset=UTF-8', {});
      response.setHeader('X-ClickHouse-Exception-Code', String(code));
      if (statusOf(code) === 401) response.setHeader('WWW-Authenticate', 'Basic realm="ClickHouse server HTTP API"');
      response.end(`${message}\n`);
      return;
    }
    const tag = this.#exceptionTag;
    const length = Buffer.byteLength(message) + 1;
    const tail = `\r\n__exception__\r\n${tag}\r\n${message}\n${length} ${tag}\r\n__exception__\r\n`;
    this.#out?.write(tail, () => {
      const socket = response.socket;
      if (this.#gzip) this.#out?.end();
      else socket?.end();
    });
  }

  #message(error: unknown, code: number): string {
    const text = error instanceof Error ? error.message : String(error);
    const known =
      error instanceof EngineError ? text.trimEnd() : `Code: ${code}. DB::Exception: ${text}. (STD_EXCEPTION)`;
    return / \(version [^)]*\)/.test(known.slice(-60)) ? known : `${known} (version ${this.#identity.version})`;
  }

  #headers(status: number, contentType: string, summary: Summary): void {
    const response = this.#response;
    response.statusCode = status;
    response.setHeader('Content-Type', contentType);
    response.setHeader('X-ClickHouse-Server-Display-Name', this.#identity.displayName);
    response.setHeader('X-ClickHouse-Query-Id', this.#queryId);
    response.setHeader('X-ClickHouse-Timezone', this.#identity.timezone);
    response.setHeader(
      'X-ClickHouse-Summary',
      JSON.stringify({
        read_rows: String(summary.readRows ?? 0),
        read_bytes: String(summary.readBytes ?? 0),
        written_rows: String(summary.writtenRows ?? 0),
        written_bytes: String(summary.writtenBytes ?? 0),
        total_rows_to_read: '0',
        result_rows: String(summary.resultRows ?? 0),
        result_bytes: '0',
        elapsed_ns: String(Math.round((summary.elapsedMs ?? 0) * 1e6)),
      }),
    );
  }
}

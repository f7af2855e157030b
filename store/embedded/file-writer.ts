import type { FileHandle } from 'node:fs/promises';
import { Writable } from 'node:stream';

/** What is written at a time. Each write is a task of another thread, which costs more than to copy the 64 KiB that a socket gives. */
const WRITE_BYTES = 2 ** 20;

type Done = (error?: Error | null) => void;

/**
 * Writes what comes to a file, a megabyte at a time; meanwhile takes as much again, and then no more. The file stays its owner's, who closes it when
 * the stream has finished or failed.
 */
export class FileWriter extends Writable {
  readonly #file: FileHandle;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(file: FileHandle) {
    super({ highWaterMark: WRITE_BYTES });
    this.#file = file;
  }

  override _write(piece: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes < WRITE_BYTES) done();
    else this.#flush(done);
  }

  override _final(done: Done): void {
    this.#flush(done);
  }

  #flush(done: Done): void {
    const [pieces, bytes] = [this.#pieces, this.#bytes];
    this.#pieces = [];
    this.#bytes = 0;
    writeAll(this.#file, pieces, bytes).then(() => done(), done);
  }
}

async function writeAll(file: FileHandle, pieces: Buffer[], bytes: number): Promise<void> {
  if (bytes === 0) return;
  const { bytesWritten } = await file.writev(pieces);
  // Rare, as where the disk is nearly full; this writes the rest, or says why not.
  if (bytesWritten < bytes) await file.writeFile(Buffer.concat(pieces).subarray(bytesWritten));
}

/**
 * Buffers of frames that are durable, for the next ones. A frame lives for as long as a flush takes, which makes its buffer an old one
 * for V8, whose bytes stay until the whole heap is marked (docs/decisions/007-large-inserts.md).
 */
export class SpareFrames {
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];
  #bytes = 0;

  /** A buffer with at least so much room; null when there is none, and one has to be made. */
  take(roomBytes: number): Uint8Array<ArrayBuffer> | null {
    // What is too small for the frames of now is let go of.
    for (let spare = this.#spare.pop(); spare !== undefined; spare = this.#spare.pop()) {
      this.#bytes -= spare.length;
      if (spare.length >= roomBytes) return spare;
    }
    return null;
  }

  /** The log has the frame, and nobody reads these bytes again. The whole buffer of it is used again. */
  give(frame: Uint8Array<ArrayBuffer>): void {
    const { buffer } = frame;
    if (buffer.byteLength < SPARE_BYTES_MIN || this.#bytes + buffer.byteLength > SPARE_BYTES_MAX) return;
    this.#spare.push(new Uint8Array(buffer));
    this.#bytes += buffer.byteLength;
  }
}

/** Small frames are made anew: they are few, or a small part of what else the door makes. */
const SPARE_BYTES_MIN = 16 * 1024;
/** About what is on its way to the disk at full speed. */
const SPARE_BYTES_MAX = 8 * 2 ** 20;

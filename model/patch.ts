/**
 * What makes newer bytes out of older ones, as a list of steps:
 *
 *     varint length·2        length bytes of the older, from
 *     varint from
 *     varint length·2 + 1    the length bytes that follow here
 *
 * Lengths and places are below 2^53; a varint has 7 bits a byte, lowest first, the high bit set on all but the last.
 */
export class PatchWriter {
  readonly #out: Uint8Array[] = [];
  #bytes = 0;
  #from = 0;
  #length = 0;

  /** Steps that continue one another become one. */
  copy(from: number, length: number): void {
    if (length === 0) return;
    if (this.#length > 0 && this.#from + this.#length === from) {
      this.#length += length;
      return;
    }
    this.#flush();
    this.#from = from;
    this.#length = length;
  }

  /** `bytes` are kept as they are until `finish`. */
  put(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#flush();
    this.#push(varint(bytes.length * 2 + 1));
    this.#push(bytes);
  }

  /** The patch as what it is made of, one after another; nothing may be added any more. */
  pieces(): { bytes: number; pieces: readonly Uint8Array[] } {
    this.#flush();
    return { bytes: this.#bytes, pieces: this.#out };
  }

  finish(): Uint8Array<ArrayBuffer> {
    const { bytes, pieces } = this.pieces();
    const out = new Uint8Array(bytes);
    let at = 0;
    for (const piece of pieces) {
      out.set(piece, at);
      at += piece.length;
    }
    return out;
  }

  #flush(): void {
    if (this.#length === 0) return;
    this.#push(varint(this.#length * 2));
    this.#push(varint(this.#from));
    this.#length = 0;
  }

  #push(bytes: Uint8Array): void {
    this.#out.push(bytes);
    this.#bytes += bytes.length;
  }
}

function varint(value: number): Uint8Array {
  const out: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    out.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  out.push(rest);
  return Uint8Array.from(out);
}

/** Bytes as pieces of others, so that many patches are applied one upon another and copied once in the end. */
export class PatchedBytes {
  #pieces: Uint8Array[];
  /** Where each piece begins. */
  #starts: number[];
  #length: number;

  constructor(bytes: Uint8Array) {
    this.#pieces = [bytes];
    this.#starts = [0];
    this.#length = bytes.length;
  }

  get length(): number {
    return this.#length;
  }

  /** False, and nothing done, when the patch does not fit these bytes or is malformed. `patch` is referred to from then on. */
  apply(patch: Uint8Array): boolean {
    const pieces: Uint8Array[] = [];
    const starts: number[] = [];
    let length = 0;
    const push = (piece: Uint8Array): void => {
      pieces.push(piece);
      starts.push(length);
      length += piece.length;
    };
    const reader = { at: 0 };
    while (reader.at < patch.length) {
      const step = readVarint(patch, reader);
      const count = Math.floor(step / 2);
      if (!(count > 0)) return false;
      if (step % 2 === 1) {
        if (reader.at + count > patch.length) return false;
        push(patch.subarray(reader.at, reader.at + count));
        reader.at += count;
      } else {
        const from = readVarint(patch, reader);
        if (!(from + count <= this.#length)) return false;
        this.#range(from, count, push);
      }
    }
    this.#pieces = pieces;
    this.#starts = starts;
    this.#length = length;
    return true;
  }

  #range(from: number, count: number, push: (piece: Uint8Array) => void): void {
    let low = 0;
    let high = this.#starts.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle] <= from) low = middle;
      else high = middle;
    }
    let at = from;
    let left = count;
    for (let i = low; left > 0; i++) {
      const piece = this.#pieces[i];
      const begin = at - this.#starts[i];
      const taken = Math.min(left, piece.length - begin);
      push(piece.subarray(begin, begin + taken));
      at += taken;
      left -= taken;
    }
  }

  /** A copy of its own. */
  finish(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.#length);
    for (const [i, piece] of this.#pieces.entries()) out.set(piece, this.#starts[i]);
    return out;
  }
}

/** NaN at the end of the bytes, or for a number that is too large. */
function readVarint(bytes: Uint8Array, reader: { at: number }): number {
  let value = 0;
  let factor = 1;
  for (let i = 0; i < 8; i++) {
    if (reader.at >= bytes.length) return Number.NaN;
    const byte = bytes[reader.at++];
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return value <= Number.MAX_SAFE_INTEGER ? value : Number.NaN;
    factor *= 0x80;
  }
  return Number.NaN;
}

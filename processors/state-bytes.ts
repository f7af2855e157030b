import { SluiceError } from '../model/errors.ts';

/**
 * The forms that a checkpoint's state is written in:
 *
 *     varint   7 bits a byte, lowest first, the high bit set on all but the last; 0 … 2^53 − 1
 *     f64      8 bytes, IEEE 754, little-endian
 *     text     varint length, UTF-8
 *
 * The reader checks every bound and throws CHECKPOINT_UNREADABLE; it never reads past the end and never allocates more than
 * the bytes can hold.
 */
export class StateWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #at = 0;

  /** It grows; `size` is what it begins with, bytes. */
  constructor(size = 64 * 1024) {
    this.#bytes = new Uint8Array(size);
    this.#view = new DataView(this.#bytes.buffer);
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#at + bytes, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  varint(value: number): void {
    this.#room(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#at++] = rest;
  }

  f64(value: number): void {
    this.#room(8);
    this.#view.setFloat64(this.#at, value, true);
    this.#at += 8;
  }

  text(value: string): void {
    const bytes = Buffer.from(value);
    this.varint(bytes.length);
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** A part of its own, which a reader can pass over. */
  part(part: StateWriter): void {
    this.bytes(part.#bytes.subarray(0, part.#at));
  }

  /** Read again by `bytes` or `part`. */
  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** A copy of what was written, in a buffer of its own. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#at);
  }
}

export class StateReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  varint(): number {
    let value = 0;
    let factor = 1;
    for (let i = 0; i < 8; i++) {
      if (this.#at === this.#bytes.length) this.unreadable('it ends inside a number');
      const byte = this.#bytes[this.#at++];
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) this.unreadable('a number is above 2^53');
        return value;
      }
      factor *= 0x80;
    }
    return this.unreadable('a number has too many bytes');
  }

  /** A varint below `end`. */
  below(end: number, what: string): number {
    const value = this.varint();
    if (value >= end) this.unreadable(`${what} is ${value}, and must be below ${end}`);
    return value;
  }

  /** How many items follow, each of at least one byte. */
  count(): number {
    const value = this.varint();
    if (value > this.#bytes.length - this.#at) this.unreadable(`${value} items do not fit into the rest`);
    return value;
  }

  f64(): number {
    if (this.#at + 8 > this.#bytes.length) this.unreadable('it ends inside a float');
    this.#at += 8;
    return this.#view.getFloat64(this.#at - 8, true);
  }

  text(): string {
    const length = this.count();
    this.#at += length;
    try {
      return this.#utf8.decode(this.#bytes.subarray(this.#at - length, this.#at));
    } catch {
      return this.unreadable('a text is not UTF-8');
    }
  }

  part(): StateReader {
    return new StateReader(this.bytes());
  }

  /** A view of the bytes of a part. */
  bytes(): Uint8Array {
    const length = this.count();
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  end(): void {
    if (this.#at !== this.#bytes.length) this.unreadable(`${this.#bytes.length - this.#at} bytes are left over`);
  }

  unreadable(what: string): never {
    throw new SluiceError(
      'CHECKPOINT_UNREADABLE',
      `the state of a checkpoint is unreadable at byte ${this.#at}: ${what}`,
    );
  }
}

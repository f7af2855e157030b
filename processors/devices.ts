import { isUtf8 } from 'node:buffer';
import { viewOf } from '../model/byte-view.ts';
import { withRoom } from './columns.ts';

const utf8 = new TextEncoder();
// U+FEFF at the front is a character of the text like any other [MQTT-1.5.3-3].
const utf8Decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * Device ids by dense numbers, in the order in which they came. A message's device is found by its bytes inside the frame: hashed,
 * looked up in an open-addressing table, compared with the bytes kept, and only decoded to a string the first time.
 */
export class Devices {
  count = 0;
  readonly #names: string[] = [];
  /** For each slot of the table the number of an entry + 1, or 0. */
  #table = new Int32Array(1024);
  /**
   * Entries: bytes as they stood in a frame, and the device they mean. The bytes of its name are always among those of a device;
   * malformed UTF-8, which is read as that name, may give it further ones.
   */
  #entries = 0;
  #hash = new Int32Array(512);
  #start = new Int32Array(512);
  #length = new Int32Array(512);
  #device = new Int32Array(512);
  #bytes = new Uint8Array(16 * 1024);
  #view = new DataView(this.#bytes.buffer);
  #bytesUsed = 0;

  name(device: number): string {
    return this.#names[device];
  }

  /** The number of the device whose id is `bytes[start, end)`; a new one when it was never seen. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const view = viewOf(bytes);
    const hash = hashOf(view, start, end);
    const device = this.#lookUp(hash, view, start, end);
    return device === -1 ? this.#add(hash, bytes, start, end) : device;
  }

  #lookUp(hash: number, view: DataView, start: number, end: number): number {
    const mask = this.#table.length - 1;
    const length = end - start;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = this.#table[slot] - 1;
      if (entry < 0) return -1;
      if (this.#hash[entry] !== hash || this.#length[entry] !== length) continue;
      if (this.#isSame(this.#start[entry], view, start, end)) return this.#device[entry];
    }
  }

  /** Whether the bytes kept from `at` on are those of `view[start, end)`. */
  #isSame(at: number, view: DataView, start: number, end: number): boolean {
    const kept = this.#view;
    let from = start;
    let i = at;
    for (; from + 4 <= end; from += 4, i += 4) if (kept.getInt32(i) !== view.getInt32(from)) return false;
    for (; from < end; from++, i++) if (kept.getUint8(i) !== view.getUint8(from)) return false;
    return true;
  }

  /** The number of a device by its name, −1 when it was never seen. */
  numberOf(name: string): number {
    const bytes = utf8.encode(name);
    const view = viewOf(bytes);
    return this.#lookUp(hashOf(view, 0, bytes.length), view, 0, bytes.length);
  }

  add(name: string): number {
    const bytes = utf8.encode(name);
    return this.find(bytes, 0, bytes.length);
  }

  /** Bytes that were never seen, of a device that may have been. */
  #add(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const id = bytes.subarray(start, end);
    if (isUtf8(id)) {
      this.#names.push(utf8Decoder.decode(id));
      this.#insert(hash, bytes, start, end, this.count);
      return this.count++;
    }
    const device = this.add(utf8Decoder.decode(id));
    this.#insert(hash, bytes, start, end, device);
    return device;
  }

  #insert(hash: number, bytes: Uint8Array, start: number, end: number, device: number): void {
    const length = end - start;
    const entry = this.#entries++;
    this.#hash = withRoom(this.#hash, entry, 0);
    this.#start = withRoom(this.#start, entry, 0);
    this.#length = withRoom(this.#length, entry, 0);
    this.#device = withRoom(this.#device, entry, 0);
    this.#bytes = withRoom(this.#bytes, this.#bytesUsed + length, 0);
    this.#view = new DataView(this.#bytes.buffer);
    this.#hash[entry] = hash;
    this.#start[entry] = this.#bytesUsed;
    this.#length[entry] = length;
    this.#device[entry] = device;
    this.#bytes.set(bytes.subarray(start, end), this.#bytesUsed);
    this.#bytesUsed += length;
    if (this.#entries * 2 > this.#table.length) this.#rehash();
    else this.#place(hash, entry);
  }

  #place(hash: number, entry: number): void {
    const mask = this.#table.length - 1;
    let slot = hash & mask;
    while (this.#table[slot] !== 0) slot = (slot + 1) & mask;
    this.#table[slot] = entry + 1;
  }

  #rehash(): void {
    this.#table = new Int32Array(this.#table.length * 2);
    for (let entry = 0; entry < this.#entries; entry++) this.#place(this.#hash[entry], entry);
  }
}

/** A hash of `view[start, end)`, 32 bits, four bytes at a time; mixed in the end because the table's size is a power of two. */
function hashOf(view: DataView, start: number, end: number): number {
  let hash = end - start;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    hash = Math.imul(hash ^ view.getInt32(at), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  for (; at < end; at++) hash = Math.imul(hash ^ view.getUint8(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

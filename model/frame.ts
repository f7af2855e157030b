import { viewOf } from './byte-view.ts';
import { SluiceError } from './errors.ts';

/**
 * A frame is a CBOR sequence (RFC 8742): items one after another, nothing around them. Each item is a message:
 *
 *     array(4)  [ received_ms : uint, device : text, topic : text, payload : bytes ]
 *
 *     84                          array of 4
 *     1b  tttttttt tttttttt       received_ms, always written as a 64-bit unsigned integer
 *     60+n | 78 n | 79 nn  ….     device, UTF-8
 *     60+n | 78 n | 79 nn  ….     topic, UTF-8
 *     40+n | 58 n | 59 nn | 5a nnnn  ….   payload
 *
 * The writer always writes these forms; the reader takes every definite-length form that CBOR allows, so that frames of
 * other producers can be read. A tick (see TICK_TOPIC) is a message with an empty device: it carries the door's time.
 */

/** Topic of a tick: a message with an empty device id and an empty payload, which says that the door's clock got this far. */
export const TICK_TOPIC = '$tick';

const utf8 = new TextEncoder();
// U+FEFF at the front is a character of the text like any other [MQTT-1.5.3-3].
const utf8Decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Bytes that an item needs besides its identity and payload: array head, time, and the largest payload head. */
const ITEM_OVERHEAD = 1 + 9 + 5;

/** CBOR of the text strings device and topic, which are the same for every message of a connection on one topic. */
export function encodeIdentity(device: string, topic: string): Uint8Array<ArrayBuffer> {
  const d = utf8.encode(device);
  const t = utf8.encode(topic);
  const out = new Uint8Array(d.length + t.length + 10);
  let at = writeHead(out, 0, 0x60, d.length);
  out.set(d, at);
  at = writeHead(out, at + d.length, 0x60, t.length);
  out.set(t, at);
  return out.slice(0, at + t.length);
}

function writeHead(out: Uint8Array, at: number, major: number, length: number): number {
  if (length < 24) {
    out[at] = major | length;
    return at + 1;
  }
  if (length < 0x100) {
    out[at] = major | 24;
    out[at + 1] = length;
    return at + 2;
  }
  if (length < 0x10000) {
    out[at] = major | 25;
    out[at + 1] = length >>> 8;
    out[at + 2] = length;
    return at + 3;
  }
  out[at] = major | 26;
  out[at + 1] = length >>> 24;
  out[at + 2] = length >>> 16;
  out[at + 3] = length >>> 8;
  out[at + 4] = length;
  return at + 5;
}

/**
 * Builds one frame in place. Not shared between threads. `finish` hands the bytes over and starts a new frame; the handed
 * bytes are the caller's for good (they are never written again).
 */
export class FrameBuilder {
  /** Messages in the open frame. */
  messages = 0;
  /** Bytes in the open frame. */
  bytes = 0;
  #buffer: Uint8Array<ArrayBuffer>;
  #view: DataView;
  readonly #initialBytes: number;

  constructor(initialBytes = 64 * 1024) {
    this.#initialBytes = initialBytes;
    this.#buffer = allocate(initialBytes);
    this.#view = new DataView(this.#buffer.buffer);
  }

  /**
   * Appends a message whose device and topic are already encoded (see encodeIdentity) and whose payload is
   * `source[start, end)`. The payload is copied; `source` may be reused at once.
   */
  append(receivedMs: number, identity: Uint8Array, source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    const need = this.bytes + ITEM_OVERHEAD + identity.length + length;
    if (need > this.#buffer.length) this.#grow(need);
    const out = this.#buffer;
    let at = this.bytes;
    const high = (receivedMs / 0x100000000) | 0;
    const low = receivedMs >>> 0;
    out[at] = 0x84;
    out[at + 1] = 0x1b;
    out[at + 2] = high >>> 24;
    out[at + 3] = high >>> 16;
    out[at + 4] = high >>> 8;
    out[at + 5] = high;
    out[at + 6] = low >>> 24;
    out[at + 7] = low >>> 16;
    out[at + 8] = low >>> 8;
    out[at + 9] = low;
    at += 10;
    out.set(identity, at);
    at = writeHead(out, at + identity.length, 0x40, length);
    if (length <= COPIED_HERE_MAX) copyWords(viewOf(source), start, end, this.#view, at);
    else out.set(source.subarray(start, end), at);
    this.bytes = at + length;
    this.messages++;
  }

  /**
   * Hands over the finished frame (possibly empty) and starts a new one, with room for so many bytes before it has to grow, or in a buffer
   * that nobody else uses any more.
   */
  finish(next: number | Uint8Array<ArrayBuffer> = this.#initialBytes): Uint8Array<ArrayBuffer> {
    const frame = this.#buffer.subarray(0, this.bytes);
    this.#buffer = typeof next === 'number' ? allocate(next) : next;
    this.#view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.length);
    this.bytes = 0;
    this.messages = 0;
    return frame;
  }

  #grow(need: number): void {
    const larger = allocate(Math.max(need, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, this.bytes));
    this.#buffer = larger;
    this.#view = new DataView(larger.buffer);
  }
}

/** Up to this many bytes are copied here; for more, the view that a copy by the engine needs is worth making. */
const COPIED_HERE_MAX = 256;

/** Copies `source[start, end)` to `target[at, …)`, four bytes at a time. No object is made for it, as `subarray` would. */
function copyWords(source: DataView, start: number, end: number, target: DataView, at: number): void {
  let from = start;
  let to = at;
  for (; from + 4 <= end; from += 4, to += 4) target.setInt32(to, source.getInt32(from));
  for (; from < end; from++, to++) target.setUint8(to, source.getUint8(from));
}

/** Buffers outside Node's shared pool and not zeroed: every byte below `bytes` is written before it is handed out. */
function allocate(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer); // a Buffer's slice() would be no copy
}

/** A frame of a single message. */
export function encodeMessage(
  receivedMs: number,
  device: string,
  topic: string,
  payload: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const identity = encodeIdentity(device, topic);
  const builder = new FrameBuilder(ITEM_OVERHEAD + identity.length + payload.length);
  builder.append(receivedMs, identity, payload, 0, payload.length);
  return builder.finish();
}

/**
 * Walks a frame without allocating: after `next()` returned true the fields tell where the parts of the message lie in
 * `bytes`. Throws FRAME_MALFORMED when the bytes are not a frame; messages before that place have been given.
 */
export class FrameReader {
  bytes: Uint8Array = new Uint8Array(0);
  /** Index of the message within its frame, from 0; −1 before the first. */
  index = -1;
  receivedMs = 0;
  deviceStart = 0;
  deviceEnd = 0;
  topicStart = 0;
  topicEnd = 0;
  payloadStart = 0;
  payloadEnd = 0;
  #at = 0;
  #view: DataView = viewOf(this.bytes);

  reset(frame: Uint8Array): void {
    this.bytes = frame;
    this.#view = viewOf(frame);
    this.index = -1;
    this.#at = 0;
  }

  next(): boolean {
    const bytes = this.bytes;
    if (this.#at >= bytes.length) return false;
    if (bytes[this.#at] !== 0x84)
      this.#malformed(`expected an array of 4 (0x84), found 0x${bytes[this.#at].toString(16)}`);
    this.#at++;
    this.receivedMs = this.#head(0);
    this.deviceStart = this.#head(3);
    this.deviceEnd = this.#at;
    this.topicStart = this.#head(3);
    this.topicEnd = this.#at;
    this.payloadStart = this.#head(2);
    this.payloadEnd = this.#at;
    this.index++;
    return true;
  }

  device(): string {
    return utf8Decoder.decode(this.bytes.subarray(this.deviceStart, this.deviceEnd));
  }

  topic(): string {
    return utf8Decoder.decode(this.bytes.subarray(this.topicStart, this.topicEnd));
  }

  /** A view of the payload inside the frame; copy it to keep it. */
  payload(): Uint8Array {
    return this.bytes.subarray(this.payloadStart, this.payloadEnd);
  }

  /**
   * Reads an item head of the given major type. For an integer (major 0) returns its value; for strings moves past the
   * content and returns where it starts.
   */
  #head(major: number): number {
    const bytes = this.bytes;
    if (this.#at >= bytes.length) this.#malformed('ends inside a message');
    const initial = bytes[this.#at++];
    if (initial >>> 5 !== major) this.#malformed(`expected major type ${major}, found ${initial >>> 5}`);
    const info = initial & 31;
    let value = info;
    if (info >= 24) {
      const width = info === 24 ? 1 : info === 25 ? 2 : info === 26 ? 4 : info === 27 ? 8 : 0;
      if (width === 0) this.#malformed(`length form ${info} is not taken (indefinite or reserved)`);
      if (this.#at + width > bytes.length) this.#malformed('ends inside a head');
      if (width === 8) value = this.#view.getUint32(this.#at) * 2 ** 32 + this.#view.getUint32(this.#at + 4);
      else {
        value = 0;
        for (let i = 0; i < width; i++) value = value * 256 + bytes[this.#at + i];
      }
      this.#at += width;
      if (value > Number.MAX_SAFE_INTEGER) this.#malformed('integer above 2^53');
    }
    if (major === 0) return value;
    const start = this.#at;
    if (start + value > bytes.length) this.#malformed(`a string of ${value} bytes passes the end`);
    this.#at = start + value;
    return start;
  }

  #malformed(what: string): never {
    throw new SluiceError(
      'FRAME_MALFORMED',
      `frame is malformed at byte ${this.#at}, message ${this.index + 1}: ${what}`,
      {
        values: { at: this.#at, message: this.index + 1 },
      },
    );
  }
}

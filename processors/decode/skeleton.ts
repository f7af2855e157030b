import { viewOf } from '../../model/byte-view.ts';
import type { DeviceMemory, MessageReadings, PayloadDecoder, Rejection, Shape } from './decoder.ts';
import type { JsonDecoder } from './json.ts';
import { MessageReadings as Readings } from './message-readings.ts';
import { numberToMs } from './time.ts';

/**
 * The fast path in front of the plain JSON decoder. A device sends the same text again and again with other numbers in it:
 *
 *     {"ts":1700000000000,"temperature":21.5,"ok":true}
 *     └─lit─┘└───slot 0──┘└────literal─────┘└s1┘└─lit──┘
 *
 * The bytes between numbers are the skeleton. Where they are equal to a remembered skeleton, only the numbers are read, and go
 * where the plain decoder put the numbers of the message that the skeleton was learned from. A number is read here when it has at
 * most 15 digits and no exponent: its digits are then an integer below 2^53 and its divisor a power of ten below 10^22, both
 * exact in a double, so that one division rounds as the standard demands (Clinger 1990). Everything else — other literals,
 * longer numbers, a time out of range — goes to the plain decoder, which alone decides.
 *
 * Learning asks the plain decoder itself where each number goes: it decodes the text once more with marks instead of numbers,
 * and the marks show up as values and times. Nothing of the format's rules is repeated here.
 */
export class SkeletonDecoder implements PayloadDecoder {
  readonly #plain: JsonDecoder;
  /** All skeletons by their literals, shared by devices of one make. */
  readonly #known = new Map<string, Skeleton>();
  readonly #slots = new Float64Array(SLOTS_MAX);

  constructor(plain: JsonDecoder) {
    this.#plain = plain;
  }

  decode(
    bytes: Uint8Array,
    start: number,
    end: number,
    receivedMs: number,
    memory: DeviceMemory,
    out: MessageReadings,
  ): Rejection | null {
    const shapes = memory.shapes as Skeleton[] | null;
    if (shapes !== null) {
      for (let i = 0; i < shapes.length; i++) {
        const skeleton = shapes[i];
        if (!skeleton.read(bytes, start, end, this.#slots)) continue;
        if (!skeleton.fill(this.#slots, receivedMs, out)) break;
        if (i > 0) {
          shapes[i] = shapes[i - 1];
          shapes[i - 1] = skeleton;
        }
        memory.misses = 0;
        return null;
      }
    }
    const rejection = this.#plain.decode(bytes, start, end, receivedMs, memory, out);
    // A device whose texts never repeat is asked less and less often.
    const misses = memory.misses++;
    if (rejection === null && (misses < 8 || (misses & (misses + 1)) === 0)) this.#learn(bytes, start, end, memory);
    return rejection;
  }

  #learn(bytes: Uint8Array, start: number, end: number, memory: DeviceMemory): void {
    if (end - start > LEARN_BYTES_MAX) return;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
    const literals = splitAtNumbers(text);
    if (literals.length - 1 > SLOTS_MAX) return;
    // No literal holds a NUL: in valid JSON it is always escaped.
    const key = literals.join('\u0000');
    let skeleton = this.#known.get(key);
    if (skeleton === undefined) {
      const made = this.#make(literals);
      if (made === null) return;
      skeleton = made;
      if (this.#known.size >= KNOWN_MAX) this.#known.clear();
      this.#known.set(key, skeleton);
    }
    const shapes = (memory.shapes ?? []) as Skeleton[];
    const rest = shapes.filter((s) => s !== skeleton).slice(0, SHAPES_MAX - 1);
    memory.shapes = rest.length === 0 ? skeleton.alone : [skeleton, ...rest];
  }

  #make(literals: string[]): Skeleton | null {
    const marked = literals.map((literal, slot) => (slot === 0 ? literal : `${MARK + slot - 1}${literal}`)).join('');
    const out = new Readings();
    if (this.#plain.decodeText(Buffer.from(marked, 'latin1').toString('utf8'), UNTIMED_MARK, out) !== null) return null;
    const skeleton = new Skeleton(literals, out);
    // A number that shows up nowhere (the time of an object without values, an overwritten key) may still be one to refuse.
    return skeleton.slotsUsed() === literals.length - 1 ? skeleton : null;
  }
}

/** Numbers of one message that are read here. */
const SLOTS_MAX = 1024;
/** Longer messages are left to the plain decoder. */
const LEARN_BYTES_MAX = 64 * 1024;
/** Skeletons kept in all, and of one device. */
const KNOWN_MAX = 4096;
const SHAPES_MAX = 4;
/** A mark is both an ordinary value and a time in ms that stays as it is. */
const MARK = 2_000_000_000_000;
const UNTIMED_MARK = 1;

/** The texts between the numbers of a JSON text, which is known to be valid; one more than there are numbers. */
export function splitAtNumbers(json: string): string[] {
  const literals: string[] = [];
  let from = 0;
  let at = 0;
  while (at < json.length) {
    const c = json.charCodeAt(at);
    if (c === 0x22) {
      at++;
      while (json.charCodeAt(at) !== 0x22) at += json.charCodeAt(at) === 0x5c ? 2 : 1;
      at++;
    } else if (c === 0x2d || (c >= 0x30 && c <= 0x39)) {
      literals.push(json.slice(from, at));
      while (at < json.length && NUMBER_CHARS.includes(json[at])) at++;
      from = at;
    } else at++;
  }
  literals.push(json.slice(from));
  return literals;
}

const NUMBER_CHARS = '0123456789+-.eE';

const POWERS = Array.from({ length: 16 }, (_, digits) => 10 ** digits);

class Skeleton implements Shape {
  readonly metrics: readonly string[];
  /** What a device keeps that has this one only; shared by all of them, since an array of one is never put in another order. */
  readonly alone: Skeleton[] = [this];
  /** All literals one after another, and how long each is. */
  readonly #literals: DataView;
  readonly #lengths: Int32Array;
  /** For each reading: the slot of its value, or −1 where the literal itself says it (a boolean, a text). */
  readonly #valueSlot: Int32Array;
  /** For each reading: the slot of its time, −1 for a literal time, −2 for the time received. */
  readonly #timeSlot: Int32Array;
  readonly #values: Float64Array;
  readonly #times: Float64Array;
  readonly #texts: readonly string[] | null;

  /** `marked` is what the plain decoder made of the literals with marks between them. */
  constructor(literals: readonly string[], marked: MessageReadings) {
    this.#literals = viewOf(Uint8Array.from(Buffer.from(literals.join(''), 'latin1')));
    this.#lengths = Int32Array.from(literals, (l) => l.length);
    const slots = literals.length - 1;
    const slotOf = (x: number) => (x >= MARK && x < MARK + slots ? x - MARK : -1);
    const readings = Array.from({ length: marked.count }, (_, i) => i);
    this.metrics = readings.map((i) => marked.metric[i]);
    this.#valueSlot = Int32Array.from(readings, (i) => slotOf(marked.value[i]));
    this.#timeSlot = Int32Array.from(readings, (i) => (marked.untimed[i] === 1 ? -2 : slotOf(marked.tsMs[i])));
    this.#values = Float64Array.from(readings, (i) => marked.value[i]);
    this.#times = Float64Array.from(readings, (i) => marked.tsMs[i]);
    this.#texts = marked.hasText ? readings.map((i) => marked.text[i]) : null;
  }

  slotsUsed(): number {
    return new Set([...this.#valueSlot, ...this.#timeSlot].filter((slot) => slot >= 0)).size;
  }

  /** Reads the numbers of a message into `slots`; false when the message is not of this skeleton, or a number is not plain. */
  read(bytes: Uint8Array, start: number, end: number, slots: Float64Array): boolean {
    const literals = this.#literals;
    const lengths = this.#lengths;
    const view = viewOf(bytes);
    const last = lengths.length - 1;
    let at = start;
    let literalAt = 0;
    for (let part = 0; ; part++) {
      const literalEnd = literalAt + lengths[part];
      if (at + lengths[part] > end) return false;
      for (; literalAt + 4 <= literalEnd; literalAt += 4, at += 4)
        if (view.getInt32(at) !== literals.getInt32(literalAt)) return false;
      while (literalAt < literalEnd) if (bytes[at++] !== literals.getUint8(literalAt++)) return false;
      if (part === last) return at === end;
      // number = [ "-" ] ( "0" / digit1-9 *digit ) [ "." 1*digit ]      RFC 8259, section 6, without exponent
      // Bytes behind `end` may be looked at, and then fail the literal that must still follow.
      let c = bytes[at];
      const negative = c === 0x2d;
      if (negative) c = bytes[++at];
      const first = at;
      // Nine digits at a time in an integer of 32 bits, which is several times faster than a float.
      let high = 0;
      let low = 0;
      let count = 0;
      while (c >= 0x30 && c <= 0x39) {
        if (count++ === 9) {
          high = low;
          low = 0;
        }
        low = (low * 10 + (c - 0x30)) | 0;
        c = bytes[++at];
      }
      const whole = count;
      if (whole === 0 || (whole > 1 && bytes[first] === 0x30)) return false;
      if (c === 0x2e) {
        c = bytes[++at];
        while (c >= 0x30 && c <= 0x39) {
          if (count++ === 9) {
            high = low;
            low = 0;
          }
          low = (low * 10 + (c - 0x30)) | 0;
          c = bytes[++at];
        }
        if (count === whole) return false;
      }
      if (count > 15 || c === 0x65 || c === 0x45) return false;
      let digits = count > 9 ? high * POWERS[count - 9] + low : low;
      if (count > whole) digits /= POWERS[count - whole];
      slots[part] = negative ? -digits : digits;
    }
  }

  /** Puts the numbers where they belong; false when a time is out of range, which the plain decoder shall judge. */
  fill(slots: Float64Array, receivedMs: number, out: MessageReadings): boolean {
    const count = this.metrics.length;
    const valueSlot = this.#valueSlot;
    const timeSlot = this.#timeSlot;
    out.reserve(count);
    const { tsMs, value, untimed } = out;
    let slotBefore = -3;
    let ms = 0;
    for (let i = 0; i < count; i++) {
      const slot = valueSlot[i];
      value[i] = slot < 0 ? this.#values[i] : slots[slot];
      const timeAt = timeSlot[i];
      if (timeAt !== slotBefore) {
        if (timeAt >= 0) {
          ms = numberToMs(slots[timeAt]);
          if (ms < 0) return false;
        } else if (timeAt === -2) ms = receivedMs;
        slotBefore = timeAt;
      }
      tsMs[i] = timeAt === -1 ? this.#times[i] : ms;
      untimed[i] = timeAt === -2 ? 1 : 0;
    }
    out.count = count;
    out.shape = this;
    out.hasText = this.#texts !== null;
    if (this.#texts !== null) for (let i = 0; i < count; i++) out.text[i] = this.#texts[i];
    return true;
  }
}

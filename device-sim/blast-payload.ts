import { SluiceError } from '../model/errors.ts';
import { telemetryTopic } from '../model/topics.ts';

/**
 * Payloads of a blast: PUBLISH packets of fixed length, encoded once, of which only digits change from message to message.
 *
 *     30|32  length  00 tt "devices/blast-0001/telemetry"  [id id]  {"ts":1700000000000,"temperature":21.50, …}
 *                                                         QoS 1 and 2      └─ 13 digits ┘             └ 5 ┘
 *
 * Values are multiples of 0.25, so that their sums are exact in a Float64 however they are added up. They are a function of the
 * message's number, and so is ts; what a run should have stored can be worked out from the numbers of acknowledged messages alone.
 */
export const PAYLOADS = ['object', 'array10', 'single', 'strings'] as const;
export type PayloadName = (typeof PAYLOADS)[number];
/** Quality of service that messages are published with. */
export type Qos = 0 | 1 | 2;

interface Shape {
  /** Objects in a message, each with a ts of its own. */
  objects: number;
  numbers: readonly string[];
  texts: readonly { metric: string; words: readonly string[] }[];
}

/** Words of a metric are of one length. */
const STATES = ['running', 'stopped', 'blocked', 'cleaned'];
const MODES = ['auto', 'hand', 'test', 'wait'];

const SHAPES: Record<PayloadName, Shape> = {
  object: { objects: 1, numbers: ['temperature', 'humidity', 'pressure'], texts: [] },
  array10: { objects: 10, numbers: ['temperature', 'humidity', 'pressure'], texts: [] },
  single: { objects: 1, numbers: ['temperature'], texts: [] },
  strings: {
    objects: 1,
    numbers: ['temperature'],
    texts: [
      { metric: 'state', words: STATES },
      { metric: 'mode', words: MODES },
    ],
  },
};

export function payloadOf(name: string): PayloadName {
  const found = PAYLOADS.find((p) => p === name);
  if (found) return found;
  throw new SluiceError('INPUT_INVALID', `there is no payload '${name}'`, {
    remedy: `choose one of ${PAYLOADS.join(', ')}`,
  });
}

/** Readings that one message gives. */
export function readingsPerMessage(name: PayloadName): number {
  const { objects, numbers, texts } = SHAPES[name];
  return objects * (numbers.length + texts.length);
}

/** How far ts moves from one message to the next, ms. */
export function tsStepMs(name: PayloadName): number {
  return SHAPES[name].objects;
}

const LEVELS = 256;
const VALUE_DIGITS = 5;
const VALUE_MIN = 10;

/** ASCII of the values 10.00, 10.25 … 73.75, one after another. */
const VALUE_TEXT = Buffer.from(Array.from({ length: LEVELS }, (_, i) => (VALUE_MIN + i / 4).toFixed(2)).join(''));
/** ASCII of 000 … 999. */
const THREE_DIGITS = Buffer.from(Array.from({ length: 1000 }, (_, i) => String(i).padStart(3, '0')).join(''));

/** Which of the 256 values: a slow wave with noise of 16 steps, different for each metric and device. */
function levelOf(object: number, metric: number, salt: number): number {
  const phase = ((object >> 5) + metric * 97 + salt) & 511;
  const wave = phase > 255 ? 511 - phase : phase;
  return ((wave * 15) >> 4) + (Math.imul(object + metric * 0x3c6ef372 + salt, 0x9e3779b1) >>> 28);
}

/** Which of four words: the same for 64 messages, mostly. */
function wordOf(object: number, metric: number, salt: number): number {
  return Math.imul((object >> 6) + metric + salt, 0x9e3779b1) >>> 30;
}

/** The packets of one device. Message m (0, 1, …) is written into slot m mod `slots`; all slots have `packetBytes`. */
export class PacketRing {
  readonly packetBytes: number;
  readonly slots: number;
  readonly bytes: Buffer;
  readonly #shape: Shape;
  readonly #qos: Qos;
  readonly #salt: number;
  readonly #baseHigh: number;
  readonly #baseLow: number;
  readonly #idAt: number;
  readonly #tsAt: number[] = [];
  readonly #numbersAt: number[] = [];
  readonly #textsAt: number[] = [];
  readonly #words: Buffer[][];
  /** What the upper 7 digits of each ts in a slot are, relative to the base's: they seldom change. */
  readonly #slotCarry: Int32Array;

  /** `baseMs`: ts of the first object, with 13 digits. Takes slots × packetBytes of memory. */
  constructor(device: string, payload: PayloadName, qos: Qos, baseMs: number, slots: number, salt: number) {
    this.#shape = SHAPES[payload];
    this.#qos = qos;
    this.#salt = salt;
    this.#baseHigh = Math.floor(baseMs / 1e6);
    this.#baseLow = baseMs - this.#baseHigh * 1e6;
    this.#words = this.#shape.texts.map((t) => t.words.map((word) => Buffer.from(word)));
    const topic = Buffer.from(telemetryTopic(device));
    const body = this.#layOut(baseMs);
    const rest = 2 + topic.length + (qos === 0 ? 0 : 2) + body.length;
    const lengthBytes = encodeLength(rest);
    const head = Buffer.from([0x30 | (qos << 1), ...lengthBytes, topic.length >> 8, topic.length & 255]);
    const id = Buffer.alloc(qos === 0 ? 0 : 2);
    const packet = Buffer.concat([head, topic, id, body]);
    this.#idAt = head.length + topic.length;
    const bodyAt = this.#idAt + id.length;
    for (const list of [this.#tsAt, this.#numbersAt, this.#textsAt]) {
      for (let i = 0; i < list.length; i++) list[i] += bodyAt;
    }
    this.packetBytes = packet.length;
    this.slots = slots;
    this.bytes = Buffer.alloc(slots * packet.length);
    for (let slot = 0; slot < slots; slot++) packet.copy(this.bytes, slot * packet.length);
    this.#slotCarry = new Int32Array(slots * this.#shape.objects);
  }

  /** The payload with everything in its place, noting where the parts that change stand. */
  #layOut(baseMs: number): Buffer {
    const { objects, numbers, texts } = this.#shape;
    let text = objects > 1 ? '[' : '';
    for (let object = 0; object < objects; object++) {
      if (object > 0) text += ',';
      text += '{"ts":';
      this.#tsAt.push(text.length);
      text += String(baseMs);
      for (const metric of numbers) {
        text += `,"${metric}":`;
        this.#numbersAt.push(text.length);
        text += '0'.repeat(VALUE_DIGITS);
      }
      for (const { metric, words } of texts) {
        text += `,"${metric}":"`;
        this.#textsAt.push(text.length);
        text += `${words[0]}"`;
      }
      text += '}';
    }
    return Buffer.from(objects > 1 ? `${text}]` : text);
  }

  /** Writes the messages from `first` to before `end`, which may be at most `slots` apart, into their slots. */
  fill(first: number, end: number): void {
    const { bytes, packetBytes, slots } = this;
    const { objects, numbers, texts } = this.#shape;
    const salt = this.#salt;
    let slot = first % slots;
    for (let message = first; message < end; message++) {
      const at = slot * packetBytes;
      if (this.#qos !== 0) {
        const id = (message % 65535) + 1;
        bytes[at + this.#idAt] = id >> 8;
        bytes[at + this.#idAt + 1] = id & 255;
      }
      const firstObject = message * objects;
      let number = 0;
      for (let o = 0; o < objects; o++) {
        const object = firstObject + o;
        this.#writeTs(at + this.#tsAt[o], slot, o, object);
        for (let k = 0; k < numbers.length; k++) {
          let from = levelOf(object, k, salt) * VALUE_DIGITS;
          let to = at + this.#numbersAt[number++];
          bytes[to++] = VALUE_TEXT[from++];
          bytes[to++] = VALUE_TEXT[from++];
          to++;
          from++;
          bytes[to++] = VALUE_TEXT[from++];
          bytes[to] = VALUE_TEXT[from];
          bytes[to - 2] = 0x2e;
        }
        for (let k = 0; k < texts.length; k++) {
          bytes.set(this.#words[k][wordOf(object, k, salt)], at + this.#textsAt[o * texts.length + k]);
        }
      }
      if (++slot === slots) slot = 0;
    }
  }

  #writeTs(to: number, slot: number, o: number, object: number): void {
    const { bytes } = this;
    const sum = this.#baseLow + object;
    const carry = Math.floor(sum / 1e6);
    const low = sum - carry * 1e6;
    const place = slot * this.#shape.objects + o;
    if (this.#slotCarry[place] !== carry) {
      bytes.write(String(this.#baseHigh + carry), to, 'latin1');
      this.#slotCarry[place] = carry;
    }
    const thousands = (low / 1000) | 0;
    let from = thousands * 3;
    bytes[to + 7] = THREE_DIGITS[from];
    bytes[to + 8] = THREE_DIGITS[from + 1];
    bytes[to + 9] = THREE_DIGITS[from + 2];
    from = (low - thousands * 1000) * 3;
    bytes[to + 10] = THREE_DIGITS[from];
    bytes[to + 11] = THREE_DIGITS[from + 1];
    bytes[to + 12] = THREE_DIGITS[from + 2];
  }
}

/** What a set of messages holds: to be compared with what is stored. */
export interface Expected {
  messages: number;
  readings: number;
  /** Readings, and the exact sum of the values, of each numeric metric. */
  numbers: Record<string, { count: number; sum: number }>;
  /** Readings of each text of each text metric. */
  texts: Record<string, Record<string, number>>;
}

export function expectNothing(payload: PayloadName): Expected {
  const { numbers, texts } = SHAPES[payload];
  return {
    messages: 0,
    readings: 0,
    numbers: Object.fromEntries(numbers.map((metric) => [metric, { count: 0, sum: 0 }])),
    texts: Object.fromEntries(texts.map(({ metric, words }) => [metric, Object.fromEntries(words.map((w) => [w, 0]))])),
  };
}

/** Adds the messages from `first` to before `end` of the device with this salt. */
export function expectMessages(into: Expected, payload: PayloadName, salt: number, first: number, end: number): void {
  const { objects, numbers, texts } = SHAPES[payload];
  const firstObject = first * objects;
  const endObject = end * objects;
  into.messages += end - first;
  into.readings += (end - first) * readingsPerMessage(payload);
  numbers.forEach((metric, k) => {
    let quarters = 0;
    for (let object = firstObject; object < endObject; object++) quarters += levelOf(object, k, salt);
    const total = into.numbers[metric];
    total.count += endObject - firstObject;
    total.sum += (endObject - firstObject) * VALUE_MIN + quarters / 4;
  });
  texts.forEach(({ metric, words }, k) => {
    const counts = into.texts[metric];
    for (let object = firstObject; object < endObject; object++) counts[words[wordOf(object, k, salt)]]++;
  });
}

/** MQTT's variable length: seven bits a byte, lowest first, the top bit set on all but the last (MQTT 3.1.1, 2.2.3). */
export function encodeLength(length: number): number[] {
  const bytes: number[] = [];
  let rest = length;
  do {
    bytes.push((rest & 127) | (rest > 127 ? 128 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return bytes;
}

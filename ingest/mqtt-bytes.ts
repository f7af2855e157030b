/**
 * The few facts of MQTT 3.1.1 that the door itself speaks: a fixed header is `type << 4 | flags`, followed by the remaining
 * length as one to four bytes of seven bits, least significant first (section 2.2).
 */
export const PACKET = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
} as const;

/** Return codes of CONNACK (table 3.1). */
export const RETURN_CODE = {
  unacceptableProtocol: 1,
  identifierRejected: 2,
  serverUnavailable: 3,
  badCredentials: 4,
  notAuthorized: 5,
} as const;

export const PINGRESP: Uint8Array = Uint8Array.of(PACKET.pingresp << 4, 0);

/** A CONNACK without a session. */
export function connack(returnCode: number): Uint8Array {
  return Uint8Array.of(PACKET.connack << 4, 2, 0, returnCode);
}

/** The packets, with the flag of a CONNACK set that accepts [MQTT-3.2.2-2]; those behind it are left as they are. */
export function withSessionPresent(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = Buffer.concat(chunks);
  if (bytes[0] === PACKET.connack << 4 && bytes[3] === 0) bytes[2] = 1;
  return bytes;
}

/** Acknowledgements of one type, such as PUBACK (40 02 id id), of the first `count` packet ids, one after another. */
export function encodeAcks(type: number, ids: Uint16Array, count: number): Buffer {
  const out = Buffer.allocUnsafe(count * 4);
  for (let i = 0, at = 0; i < count; i++, at += 4) {
    const id = ids[i];
    out[at] = type << 4;
    out[at + 1] = 2;
    out[at + 2] = id >>> 8;
    out[at + 3] = id;
  }
  return out;
}

/** A PUBLISH to a subscriber, in one piece; `id` counts above QoS 0 only. */
export function encodePublish(
  topic: string,
  payload: Uint8Array | string,
  qos: 0 | 1 | 2,
  retain: boolean,
  id: number,
): Buffer {
  const content = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const topicBytes = Buffer.byteLength(topic);
  const remaining = 2 + topicBytes + (qos > 0 ? 2 : 0) + content.length;
  const out = Buffer.allocUnsafe(1 + lengthBytesOf(remaining) + remaining);
  out[0] = (PACKET.publish << 4) | (qos << 1) | (retain ? 1 : 0);
  let at = writeText(out, writeLength(out, 1, remaining), topic);
  if (qos > 0) at = out.writeUInt16BE(id, at);
  out.set(content, at);
  return out;
}

/** How many bytes a remaining length takes. */
export function lengthBytesOf(remaining: number): number {
  return remaining < 128 ? 1 : remaining < 16_384 ? 2 : remaining < 2_097_152 ? 3 : 4;
}

/** Writes a remaining length and returns where it ends. */
export function writeLength(out: Buffer, at: number, remaining: number): number {
  let rest = remaining;
  let to = at;
  for (; rest > 127; rest >>>= 7) out[to++] = (rest & 127) | 128;
  out[to++] = rest;
  return to;
}

/** Writes a text with its length and returns where it ends. */
export function writeText(out: Buffer, at: number, text: string): number {
  const bytes = out.write(text, at + 2, 'utf8');
  out.writeUInt16BE(bytes, at);
  return at + 2 + bytes;
}

/** A copy of its own; `slice` of a Buffer would keep the whole chunk alive. */
export function copyOf(bytes: Uint8Array, from: number, to: number): Uint8Array {
  return new Uint8Array(bytes.subarray(from, to));
}

/** The big-endian 16-bit number at `at`. */
export function readUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

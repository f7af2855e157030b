import { isUtf8 } from 'node:buffer';
import type { DoorLimits } from './limits.ts';
import { PACKET, readUint16 } from './mqtt-bytes.ts';

/**
 * Checks packets of an accepted client before the broker sees them; each function returns why the packet is not MQTT 3.1.1
 * (or passes a limit), or null. CONNECT has a file of its own. A packet that is refused costs its connection alone.
 */

/** Low four bits of the first byte that each type must have (table 2.2) [MQTT-2.2.2-2]; −1: a type no client may send. */
const FLAGS: readonly number[] = [-1, 0, -1, -1, 0, 0, 2, 0, 2, -1, 2, -1, 0, -1, 0, -1];

/** Any packet but CONNECT and PUBLISH. */
export function packetProblem(
  bytes: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
  limits: DoorLimits,
): string | null {
  const type = bytes[start] >>> 4;
  const flags = FLAGS[type];
  if (flags === -1) return `packet type ${type} is not for clients to send`;
  if ((bytes[start] & 15) !== flags) return `packet type ${type} has the reserved flags ${bytes[start] & 15}`;
  const length = end - bodyStart;
  switch (type) {
    case PACKET.pingreq:
    case PACKET.disconnect:
      return length === 0 ? null : `packet type ${type} has ${length} bytes too many`;
    case PACKET.subscribe:
    case PACKET.unsubscribe:
      return filtersProblem(bytes, bodyStart, end, type === PACKET.subscribe, limits);
    default:
      if (length !== 2) return `packet type ${type} has ${length} bytes instead of 2`;
      return readUint16(bytes, bodyStart) === 0 ? 'packet id 0' : null;
  }
}

/** PUBLISH, apart from what the client may do (access.ts). */
export function publishPacketProblem(
  bytes: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
  limits: DoorLimits,
): string | null {
  const qos = (bytes[start] >>> 1) & 3;
  if (qos === 3) return 'QoS 3'; // [MQTT-3.3.1-4]
  if (qos === 0 && (bytes[start] & 8) !== 0) return 'DUP is set on QoS 0'; // [MQTT-3.3.1-2]
  if (bodyStart + 2 > end) return 'PUBLISH ends inside its topic';
  const topicEnd = bodyStart + 2 + readUint16(bytes, bodyStart);
  if (topicEnd > end) return 'PUBLISH ends inside its topic';
  const problem = topicProblem(bytes, bodyStart + 2, topicEnd, limits);
  if (problem !== null) return problem;
  if (qos === 0) return null;
  if (topicEnd + 2 > end) return 'PUBLISH ends inside its packet id';
  return readUint16(bytes, topicEnd) === 0 ? 'packet id 0' : null; // [MQTT-2.3.1-1]
}

/** A topic name: not empty, short and flat enough, proper UTF-8 without U+0000 and wildcards [MQTT-4.7.3-1], [MQTT-3.3.2-2]. */
export function topicProblem(bytes: Uint8Array, from: number, to: number, limits: DoorLimits): string | null {
  if (from === to) return 'the topic is empty';
  const text = textProblem(bytes, from, to);
  if (text !== null) return `the topic ${text}`;
  let levels = 1;
  for (let i = from; i < to; i++) {
    const byte = bytes[i];
    if (byte === 0x2f) levels++;
    else if (byte === 0x2b || byte === 0x23) return 'the topic holds a wildcard';
  }
  return sizeProblem('topic', to - from, levels, limits);
}

/** A UTF-8 string of MQTT: well formed, without surrogates [MQTT-1.5.3-1] and without U+0000 [MQTT-1.5.3-2]. */
export function textProblem(bytes: Uint8Array, from: number, to: number): string | null {
  const text = bytes.subarray(from, to);
  if (!isUtf8(text)) return 'is not UTF-8';
  return text.includes(0) ? 'holds U+0000' : null;
}

function sizeProblem(what: string, bytes: number, levels: number, limits: DoorLimits): string | null {
  if (bytes > limits.topicBytesMax) return `the ${what} has ${bytes} bytes, at most ${limits.topicBytesMax} are taken`;
  if (levels > limits.topicLevelsMax)
    return `the ${what} has ${levels} levels, at most ${limits.topicLevelsMax} are taken`;
  return null;
}

/** SUBSCRIBE and UNSUBSCRIBE: packet id, then one or more filters, each followed by a QoS in SUBSCRIBE. */
function filtersProblem(
  bytes: Uint8Array,
  bodyStart: number,
  end: number,
  withQos: boolean,
  limits: DoorLimits,
): string | null {
  if (bodyStart + 2 > end) return 'the packet ends inside its packet id';
  if (readUint16(bytes, bodyStart) === 0) return 'packet id 0';
  let at = bodyStart + 2;
  let filters = 0;
  while (at < end) {
    if (at + 2 > end) return 'the packet ends inside a filter';
    const from = at + 2;
    at = from + readUint16(bytes, at);
    if (at + (withQos ? 1 : 0) > end) return 'the packet ends inside a filter';
    const problem = filterProblem(bytes, from, at, limits);
    if (problem !== null) return problem;
    if (withQos && bytes[at++] > 2) return 'a filter asks for a QoS above 2'; // [MQTT-3-8.3-4]
    if (++filters > limits.filtersPerPacketMax) return `more than ${limits.filtersPerPacketMax} filters in one packet`;
  }
  return filters === 0 ? 'no filter' : null; // [MQTT-3.8.3-3], [MQTT-3.10.3-2]
}

/** A filter: as a topic, but `+` may be a whole level and `#` the whole last one [MQTT-4.7.1-2], [MQTT-4.7.1-3]. */
function filterProblem(bytes: Uint8Array, from: number, to: number, limits: DoorLimits): string | null {
  if (from === to) return 'a filter is empty';
  const text = textProblem(bytes, from, to);
  if (text !== null) return `a filter ${text}`;
  let levels = 1;
  for (let i = from; i < to; i++) {
    const byte = bytes[i];
    if (byte === 0x2f) levels++;
    if (byte !== 0x2b && byte !== 0x23) continue;
    const startsLevel = i === from || bytes[i - 1] === 0x2f;
    const endsLevel = i + 1 === to || (byte === 0x2b && bytes[i + 1] === 0x2f);
    if (!startsLevel || !endsLevel) return 'a filter has a wildcard inside a level';
  }
  return sizeProblem('filter', to - from, levels, limits);
}

import type { DoorLimits } from './limits.ts';
import { lengthBytesOf, PACKET, RETURN_CODE, readUint16, writeLength, writeText } from './mqtt-bytes.ts';
import { textProblem, topicProblem } from './packet-guard.ts';

/**
 * CONNECT (section 3.1), after its fixed header:
 *
 *     00 04 'MQTT' 04 | 00 06 'MQIsdp' 03     protocol and level (3.1.1, or 3.1)
 *     flags                                   user name, password, will retain, will QoS (2), will, clean session, reserved
 *     keep-alive                              2 bytes, seconds
 *     client id [will topic, will message] [user name] [password]      each with a length of 2 bytes
 */
export type ConnectVerdict =
  | { kind: 'accept'; request: ConnectRequest }
  /** The packet is proper, but the client is told no with a return code. */
  | { kind: 'answer'; returnCode: number; reason: string }
  /** The packet is broken: the connection is closed without a word [MQTT-3.1.4-1]. */
  | { kind: 'refuse'; reason: string };

/** What a client asks for. */
export interface ConnectRequest {
  /** 4 (MQTT 3.1.1) or 3 (3.1). */
  level: number;
  flags: number;
  /** Empty when the client leaves it to the server. */
  clientId: string;
  clean: boolean;
  keepAliveSeconds: number;
  willTopic: string | null;
  username: string | undefined;
  password: Buffer | undefined;
  /** Where in the packet the client id ends, and will, user name and password begin. */
  clientIdEnd: number;
}

const FLAG = { reserved: 1, clean: 2, will: 4, willQos: 24, willRetain: 32, password: 64, username: 128 } as const;

/** Judges the packet whose first byte is `bytes[start]`. */
export function judgeConnect(
  bytes: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
  limits: DoorLimits,
): ConnectVerdict {
  if (bytes[start] !== 0x10) return refuse('the first packet is not a CONNECT'); // [MQTT-3.1.0-1]
  const fields = new Fields(bytes, bodyStart, end);
  const name = fields.text('protocol name');
  if (fields.problem !== null) return refuse(fields.problem);
  if (name !== 'MQTT' && name !== 'MQIsdp') return refuse(`the protocol name is ${JSON.stringify(name.slice(0, 20))}`);
  if (fields.at >= end) return refuse('CONNECT ends before its protocol level');
  const level = bytes[fields.at];
  if (level !== (name === 'MQTT' ? 4 : 3)) {
    const reason = `protocol level ${level} is not taken, only 4 (MQTT 3.1.1) and 3 (MQTT 3.1)`;
    return { kind: 'answer', returnCode: RETURN_CODE.unacceptableProtocol, reason }; // [MQTT-3.1.2-2]
  }
  if (fields.at + 4 > end) return refuse('CONNECT ends before its keep-alive');
  const flags = bytes[fields.at + 1];
  const flagProblem = flagsProblem(flags);
  if (flagProblem !== null) return refuse(flagProblem);
  const keepAliveSeconds = readUint16(bytes, fields.at + 2);
  fields.at += 4;
  const clientId = fields.text('client id');
  const clientIdEnd = fields.at;
  const willTopic = (flags & FLAG.will) !== 0 ? fields.willTopic(limits) : null;
  const willFrom = (flags & FLAG.will) !== 0 ? fields.skip('will message') : -1;
  const willBytes = willFrom < 0 ? 0 : fields.at - willFrom;
  const username = (flags & FLAG.username) !== 0 ? fields.text('user name') : undefined;
  const passwordFrom = (flags & FLAG.password) !== 0 ? fields.skip('password') : -1;
  const passwordEnd = fields.at;
  if (fields.problem === null && fields.at !== end) fields.problem = `CONNECT has ${end - fields.at} bytes too many`;
  if (fields.problem !== null) return refuse(fields.problem);
  const clean = (flags & FLAG.clean) !== 0;
  const idProblem = clientIdProblem(clientId, level, clean, limits);
  if (idProblem !== null) return { kind: 'answer', returnCode: RETURN_CODE.identifierRejected, reason: idProblem };
  if (willBytes > limits.willBytesMax) {
    const reason = `the will has ${willBytes} bytes, at most ${limits.willBytesMax} are taken; see mqtt.willBytesMax`;
    return { kind: 'answer', returnCode: RETURN_CODE.notAuthorized, reason };
  }
  const password = passwordFrom < 0 ? undefined : Buffer.from(bytes.subarray(passwordFrom, passwordEnd));
  const request = { level, flags, clientId, clean, keepAliveSeconds, willTopic, username, password, clientIdEnd };
  return { kind: 'accept', request };
}

/**
 * The CONNECT by which the broker gets to know a client that was let in: under this id, and without a keep-alive, since the
 * broker sees neither the lane's packets nor our pauses. `rest` is what follows the client id.
 */
export function connectFor(clientId: string, level: number, flags: number, rest: Uint8Array): Buffer {
  const name = level === 3 ? 'MQIsdp' : 'MQTT';
  const remaining = 2 + name.length + 4 + 2 + Buffer.byteLength(clientId) + rest.length;
  const out = Buffer.allocUnsafe(1 + lengthBytesOf(remaining) + remaining);
  out[0] = PACKET.connect << 4;
  let at = writeLength(out, 1, remaining);
  at = writeText(out, at, name);
  out[at++] = level;
  out[at++] = flags;
  out.writeUInt16BE(0, at);
  out.set(rest, writeText(out, at + 2, clientId));
  return out;
}

/** The same for one who has neither a will nor a session to keep. */
export function plainConnectFor(clientId: string): Buffer {
  return connectFor(clientId, 4, FLAG.clean, NOTHING);
}

const NOTHING = new Uint8Array(0);

function refuse(reason: string): ConnectVerdict {
  return { kind: 'refuse', reason };
}

function flagsProblem(flags: number): string | null {
  if ((flags & FLAG.reserved) !== 0) return 'the reserved flag of CONNECT is set'; // [MQTT-3.1.2-3]
  if ((flags & FLAG.willQos) === FLAG.willQos) return 'the will has QoS 3'; // [MQTT-3.1.2-14]
  if ((flags & FLAG.will) === 0 && (flags & (FLAG.willQos | FLAG.willRetain)) !== 0)
    return 'CONNECT has will flags without a will'; // [MQTT-3.1.2-13], [MQTT-3.1.2-15]
  if ((flags & FLAG.username) === 0 && (flags & FLAG.password) !== 0)
    return 'CONNECT has a password without a user name'; // [MQTT-3.1.2-22]
  return null;
}

/** Of a client id, characters (MQTT 3.1, section 3.1). */
const ID_LENGTH_MAX_31 = 23;

function clientIdProblem(clientId: string, level: number, clean: boolean, limits: DoorLimits): string | null {
  if (clientId === '' && (!clean || level === 3)) return 'an empty client id needs MQTT 3.1.1 and a clean session'; // [MQTT-3.1.3-8]
  if (level === 3 && clientId.length > ID_LENGTH_MAX_31)
    return `the client id has ${clientId.length} characters, at most ${ID_LENGTH_MAX_31} are taken in MQTT 3.1`;
  const bytes = Buffer.byteLength(clientId);
  if (bytes > limits.clientIdBytesMax)
    return `the client id has ${bytes} bytes, at most ${limits.clientIdBytesMax} are taken`;
  return null;
}

/** Walks length-prefixed fields; the first problem is kept, and what follows reads as empty. */
class Fields {
  at: number;
  problem: string | null = null;
  readonly #bytes: Uint8Array;
  readonly #end: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes;
    this.at = at;
    this.#end = end;
  }

  /** Moves over a field and returns where its content starts; −1 when there is a problem. */
  skip(what: string): number {
    if (this.problem !== null) return -1;
    const from = this.at + 2;
    const to = from > this.#end ? from : from + readUint16(this.#bytes, this.at);
    if (to > this.#end) {
      this.problem = `CONNECT ends inside its ${what}`;
      return -1;
    }
    this.at = to;
    return from;
  }

  text(what: string): string {
    const from = this.skip(what);
    if (from < 0) return '';
    const problem = textProblem(this.#bytes, from, this.at);
    if (problem !== null) this.problem = `the ${what} ${problem}`;
    return Buffer.from(this.#bytes.subarray(from, this.at)).toString('utf8');
  }

  willTopic(limits: DoorLimits): string {
    const from = this.skip('will topic');
    if (from < 0) return '';
    const problem = topicProblem(this.#bytes, from, this.at, limits);
    if (problem !== null) this.problem = `will: ${problem}`;
    return Buffer.from(this.#bytes.subarray(from, this.at)).toString('utf8');
  }
}

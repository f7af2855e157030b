import { connect as connectTcp, type Socket } from 'node:net';
import { type Packet, parser } from 'mqtt-packet';

export interface Sent {
  topic: string;
  payload: string;
  qos: number;
}

const TELEMETRY = /^devices\/([^/]+)\/telemetry$/;

/**
 * One connection that may say anything. A second reader of the same bytes, which is not ours, tells what was published under
 * which packet id, so that an acknowledgement can be held against the log also where the bytes were damaged.
 */
export class FuzzClient {
  readonly socket: Socket;
  closed = false;
  packetsSeen = 0;
  acksChecked = 0;
  readonly problems: string[] = [];
  readonly #onLog: (topic: string, payload: string) => boolean;
  /** What was ever sent with QoS 2, by client id and packet id: an open handshake outlives its connection. */
  readonly #handshakes: Map<string, Sent[]>;
  /** Of the first CONNECT: a second one is refused. */
  #clientId: string | null = null;
  readonly #sent = new Map<number, Sent[]>();
  readonly #reference = parser();
  #understood = true;

  constructor(port: number, handshakes: Map<string, Sent[]>, onLog: (topic: string, payload: string) => boolean) {
    this.#handshakes = handshakes;
    this.#onLog = onLog;
    this.#reference.on('packet', (packet: Packet) => this.#published(packet));
    this.#reference.on('error', () => {
      this.#understood = false;
    });
    const replies = parser();
    replies.on('packet', (packet: Packet) => this.#answered(packet));
    replies.on('error', (error: Error) => this.problems.push(`the door sent what is not MQTT: ${error.message}`));
    this.socket = connectTcp(port, '127.0.0.1');
    this.socket.on('data', (chunk: Buffer) => replies.parse(chunk));
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
    });
  }

  send(bytes: Buffer): void {
    if (this.#understood) this.#reference.parse(Buffer.from(bytes));
    this.socket.write(bytes);
  }

  #published(packet: Packet): void {
    if (packet.cmd === 'connect') this.#clientId ??= packet.clientId;
    if (packet.cmd !== 'publish' || packet.qos === 0 || packet.messageId === undefined) return;
    const sent = this.#sent.get(packet.messageId) ?? [];
    const one = { topic: packet.topic, payload: Buffer.from(packet.payload).toString('latin1'), qos: packet.qos };
    sent.push(one);
    this.#sent.set(packet.messageId, sent);
    if (one.qos < 2) return;
    const key = `${this.#clientId} ${packet.messageId}`;
    this.#handshakes.set(key, [...(this.#handshakes.get(key) ?? []), one]);
  }

  #answered(packet: Packet): void {
    this.packetsSeen++;
    if (packet.cmd !== 'puback' && packet.cmd !== 'pubrec') return;
    const sent = this.#sent.get(packet.messageId!) ?? [];
    const qos = packet.cmd === 'puback' ? 1 : 2;
    const matching = sent.filter((s) => s.qos === qos);
    if (matching.length === 0) {
      if (this.#understood) this.problems.push(`${packet.cmd} ${packet.messageId} for nothing that was sent`);
      return;
    }
    this.acksChecked++;
    // Of the same QoS 1 id the oldest is meant. A QoS 2 id is one message until its PUBREL, also over connections.
    const meant =
      qos === 1 ? matching.slice(0, 1) : (this.#handshakes.get(`${this.#clientId} ${packet.messageId}`) ?? matching);
    if (qos === 1) sent.splice(sent.indexOf(matching[0]), 1);
    if (!meant.some((s) => !TELEMETRY.test(s.topic) || this.#onLog(s.topic, s.payload)))
      this.problems.push(
        `${packet.cmd} ${packet.messageId} for ${meant[0].topic} ${meant[0].payload}, which is not on the log`,
      );
  }
}

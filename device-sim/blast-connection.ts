import { connect, type Socket } from 'node:net';
import { SluiceError } from '../model/errors.ts';
import { encodeLength, type PacketRing, type Qos } from './blast-payload.ts';
import type { LatencyRecorder } from './latency.ts';

export interface BlastConnectionOptions {
  host: string;
  port: number;
  device: string;
  username?: string;
  password?: string;
  qos: Qos;
  ring: PacketRing;
  latency: LatencyRecorder;
  /** Something was acknowledged (QoS 0: written), the connection is up, or it is gone: there may be room to send. */
  onRoom(connection: BlastConnection): void;
  onClosed(connection: BlastConnection, reason: string): void;
}

/** MQTT 3.1.1 server packets that a publisher gets, and the two client packets without content. */
const CONNACK = 0x20;
const PUBACK = 0x40;
const PUBREC = 0x50;
const PUBREL = 0x62;
const PUBCOMP = 0x70;
const PINGRESP = 0xd0;
const PINGREQ_PACKET = Buffer.from([0xc0, 0]);
const DISCONNECT_PACKET = Buffer.from([0xe0, 0]);
const READ_BYTES = 64 * 1024;

/**
 * One raw socket of a blast.
 *
 *     messages   0 … acked … (some acknowledged out of order, marked) … sent …
 *                      └────── in flight, in the ring's slots ─────┘
 *
 * A slot is written anew only after its message has been acknowledged, so the bytes that a socket still has to send, or that a
 * new connection has to send again, are in the ring unchanged. Packet identifiers are message number mod 65535, plus 1.
 */
export class BlastConnection {
  readonly device: string;
  /** All messages below this number are acknowledged. With QoS 0: written, and read by the server once `finish` resolved. */
  acked = 0;
  sent = 0;
  resent = 0;
  acksUnexpected = 0;
  ready = false;
  readonly #options: BlastConnectionOptions;
  readonly #marks: Uint8Array;
  /** The packet that ends a message's handshake: PUBACK, with QoS 2 PUBCOMP. */
  readonly #done: number;
  #marked = 0;
  #socket: Socket | null = null;
  #carry: Buffer | null = null;
  #onConnected: ((error: Error | null) => void) | null = null;
  #onPong: (() => void) | null = null;
  #ending = false;
  // Latency samples of messages on their way: one for each write, as [message, time it was due, messages it stands for].
  #samples: [number, number, number][] = [];
  #samplesFrom = 0;

  constructor(options: BlastConnectionOptions) {
    this.#options = options;
    this.device = options.device;
    this.#marks = new Uint8Array(options.ring.slots);
    this.#done = options.qos === 2 ? PUBCOMP : PUBACK;
  }

  get inFlight(): number {
    return this.sent - this.acked - this.#marked;
  }

  /** Acknowledged messages beyond `acked`, in order of their number. */
  *ackedOutOfOrder(): Generator<number> {
    for (let message = this.acked; this.#marked > 0 && message < this.sent; message++) {
      if (this.#marks[message % this.#marks.length] === 1) yield message;
    }
  }

  get ackedCount(): number {
    return this.acked + this.#marked;
  }

  /** Connects and waits for the CONNACK. Messages of an earlier connection that were not acknowledged are sent again. */
  connect(): Promise<void> {
    const { host, port, device, username, password } = this.#options;
    return new Promise((resolve, reject) => {
      const socket: Socket = connect({
        host,
        port,
        noDelay: true,
        onread: {
          buffer: Buffer.allocUnsafe(READ_BYTES),
          callback: (n, chunk) => (this.#socket === socket ? this.#read(chunk, n) : true),
        },
      });
      this.#socket = socket;
      this.#carry = null;
      let reason = 'closed by the server';
      let accepted = false;
      this.#onConnected = (error) => {
        this.#onConnected = null;
        if (error) {
          reject(error);
          socket.destroy();
          return;
        }
        this.ready = true;
        accepted = true;
        resolve();
        this.#resend();
      };
      socket.on('connect', () => socket.write(encodeConnect(device, username, password)));
      socket.on('error', (error: NodeJS.ErrnoException) => {
        reason = error.code ?? error.message;
      });
      socket.on('close', () => {
        if (this.#socket !== socket) return;
        this.#socket = null;
        this.ready = false;
        this.#onConnected?.(
          new SluiceError('BROKER_UNAVAILABLE', `${host}:${port} did not take ${device}: ${reason}`, {
            values: { host, port, device },
          }),
        );
        this.#onPong?.();
        // One that was never made is told by the rejection alone: were both to try again, attempts would double each time.
        if (accepted && !this.#ending) this.#options.onClosed(this, reason);
      });
    });
  }

  /** Sends the messages up to before `end`; the caller keeps them within the ring. `dueMs`: when message m should have left. */
  send(end: number, dueMs: (message: number) => number): void {
    const first = this.sent;
    if (!this.#socket || end <= first) return;
    const { ring, qos } = this.#options;
    ring.fill(first, end);
    if (qos !== 0) {
      // A write's messages leave together but are acknowledged one by one: any one of them stands for all, drawn evenly.
      const sample = first + Math.floor(Math.random() * (end - first));
      this.#samples.push([sample, dueMs(sample), end - first]);
    }
    this.sent = end;
    this.#write(first, end);
  }

  #write(first: number, end: number): void {
    const socket = this.#socket!;
    const { packetBytes, slots, bytes } = this.#options.ring;
    const from = first % slots;
    const until = from + (end - first);
    const done = this.#options.qos === 0 ? () => this.#written(socket, end) : undefined;
    if (until <= slots) {
      socket.write(bytes.subarray(from * packetBytes, until * packetBytes), done);
    } else {
      socket.cork();
      socket.write(bytes.subarray(from * packetBytes, slots * packetBytes));
      socket.write(bytes.subarray(0, (until - slots) * packetBytes), done);
      socket.uncork();
    }
  }

  #written(socket: Socket, end: number): void {
    if (this.#socket !== socket) return;
    this.acked = end;
    this.#options.onRoom(this);
  }

  #resend(): void {
    if (this.sent > this.acked) {
      this.resent += this.sent - this.acked;
      this.#write(this.acked, this.sent);
    }
    this.#options.onRoom(this);
  }

  /** Waits until the server has read all that was sent (its answer to a ping comes after), then says goodbye. */
  async finish(): Promise<void> {
    this.#ending = true;
    const socket = this.#socket;
    if (!socket) return;
    if (this.#options.qos === 0) {
      const pong = new Promise<void>((resolve) => {
        this.#onPong = resolve;
      });
      socket.write(PINGREQ_PACKET);
      await pong;
      if (this.#socket === null) return;
    }
    this.#socket = null;
    this.ready = false;
    socket.end(DISCONNECT_PACKET);
    socket.unref();
    setTimeout(() => socket.destroy(), 2000).unref();
  }

  /** Cuts the connection, as `kill -9` of a device would. */
  destroy(): void {
    this.#ending = true;
    this.#socket?.destroy();
  }

  #read(chunk: Uint8Array, n: number): boolean {
    let bytes = chunk;
    let length = n;
    if (this.#carry) {
      bytes = Buffer.concat([this.#carry, chunk.subarray(0, n)]);
      length = bytes.length;
      this.#carry = null;
    }
    const used = this.#scan(bytes, length);
    if (used < length) this.#carry = Buffer.from(bytes.subarray(used, length));
    return true;
  }

  /** Takes whole packets from the start of `bytes`; says how many bytes they were. */
  #scan(bytes: Uint8Array, length: number): number {
    let at = 0;
    let acks = 0;
    const released: number[] = [];
    let idNext = (this.acked % 65535) + 1;
    while (at + 2 <= length) {
      const type = bytes[at];
      if (type === PUBREC && bytes[at + 1] === 2 && this.#options.qos === 2) {
        if (at + 4 > length) break;
        released.push(PUBREL, 2, bytes[at + 2], bytes[at + 3]);
        at += 4;
        continue;
      }
      if (type === this.#done && bytes[at + 1] === 2) {
        if (at + 4 > length) break;
        const id = (bytes[at + 2] << 8) | bytes[at + 3];
        at += 4;
        acks++;
        if (id === idNext && this.#marked === 0 && this.acked < this.sent) {
          this.acked++;
          idNext = idNext === 65535 ? 1 : idNext + 1;
        } else {
          this.#ackOutOfOrder(id);
          idNext = (this.acked % 65535) + 1;
        }
        continue;
      }
      if (at + 2 + bytes[at + 1] > length) break;
      if (!this.#takeOther(type, bytes, at)) return length;
      at += 2 + bytes[at + 1];
    }
    if (released.length > 0) this.#socket?.write(Buffer.from(released));
    if (acks > 0) {
      this.#sampled();
      this.#options.onRoom(this);
    }
    return at;
  }

  #takeOther(type: number, bytes: Uint8Array, at: number): boolean {
    if (type === CONNACK && bytes[at + 1] === 2) {
      this.#onConnected?.(bytes[at + 3] === 0 ? null : refusal(this.device, bytes[at + 3]));
    } else if (type === PINGRESP && bytes[at + 1] === 0) {
      this.#onPong?.();
    } else {
      this.#socket?.destroy(new Error(`unexpected packet, first byte 0x${type.toString(16)}`));
      return false;
    }
    return true;
  }

  #ackOutOfOrder(id: number): void {
    const ahead = (id - 1 - (this.acked % 65535) + 65535) % 65535;
    const message = this.acked + ahead;
    const slot = message % this.#marks.length;
    if (id === 0 || message >= this.sent || this.#marks[slot] === 1) {
      this.acksUnexpected++;
      return;
    }
    this.#marks[slot] = 1;
    this.#marked++;
    for (let s = this.acked % this.#marks.length; this.#marks[s] === 1; s = this.acked % this.#marks.length) {
      this.#marks[s] = 0;
      this.#marked--;
      this.acked++;
    }
  }

  #sampled(): void {
    if (this.#samplesFrom === this.#samples.length) return;
    const nowMs = performance.now();
    while (this.#samplesFrom < this.#samples.length && this.#samples[this.#samplesFrom][0] < this.acked) {
      const [, dueMs, count] = this.#samples[this.#samplesFrom++];
      this.#options.latency.record(nowMs - dueMs, count);
    }
    if (this.#samplesFrom > 256) {
      this.#samples = this.#samples.slice(this.#samplesFrom);
      this.#samplesFrom = 0;
    }
  }
}

function refusal(device: string, code: number): SluiceError {
  // MQTT 3.1.1, table 3.1.
  const reasons = [
    '',
    'protocol version',
    'client id',
    'server unavailable',
    'user name or password',
    'not authorized',
  ];
  return new SluiceError('ACCESS_DENIED', `the broker refused ${device}: ${reasons[code] ?? `return code ${code}`}`, {
    values: { device, code },
  });
}

/** CONNECT of MQTT 3.1.1 (section 3.1): clean session, keep-alive 60 s. */
export function encodeConnect(clientId: string, username?: string, password?: string): Buffer {
  const text = (value: string) => {
    const bytes = Buffer.from(value);
    return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
  };
  const flags = 0x02 | (username === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40);
  const body = Buffer.concat([
    text('MQTT'),
    Buffer.from([4, flags, 0, 60]),
    text(clientId),
    username === undefined ? Buffer.alloc(0) : text(username),
    password === undefined ? Buffer.alloc(0) : text(password),
  ]);
  return Buffer.concat([Buffer.from([0x10, ...encodeLength(body.length)]), body]);
}

import { connect, type Socket } from 'node:net';
import { generate, type Packet, parser } from 'mqtt-packet';
import { randomOf } from '../../processors/testing/scenario.ts';

/** Connects again this long after a connection was lost. */
const RECONNECT_MS = 40;

/**
 * A device that remembers: what it has offered, in order, and which of it was acknowledged. A lost connection is made again and
 * all that is not acknowledged is sent again, in order, before anything new; what was acknowledged is never sent again. So a
 * message that is acknowledged and then lost by the program stays lost, and is found out.
 */
export class RememberingDevice {
  readonly id: string;
  /** Payloads in the order in which they were offered. All are different. */
  readonly offered: string[] = [];
  acknowledged = 0;
  /** Acknowledgements of something that was not the oldest message in flight. */
  unexpected = 0;
  resent = 0;
  readonly #port: number;
  readonly #window: number;
  #next = 0;
  #socket: Socket | null = null;
  #ready = false;
  #closed = false;
  #waiting: (() => void)[] = [];

  constructor(id: string, port: number, window: number) {
    this.id = id;
    this.#port = port;
    this.#window = window;
    this.#connect();
  }

  offer(payload: string): void {
    this.offered.push(payload);
    this.#pump();
  }

  /** Resolves when everything that was offered is acknowledged. */
  async drained(): Promise<void> {
    while (this.acknowledged < this.offered.length) {
      if (this.#closed) throw new Error(`${this.id} was closed before everything was acknowledged`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  close(): void {
    this.#closed = true;
    this.#socket?.destroy();
    this.#tell();
  }

  #connect(): void {
    if (this.#closed) return;
    const socket = connect(this.#port, '127.0.0.1');
    this.#socket = socket;
    this.#ready = false;
    const packets = parser({ protocolVersion: 4 });
    packets.on('packet', (packet: Packet) => this.#received(packet));
    packets.on('error', () => socket.destroy());
    socket.setNoDelay(true);
    socket.once('connect', () => {
      const hello = { cmd: 'connect', clientId: this.id, protocolId: 'MQTT', protocolVersion: 4 } as const;
      socket.write(generate({ ...hello, clean: true, keepalive: 0 }));
    });
    socket.on('data', (bytes) => packets.parse(bytes));
    socket.on('error', () => undefined);
    socket.once('close', () => {
      if (this.#socket !== socket) return;
      this.#ready = false;
      this.resent += this.#next - this.acknowledged;
      this.#next = this.acknowledged;
      setTimeout(() => this.#connect(), RECONNECT_MS);
    });
  }

  #received(packet: Packet): void {
    if (packet.cmd === 'connack') {
      this.#ready = true;
      this.#pump();
    } else if (packet.cmd === 'puback') {
      if (packet.messageId !== idOf(this.acknowledged) || this.acknowledged >= this.#next) this.unexpected++;
      else this.acknowledged++;
      this.#pump();
      if (this.acknowledged === this.offered.length) this.#tell();
    }
  }

  #pump(): void {
    if (!this.#ready) return;
    while (this.#next < this.offered.length && this.#next - this.acknowledged < this.#window) {
      const messageId = idOf(this.#next);
      const payload = this.offered[this.#next++];
      const topic = `devices/${this.id}/telemetry`;
      this.#socket?.write(
        generate({ cmd: 'publish', topic, payload, qos: 1, dup: false, retain: false, messageId } as Packet),
      );
    }
  }

  #tell(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function idOf(index: number): number {
  return (index % 65535) + 1;
}

/** How far the last message of each device is ahead of all before it (a quarter of it without a clock): it closes every window. */
export const FLUSH_AHEAD_MS = 20 * 60_000;

/**
 * The troubles of the world, from a seed: readings out of order, too late, twice, ahead of time, without a time, texts, batches, broken
 * payloads, and values that raise and clear alarms. Each payload is different from every other of its device: repeated
 * readings are told apart by spaces behind them. Values are multiples of a quarter, so that sums are exact.
 */
export class TroubledStream {
  readonly #random: () => number;
  readonly #sent: string[] = [];
  readonly #clockless: boolean;
  #nowMs: number;
  #number = 0;

  /** A clockless device sends no times: mixed with times of an hour ago, those of the door would make everything else late. */
  constructor(seed: number, startMs: number, clockless: boolean) {
    this.#random = randomOf(seed);
    this.#nowMs = startMs;
    this.#clockless = clockless;
  }

  next(): string {
    const random = this.#random;
    const n = this.#number++;
    this.#nowMs += 100 + Math.floor(random() * 700);
    const kind = random();
    if (kind < 0.1 && this.#sent.length > 0) {
      const recent = Math.min(this.#sent.length, 20);
      const again = this.#sent[this.#sent.length - 1 - Math.floor(random() * recent)];
      return again + ' '.repeat(n + 1);
    }
    const lateMs = random() < 0.2 ? Math.floor(random() * 18_000) : Math.floor(random() * 250);
    const ts = this.#nowMs - lateMs;
    const wave = Math.round((20 + 15 * Math.sin(this.#nowMs / 4000) + random() * 4) * 4) / 4;
    const level = Math.round(random() * 400) / 4;
    const payload = this.#payload(kind, n, ts, wave, level);
    if (kind < 0.34 || kind >= 0.36) this.#sent.push(payload);
    return payload;
  }

  #payload(kind: number, n: number, ts: number, t: number, level: number): string {
    if (kind < 0.14) return this.#broken(n, ts);
    if (this.#clockless) return `{"n":${n},"level":${level},"t":${t}}`;
    if (kind < 0.26) return `{"ts":${ts},"values":{"t":${t},"n":${n},"state":"s${n % 3}"}}`;
    if (kind < 0.34) return `[{"ts":${ts},"t":${t},"n":${n}},{"ts":${ts - 1000},"t":${level / 4},"open":true}]`;
    if (kind < 0.36) return `{"ts":${Date.now() + 3 * 3_600_000 + n},"t":${t},"n":${n}}`;
    return `{"ts":${ts},"t":${t},"level":${level},"n":${n}}`;
  }

  #broken(n: number, ts: number): string {
    const broken = [`{"n":${n},"t":`, `{"n":${n},"ts":-1}`, `{"ts":${ts},"n":[${n}]}`, `[{"n":${n}},7]`, `"n${n}"`];
    return broken[Math.floor(this.#random() * broken.length)];
  }

  /** The last message: closes every window and brings every alarm back to normal. */
  last(): string {
    const ts = this.#clockless ? Date.now() + FLUSH_AHEAD_MS / 4 : this.#nowMs + FLUSH_AHEAD_MS;
    return `{"ts":${ts},"t":0,"level":0,"n":${this.#number++}}`;
  }
}

import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { generate, type Packet, parser } from 'mqtt-packet';
import type { Log } from '../log/log.ts';
import type { Logger } from '../model/logger.ts';
import { type Door, type DoorOptions, openDoor } from './door.ts';
import { MemoryLog } from './memory-log.fixture.ts';

/** What the door logged: level, message and values in one line each. */
export class Lines implements Logger {
  readonly lines: string[] = [];
  debug(message: string, values?: object): void {
    this.lines.push(`debug ${message} ${JSON.stringify(values ?? {})}`);
  }
  info(message: string, values?: object): void {
    this.lines.push(`info ${message} ${JSON.stringify(values ?? {})}`);
  }
  warn(message: string, values?: object): void {
    this.lines.push(`warn ${message} ${JSON.stringify(values ?? {})}`);
  }
  error(message: string, values?: object): void {
    this.lines.push(`error ${message} ${JSON.stringify(values ?? {})}`);
  }
  has(part: string): boolean {
    return this.lines.some((line) => line.includes(part));
  }
}

type Overrides = Partial<Omit<DoorOptions, 'log' | 'batch'>> & { batch?: Partial<DoorOptions['batch']> };

/** A door on a free port, everything it opened, and a way to close it all. */
export class TestDoor<L extends Log = MemoryLog> {
  readonly log: L;
  readonly lines = new Lines();
  door!: Door;
  readonly #clients: MqttClient[] = [];
  readonly #raw: RawClient[] = [];

  constructor(log: L) {
    this.log = log;
  }

  async open({ batch, ...overrides }: Overrides = {}): Promise<this> {
    this.door = await openDoor({
      log: this.log,
      listeners: { tcp: { host: '127.0.0.1', port: 0 } },
      access: { anonymous: 'loopback', users: [] },
      batch: { lingerMs: 0, frameBytesMax: 64 * 1024, inFlightBytesMax: 1 << 24, tickMs: 60_000, ...batch },
      logger: this.lines,
      ...overrides,
    });
    return this;
  }

  get port(): number {
    return this.door.addresses.tcp!.port;
  }

  /** A connected client of the ordinary library, which does not reconnect by itself. */
  async client(options: IClientOptions = {}, url = `mqtt://127.0.0.1:${this.port}`): Promise<MqttClient> {
    const client = await connectAsync(url, { reconnectPeriod: 0, ...options }, false);
    client.on('error', () => {});
    this.#clients.push(client);
    return client;
  }

  /** A bare socket that has not sent anything yet. */
  raw(): RawClient {
    const client = new RawClient(connectTcp(this.port, '127.0.0.1'));
    this.#raw.push(client);
    return client;
  }

  /** A bare socket whose CONNECT has been accepted. */
  async accepted(clientId: string, options: object = {}): Promise<RawClient> {
    const client = this.raw();
    client.send({
      cmd: 'connect',
      clientId,
      protocolId: 'MQTT',
      protocolVersion: 4,
      clean: true,
      keepalive: 0,
      ...options,
    } as Packet);
    await client.next('connack');
    return client;
  }

  async close(): Promise<void> {
    for (const raw of this.#raw) raw.socket.destroy();
    await Promise.all(this.#clients.map((c) => c.endAsync(true)));
    await this.door.close();
  }
}

export async function openTestDoor(overrides: Overrides = {}, partitions = 4): Promise<TestDoor> {
  return new TestDoor(new MemoryLog(partitions)).open(overrides);
}

/** A client that sends what it is told and keeps every packet that comes. */
export class RawClient {
  readonly socket: Duplex;
  readonly packets: Packet[] = [];
  /** Ids of the PUBACKs so far, in order. */
  readonly acked: number[] = [];
  closed = false;
  /** What the parser could not read: a broken stream. */
  broken: Error | null = null;
  readonly #waiting = new Set<() => void>();

  constructor(socket: Duplex) {
    this.socket = socket;
    const reader = parser();
    reader.on('packet', (packet: Packet) => {
      this.packets.push(packet);
      if (packet.cmd === 'puback') this.acked.push(packet.messageId!);
      this.#tell();
    });
    reader.on('error', (error: Error) => {
      this.broken = error;
      this.#tell();
    });
    socket.on('data', (chunk: Buffer) => reader.parse(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
      this.#tell();
    });
  }

  send(...packets: (Packet | Uint8Array)[]): void {
    this.socket.write(Buffer.concat(packets.map((p) => (p instanceof Uint8Array ? p : generate(p)))));
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.closed) throw new Error(`closed with ${this.packets.map((p) => p.cmd).join(' ')}`);
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  async next<C extends Packet['cmd']>(cmd: C): Promise<Extract<Packet, { cmd: C }>> {
    await this.until(() => this.packets.some((p) => p.cmd === cmd));
    const index = this.packets.findIndex((p) => p.cmd === cmd);
    return this.packets.splice(index, 1)[0] as Extract<Packet, { cmd: C }>;
  }

  async end(): Promise<void> {
    while (!this.closed) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  #tell(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }
}

/** A PUBLISH on a device's telemetry topic; QoS 1 when it has an id. */
export function telemetry(device: string, payload: string, messageId?: number, extra: object = {}): Buffer {
  return generate({
    cmd: 'publish',
    topic: `devices/${device}/telemetry`,
    payload,
    qos: messageId === undefined ? 0 : 1,
    messageId,
    dup: false,
    retain: false,
    ...extra,
  } as Packet);
}

/** Waits until something that comes by itself is true. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Lets everything that is ready happen, sockets included, so that "nothing came" means something. */
export async function settle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 30));
}

export type { Socket };

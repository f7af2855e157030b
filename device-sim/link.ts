import { connect, type IClientOptions, type MqttClient } from 'mqtt';

/** A message that a link has to deliver. `done` is called once, when it has been acknowledged (QoS 0: written to the socket). */
export interface Outgoing {
  topic: string;
  payload: string | Buffer;
  done(): void;
}

export interface LinkOptions {
  /** mqtt://, mqtts://, ws:// or wss://. */
  url: string;
  clientId: string;
  username?: string;
  password?: string;
  /** Certificates of the authority that signed the server's, PEM. */
  ca?: string | Buffer;
  qos: 0 | 1 | 2;
  /** Messages sent and not yet acknowledged, at most. */
  inFlightMax: number;
  /** Wait before the next try to connect: doubles from the first to the second, with a random part. */
  retryMsMin?: number;
  retryMsMax?: number;
  onConnected?(): void;
  /** A connection was lost or not made; the link goes on trying. */
  onTrouble?(error: Error): void;
}

/**
 * One device's way to the broker: an ordinary MQTT client that remembers what has not been acknowledged, and sends it again,
 * in order, on the next connection.
 *
 *     send() ──▶ waiting ──(connected, room)──▶ inFlight ──ack──▶ done()
 *                   ▲                              │
 *                   └──────── connection lost ─────┘
 *
 * Every connection is a client object of its own with no memory of the last, so that there is one place that remembers.
 */
export class DeviceLink {
  readonly #options: LinkOptions;
  #waiting: Outgoing[] = [];
  #waitingFrom = 0;
  readonly #inFlight = new Set<Outgoing>();
  #client: MqttClient | null = null;
  #timer: NodeJS.Timeout | null = null;
  #online = true;
  #closed = false;
  #tries = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#connect();
  }

  get connected(): boolean {
    return this.#client?.connected ?? false;
  }

  /** Messages that are not acknowledged yet. */
  get pending(): number {
    return this.#waiting.length - this.#waitingFrom + this.#inFlight.size;
  }

  send(message: Outgoing): void {
    this.#waiting.push(message);
    this.#flush();
  }

  /** Cuts the connection as a lost network does, without a word to the broker, until goOnline. */
  goOffline(): void {
    this.#online = false;
    this.#lost(this.#client);
  }

  goOnline(): void {
    this.#online = true;
    this.#tries = 0;
    if (this.#client === null) this.#connect();
  }

  /** Says goodbye and closes; what is not acknowledged stays so. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    const client = this.#client;
    this.#client = null;
    if (!client) return;
    if (client.connected) await new Promise<void>((resolve) => client.end(true, {}, () => resolve()));
    else client.end(true);
  }

  #connect(): void {
    if (this.#closed || !this.#online || this.#client) return;
    const { url, clientId, username, password, ca } = this.#options;
    const options: IClientOptions = {
      clientId,
      protocolVersion: 4,
      clean: true,
      keepalive: 30,
      connectTimeout: 10_000,
      reconnectPeriod: 0,
      queueQoSZero: false,
    };
    if (username !== undefined) options.username = username;
    if (password !== undefined) options.password = password;
    if (ca !== undefined) options.ca = typeof ca === 'string' ? Buffer.from(ca) : ca;
    const client = connect(url, options);
    this.#client = client;
    client.on('connect', () => {
      if (this.#client !== client) return;
      this.#tries = 0;
      this.#options.onConnected?.();
      this.#flush();
    });
    client.on('error', (error) => {
      if (this.#client === client) this.#options.onTrouble?.(error);
      this.#lost(client);
    });
    client.on('close', () => {
      if (this.#client === client) this.#options.onTrouble?.(new Error('connection closed'));
      this.#lost(client);
    });
  }

  /** Takes back what was on its way, in front of what waits, and plans the next connection. */
  #lost(client: MqttClient | null): void {
    if (client === null || this.#client !== client) return;
    this.#client = null;
    this.#waiting = [...this.#inFlight, ...this.#waiting.slice(this.#waitingFrom)];
    this.#waitingFrom = 0;
    this.#inFlight.clear();
    client.end(true);
    client.stream?.destroy();
    if (this.#closed || !this.#online) return;
    const { retryMsMin = 200, retryMsMax = 5_000 } = this.#options;
    const waitMs = Math.min(retryMsMax, retryMsMin * 2 ** this.#tries++);
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), waitMs * (0.5 + Math.random() / 2));
  }

  #flush(): void {
    const client = this.#client;
    if (!client?.connected) return;
    const { qos, inFlightMax } = this.#options;
    while (this.#inFlight.size < inFlightMax && this.#waitingFrom < this.#waiting.length) {
      const message = this.#waiting[this.#waitingFrom++];
      this.#inFlight.add(message);
      client.publish(message.topic, message.payload, { qos }, (error) => {
        if (this.#client !== client) return; // of a connection that is gone: the message has been taken back
        if (error) return this.#lost(client);
        this.#inFlight.delete(message);
        message.done();
        this.#flush();
      });
      if (this.#client !== client) return;
    }
    if (this.#waitingFrom > 1000 && this.#waitingFrom * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#waitingFrom);
      this.#waitingFrom = 0;
    }
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { SluiceError } from '../model/errors.ts';
import { BlastConnection } from './blast-connection.ts';
import {
  type Expected,
  expectMessages,
  expectNothing,
  PacketRing,
  type PayloadName,
  payloadOf,
  type Qos,
  readingsPerMessage,
  tsStepMs,
} from './blast-payload.ts';
import { LatencyRecorder, type LatencySummary } from './latency.ts';
import { HOUR_MS } from './signals.ts';

export interface BlastOptions {
  /** mqtt://HOST:PORT. Plain TCP only: a blast is for measuring. */
  url: string;
  /** Sockets; each is one device. Default 50. */
  connections?: number;
  /** object (three metrics, the default), array10, single or strings. */
  payload?: string;
  /** Default 1. */
  qos?: Qos;
  /** Messages in all. At least one of messages and durationMs is given. */
  messages?: number;
  durationMs?: number;
  /** Messages per second in all, whatever the broker does (open loop). Absent: as fast as acknowledged (closed loop). */
  ratePerSecond?: number;
  /** Unacknowledged messages of each connection at most. Default 25,600 shared by all, from 16 to 16,384 each. */
  window?: number;
  /** Devices are called `{devicePrefix}-0001` and so on. Default blast. */
  devicePrefix?: string;
  /** ts of each device's first reading; each further object is 1 ms later. Default: six hours ago. */
  baseMs?: number;
  /** Connect again when a connection is lost, and send again what it had not acknowledged. Default false. */
  reconnect?: boolean;
  /** How long to wait for the last acknowledgements. Default 30 s. */
  drainMs?: number;
  username?: string;
  password?: string;
  signal?: AbortSignal;
  /** Once a second. */
  onProgress?(progress: { acknowledged: number; sent: number; elapsedMs: number }): void;
}

export interface BlastResult {
  payload: PayloadName;
  qos: Qos;
  connections: number;
  window: number;
  ratePerSecond: number | null;
  devicePrefix: string;
  baseMs: number;
  /** The last ts of any device, ms. */
  tsMaxMs: number;
  sent: number;
  acknowledged: number;
  /** Sent and not acknowledged: whether these are stored is not known. */
  unacknowledged: number;
  resent: number;
  acksUnexpected: number;
  bytesSent: number;
  /** What the acknowledged messages hold. With QoS 0: what the server has read. */
  expected: Expected;
  /** Time of day of the first publish and of the last acknowledgement, ms. */
  startedMs: number;
  endedMs: number;
  messagesPerSecond: number;
  readingsPerSecond: number;
  /** From when a message was due to its PUBACK (QoS 2: PUBCOMP); null with QoS 0. */
  pubackLatency: LatencySummary | null;
  /** The same as a histogram, to be merged with those of other blasts (latency.ts). */
  pubackHistogram: string | null;
  /** CPU of this process while it published, per acknowledged message. */
  cpuMicrosPerMessage: number;
  /** Most memory that this process has held so far, resident. */
  peakMemoryBytes: number;
  acknowledgedByConnection: number[];
  closed: { device: string; reason: string }[];
}

const CONNECTING_MAX = 200;
/** Open loop: a connection's messages leave in bursts this far apart, one part of the connections each ms. */
const BURST_MS = 5;

/**
 * Publishes pre-encoded packets over raw sockets, and counts exactly what was acknowledged.
 *
 * Closed loop: each connection keeps its window full. Open loop: messages have a time at which they are due, and latencies
 * are counted from that time, so that a broker that stalls does not hide what it held up (no coordinated omission).
 * Rejects with BROKER_UNAVAILABLE or ACCESS_DENIED when a connection cannot be made at the start, INPUT_INVALID for options
 * that do not fit. Connections lost later are told in the result.
 */
export async function blast(options: BlastOptions): Promise<BlastResult> {
  const run = new Blast(options);
  try {
    await run.connect();
    return await run.publish();
  } finally {
    run.destroy();
  }
}

class Blast {
  readonly #options: BlastOptions;
  readonly #payload: PayloadName;
  readonly #qos: Qos;
  readonly #count: number;
  readonly #window: number;
  readonly #baseMs: number;
  readonly #prefix: string;
  readonly #quotas: number[];
  readonly #connections: BlastConnection[] = [];
  readonly #places = new Map<BlastConnection, number>();
  readonly #latency = new LatencyRecorder();
  readonly #closed: { device: string; reason: string }[] = [];
  readonly #dead = new Set<BlastConnection>();
  readonly #intervalMs: number | null;
  #packetBytes = 0;
  #running = false;
  #startMs = 0;
  #deadlineMs = Number.POSITIVE_INFINITY;
  #lastAckMs = 0;
  #tick = -1;
  #wake: (() => void) | null = null;

  constructor(options: BlastOptions) {
    const { connections = 50, messages, durationMs, ratePerSecond } = options;
    if (messages === undefined && durationMs === undefined) {
      throw new SluiceError('INPUT_INVALID', 'a blast without an end', { remedy: 'give messages or durationMs' });
    }
    if (!Number.isInteger(connections) || connections < 1) {
      throw new SluiceError('INPUT_INVALID', `${connections} connections`, { remedy: 'a whole number from 1' });
    }
    const url = URL.canParse(options.url) ? new URL(options.url) : null;
    if (url?.protocol !== 'mqtt:') {
      throw new SluiceError('INPUT_INVALID', `cannot blast at '${options.url}'`, { remedy: 'use mqtt://HOST:PORT' });
    }
    this.#options = options;
    this.#payload = payloadOf(options.payload ?? 'object');
    this.#qos = options.qos ?? 1;
    this.#count = connections;
    this.#window = options.window ?? Math.min(16_384, Math.max(16, Math.round(25_600 / connections)));
    if (!(Number.isInteger(this.#window) && this.#window >= 1 && this.#window <= 32_767)) {
      throw new SluiceError('INPUT_INVALID', `a window of ${this.#window}`, { remedy: 'choose 1 to 32767 messages' });
    }
    this.#baseMs = Math.floor(options.baseMs ?? Date.now() - 6 * HOUR_MS);
    this.#prefix = options.devicePrefix ?? 'blast';
    this.#intervalMs = ratePerSecond === undefined ? null : (1000 * connections) / ratePerSecond;
    this.#quotas = Array.from({ length: connections }, (_, i) =>
      messages === undefined ? Number.MAX_SAFE_INTEGER : Math.floor((messages + connections - 1 - i) / connections),
    );
    const { hostname, port } = url;
    for (let i = 0; i < connections; i++) {
      const device = blastDevice(this.#prefix, i, connections);
      const ring = new PacketRing(device, this.#payload, this.#qos, this.#baseMs, this.#window, saltOf(i));
      this.#packetBytes = ring.packetBytes;
      const connection = new BlastConnection({
        host: hostname,
        port: port === '' ? 1883 : Number(port),
        device,
        ...(options.username === undefined ? {} : { username: options.username }),
        ...(options.password === undefined ? {} : { password: options.password }),
        qos: this.#qos,
        ring,
        latency: this.#latency,
        onRoom: (c) => this.#onRoom(c),
        onClosed: (c, reason) => this.#onClosed(c, reason),
      });
      this.#connections.push(connection);
      this.#places.set(connection, i);
    }
  }

  async connect(): Promise<void> {
    for (let i = 0; i < this.#count; i += CONNECTING_MAX) {
      await Promise.all(this.#connections.slice(i, i + CONNECTING_MAX).map((c) => c.connect()));
    }
  }

  async publish(): Promise<BlastResult> {
    const { durationMs, drainMs = 30_000, signal } = this.#options;
    const cpuBefore = process.cpuUsage();
    const startedMs = Date.now();
    this.#startMs = performance.now();
    if (durationMs !== undefined) this.#deadlineMs = this.#startMs + durationMs;
    this.#running = true;
    const reporter = setInterval(() => this.#report(), 1000);
    for (const connection of this.#connections) this.#onRoom(connection);
    while (!this.#sentAll() && !signal?.aborted) {
      if (this.#intervalMs === null) {
        await this.#woken(50);
      } else {
        await sleep(1);
        this.#sendDue();
      }
    }
    this.#deadlineMs = Math.min(this.#deadlineMs, performance.now());
    const drainUntilMs = performance.now() + drainMs;
    while (!this.#ackedAll() && performance.now() < drainUntilMs && !signal?.aborted) await this.#woken(50);
    clearInterval(reporter);
    if (this.#qos === 0) await Promise.race([this.#finish(), sleep(drainMs, undefined, { ref: false })]);
    const endedAt = this.#qos === 0 ? performance.now() : this.#lastAckMs;
    const cpu = process.cpuUsage(cpuBefore);
    if (this.#qos !== 0) await this.#finish();
    return this.#result(startedMs, Math.max(0.001, endedAt - this.#startMs), cpu.user + cpu.system);
  }

  destroy(): void {
    this.#running = false;
    for (const connection of this.#connections) connection.destroy();
  }

  #onRoom(connection: BlastConnection): void {
    if (!this.#running) return;
    this.#lastAckMs = performance.now();
    this.#send(connection, this.#lastAckMs);
  }

  #send(connection: BlastConnection, nowMs: number): void {
    if (nowMs < this.#deadlineMs && connection.ready) {
      const room = this.#window - (connection.sent - connection.acked);
      const quota = this.#quotas[this.#places.get(connection)!];
      let end = Math.min(quota, connection.sent + room);
      if (this.#intervalMs !== null) {
        end = Math.min(end, this.#dueBy(connection, nowMs));
        if (end > connection.sent) connection.send(end, (message) => this.#dueMs(connection, message));
      } else if (room * 2 >= this.#window || room >= quota - connection.sent) {
        // Half a window at once: few large writes cost less than many small ones.
        connection.send(end, () => nowMs);
      }
    }
    if (this.#wake && (this.#intervalMs === null || nowMs >= this.#deadlineMs)) {
      if (connection.acked === connection.sent) this.#wake();
    }
  }

  /** Open loop: serves the connections whose bursts have come due since the last call. */
  #sendDue(): void {
    const nowMs = performance.now();
    const tick = Math.floor(nowMs - this.#startMs);
    for (let t = Math.max(this.#tick + 1, tick - BURST_MS + 1); t <= tick; t++) {
      for (let i = t % BURST_MS; i < this.#count; i += BURST_MS) this.#send(this.#connections[i], nowMs);
    }
    this.#tick = tick;
  }

  /** Messages of a connection that are due by a time. Connections take turns within an interval. */
  #dueBy(connection: BlastConnection, nowMs: number): number {
    const place = this.#places.get(connection)!;
    const burst = place % BURST_MS;
    const sinceMs = Math.floor((nowMs - this.#startMs - burst) / BURST_MS) * BURST_MS + burst;
    return Math.max(0, Math.floor(sinceMs / this.#intervalMs! - place / this.#count) + 1);
  }

  /** The burst that a message should have left with. */
  #dueMs(connection: BlastConnection, message: number): number {
    const place = this.#places.get(connection)!;
    const burst = place % BURST_MS;
    const dueMs = (message + place / this.#count) * this.#intervalMs!;
    return this.#startMs + Math.max(0, Math.ceil((dueMs - burst) / BURST_MS)) * BURST_MS + burst;
  }

  #onClosed(connection: BlastConnection, reason: string): void {
    if (!this.#running) return;
    this.#closed.push({ device: connection.device, reason });
    if (this.#options.reconnect !== true) {
      this.#dead.add(connection);
      this.#wake?.();
      return;
    }
    const again = () => {
      if (this.#running) connection.connect().catch(() => setTimeout(again, 200));
    };
    setTimeout(again, 100);
  }

  #sentAll(): boolean {
    if (performance.now() >= this.#deadlineMs) return true;
    return this.#connections.every((c, i) => this.#dead.has(c) || c.sent >= this.#quotas[i]);
  }

  #ackedAll(): boolean {
    return this.#connections.every((c) => this.#dead.has(c) || c.inFlight === 0);
  }

  /** Waits for a connection to have nothing on its way, or a moment. */
  #woken(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      const wake = () => {
        clearTimeout(timer);
        done();
      };
      const self = this;
      function done() {
        self.#wake = null;
        resolve();
      }
      this.#wake = wake;
    });
  }

  async #finish(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#connections.map((c) => c.finish()));
  }

  #report(): void {
    this.#options.onProgress?.({
      acknowledged: this.#connections.reduce((sum, c) => sum + c.ackedCount, 0),
      sent: this.#connections.reduce((sum, c) => sum + c.sent, 0),
      elapsedMs: performance.now() - this.#startMs,
    });
  }

  #result(startedMs: number, elapsedMs: number, cpuMicros: number): BlastResult {
    const expected = expectNothing(this.#payload);
    this.#connections.forEach((c, i) => {
      expectMessages(expected, this.#payload, saltOf(i), 0, c.acked);
      for (const message of c.ackedOutOfOrder())
        expectMessages(expected, this.#payload, saltOf(i), message, message + 1);
    });
    const sum = (of: (c: BlastConnection) => number) => this.#connections.reduce((total, c) => total + of(c), 0);
    const sent = sum((c) => c.sent);
    const resent = sum((c) => c.resent);
    const messagesPerSecond = (expected.messages * 1000) / elapsedMs;
    return {
      payload: this.#payload,
      qos: this.#qos,
      connections: this.#count,
      window: this.#window,
      ratePerSecond: this.#options.ratePerSecond ?? null,
      devicePrefix: this.#prefix,
      baseMs: this.#baseMs,
      tsMaxMs: this.#baseMs + Math.max(...this.#connections.map((c) => c.sent)) * tsStepMs(this.#payload) - 1,
      sent,
      acknowledged: expected.messages,
      unacknowledged: sent - expected.messages,
      resent,
      acksUnexpected: sum((c) => c.acksUnexpected),
      bytesSent: (sent + resent) * this.#packetBytes,
      expected,
      startedMs,
      endedMs: startedMs + elapsedMs,
      messagesPerSecond,
      readingsPerSecond: messagesPerSecond * readingsPerMessage(this.#payload),
      pubackLatency: this.#latency.summary(),
      pubackHistogram: this.#latency.toText(),
      cpuMicrosPerMessage: cpuMicros / Math.max(1, expected.messages),
      peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
      acknowledgedByConnection: this.#connections.map((c) => c.ackedCount),
      closed: this.#closed,
    };
  }
}

/** What the device of a connection is called; `place` from 0 on, of so many connections. Names are in the order of their places. */
export function blastDevice(prefix: string, place: number, connections: number): string {
  return `${prefix}-${String(place + 1).padStart(Math.max(4, String(connections).length), '0')}`;
}

function saltOf(place: number): number {
  return place * 131;
}

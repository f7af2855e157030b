import type { Log } from '../log/log.ts';
import { type Clock, systemClock, type TimerHandle } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import type { Logger } from '../model/logger.ts';
import type { DoorStats } from '../model/stats.ts';
import { Access, type AccessRules } from './access.ts';
import { AlarmRelay } from './alarm-relay.ts';
import { Batcher, type BatchOptions } from './batcher.ts';
import { type Broker, startBroker } from './broker.ts';
import { ClientRates } from './client-rates.ts';
import { Connection } from './connection.ts';
import { ConnectionGate } from './connection-gate.ts';
import type { ConnectionParts } from './connection-parts.ts';
import { DoorHooks } from './door-hooks.ts';
import { DoorStatusPublisher } from './door-status.ts';
import { KeptSessions } from './kept-sessions.ts';
import { type DoorLimits, doorLimits, type LimitOverrides } from './limits.ts';
import {
  type Arrival,
  type DoorAddresses,
  type ListenerOptions,
  type Listeners,
  openListeners,
  type TlsKeys,
} from './listeners.ts';
import { FACT_SOURCE, OperationIntake } from './operation-intake.ts';
import { PartialPackets } from './partial-packets.ts';
import { Pressure } from './pressure.ts';
import { Qos2Handshakes } from './qos2-handshakes.ts';
import { RefusalLog } from './refusal-log.ts';
import { SubscriptionCounts } from './subscription-counts.ts';
import { TelemetryFilters } from './telemetry-filters.ts';

export interface DoorOptions {
  log: Log;
  listeners: ListenerOptions;
  access: AccessRules;
  batch: BatchOptions;
  limits?: LimitOverrides;
  /** Files that the process may have open; fewer connections are taken when they are short. */
  openFilesMax?: number;
  /** Whether it takes what partitions tell each other (model/fact.ts) into all of them; only where rules need that. */
  relaysFacts?: boolean;
  clock?: Clock;
  logger: Logger;
}

/** What the door counts; whoever writes the stats adds role, instance and times. */
export type DoorCounters = Omit<DoorStats, 'role' | 'instance' | 'startedMs' | 'atMs'>;

export interface Door {
  /** Where it listens, with the ports that were really taken. */
  readonly addresses: DoorAddresses;
  /** Resolves with the reason when the log will never take a frame again; never otherwise. */
  readonly failed: Promise<Error>;
  stats(): DoorCounters;
  /** Gives a message to the MQTT subscribers of its topic; resolves when it has been written to those that are connected. */
  publish(topic: string, payload: Uint8Array | string, options?: { qos?: 0 | 1 | 2; retain?: boolean }): Promise<void>;
  /** New TLS connections are shown this certificate. Throws CONFIG_INVALID, and keeps the old one, when it cannot be used. */
  renewTls(keys: TlsKeys): void;
  /**
   * Takes no more connections and messages, waits for the appends in flight (at most limits.drainMsMax), sends their PUBACKs,
   * closes the clients. The log stays open. Idempotent.
   */
  close(): Promise<void>;
}

const SWEEP_MS = 1000;
/** How long closed connections may take to send their last bytes. */
const FAREWELL_MS = 1000;
/** Files that are not connections: the log, the listeners, what the process itself needs. */
const OTHER_FILES = 128;

/** Opens the MQTT front door. Rejects with LISTEN_FAILED or CONFIG_INVALID. */
export async function openDoor(options: DoorOptions): Promise<Door> {
  const door = new OpenDoor(options);
  await door.open(options.listeners);
  return door;
}

class OpenDoor implements Door {
  addresses: DoorAddresses = { tcp: null, tls: null, websocket: null, websocketTls: null };
  readonly failed: Promise<Error>;
  readonly #limits: DoorLimits;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #tickMs: number;
  readonly #pressure: Pressure;
  readonly #batcher: Batcher;
  readonly #relay: AlarmRelay;
  readonly #intakes: OperationIntake[];
  readonly #filters = new TelemetryFilters();
  readonly #handshakes: Qos2Handshakes;
  readonly #connections = new Map<Connection, Arrival>();
  readonly #gate: ConnectionGate;
  readonly #sessions: KeptSessions;
  readonly #subscriptions: SubscriptionCounts;
  readonly #status: DoorStatusPublisher;
  readonly #counters = { bytesReceived: 0, packetsRefused: 0, connectionsRefused: 0 };
  readonly #refusals: RefusalLog;
  readonly #hooks: DoorHooks;
  readonly #parts: ConnectionParts;
  #broker: Broker<Connection> | null = null;
  #listeners: Listeners | null = null;
  #timers: TimerHandle[] = [];
  #closing: Promise<void> | null = null;
  #allClosed: (() => void) | null = null;

  constructor(options: DoorOptions) {
    this.#limits = doorLimits(options.limits);
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger;
    this.#tickMs = options.batch.tickMs;
    this.#pressure = new Pressure(options.batch.inFlightBytesMax);
    this.#batcher = new Batcher(options.log, options.batch, this.#pressure, this.#clock, this.#logger);
    this.failed = new Promise((resolve) => {
      this.#batcher.onFatal = (error) => {
        if (this.#closing === null) resolve(error);
      };
    });
    this.#refusals = new RefusalLog(this.#logger, this.#clock);
    this.#gate = new ConnectionGate(this.#limits, this.#clock, this.#refusals, this.#connectionsMax(options));
    const { perClient, total, sessionExpiryMs } = this.#limits;
    this.#sessions = new KeptSessions(total.sessionsMax, sessionExpiryMs);
    this.#subscriptions = new SubscriptionCounts(perClient.subscriptionsMax, total.subscriptionsMax);
    const waiting = { waitingMax: this.#limits.total.passwordsWaitingMax, waitMsMax: this.#limits.passwordWaitMsMax };
    this.#handshakes = new Qos2Handshakes(total.handshakesMax, (session) => {
      const clientId = this.#hooks.handshakesForgotten(session);
      if (clientId !== null) this.#broker?.forgetHandshakes(clientId);
    });
    this.#hooks = new DoorHooks({
      access: new Access(options.access, { ...waiting, clock: this.#clock }),
      gate: this.#gate,
      arrivalOf: (connection) => this.#connections.get(connection),
      batcher: this.#batcher,
      handshakes: this.#handshakes,
      sessions: this.#sessions,
      subscriptions: this.#subscriptions,
      counters: this.#counters,
      clock: this.#clock,
      refusals: this.#refusals,
    });
    this.#relay = new AlarmRelay(
      options.log,
      (topic, payload) => this.publish(topic, payload, { qos: 1 }),
      this.#clock,
      this.#logger,
    );
    const intake = (source?: typeof FACT_SOURCE) =>
      new OperationIntake(options.log, this.#batcher, this.#clock, this.#logger, source);
    this.#intakes = options.relaysFacts === true ? [intake(), intake(FACT_SOURCE)] : [intake()];
    this.#status = new DoorStatusPublisher(
      () => this.#statusNow(),
      (topic, payload) => this.publish(topic, payload),
      this.#clock,
    );
    this.#parts = {
      batcher: this.#batcher,
      pressure: this.#pressure,
      filters: this.#filters,
      handshakes: this.#handshakes,
      limits: this.#limits,
      clock: this.#clock,
      rates: new ClientRates(this.#limits.perClient),
      partials: new PartialPackets(this.#limits.total.partialBytesMax),
      counters: this.#counters,
      admit: (connection, request) => this.#hooks.admit(connection, request),
      serve: (stream) => this.#broker!.serve(stream),
      publish: (message, done) => this.#broker!.publish(message, done),
      closing: (connection, reason) => this.#say(connection, reason),
      closed: (connection) => this.#gone(connection),
    };
  }

  async open(listeners: ListenerOptions): Promise<void> {
    this.#broker = await startBroker(this.#hooks, this.#filters, this.#limits, this.#logger);
    try {
      this.#listeners = await openListeners(listeners, this.#limits, this.#gate, (arrival) => this.#arrive(arrival));
    } catch (error) {
      await this.#broker.close();
      throw error;
    }
    this.addresses = this.#listeners.addresses;
    this.#every(SWEEP_MS, 0, () => this.#sweep());
    this.#every(Math.max(1, this.#tickMs / 4), 1, () => this.#batcher.tick(this.#clock.nowMs()));
    this.#status.start();
    await this.#relay.start();
    for (const intake of this.#intakes) await intake.start();
  }

  /** The connections that there are files for. */
  #connectionsMax({ openFilesMax }: DoorOptions): number {
    const wanted = this.#limits.connectionsMax;
    if (openFilesMax === undefined || openFilesMax >= wanted + OTHER_FILES) return wanted;
    const possible = Math.max(1, openFilesMax - OTHER_FILES);
    // A few fewer are not worth a line at every start; `sluice doctor` tells of them.
    if (possible >= 0.9 * wanted) return possible;
    this.#logger.warn('fewer connections can be taken than mqtt.connectionsMax says', {
      possible,
      connectionsMax: wanted,
      openFilesMax,
      remedy: `raise \`ulimit -n\` to ${wanted + OTHER_FILES}, or lower mqtt.connectionsMax`,
    });
    return possible;
  }

  #statusNow() {
    const stats = this.stats();
    return {
      'clients/connected': stats.connections,
      'messages/received': stats.messagesReceived,
      'messages/acknowledged': stats.messagesAcknowledged,
      'bytes/received': stats.bytesReceived,
      'connections/refused': stats.connectionsRefused,
      'packets/refused': stats.packetsRefused,
    };
  }

  renewTls(keys: TlsKeys): void {
    this.#listeners?.renew(keys);
  }

  stats(): DoorCounters {
    let connections = 0;
    for (const connection of this.#connections.keys()) if (connection.ready) connections++;
    return {
      listening: this.#listeners !== null && this.#closing === null,
      connections,
      messagesReceived: this.#batcher.messagesReceived,
      messagesAcknowledged: this.#batcher.messagesAcknowledged,
      bytesReceived: this.#counters.bytesReceived,
      messagesInFlight: this.#batcher.messagesInFlight,
      socketsPaused: this.#pressure.waiting,
      connectionsRefused: this.#counters.connectionsRefused + this.#gate.refused,
      packetsRefused: this.#counters.packetsRefused,
      connectionsMax: this.#limits.connectionsMax,
      bytesInFlight: this.#pressure.bytes,
      bytesInFlightMax: this.#pressure.bytesMax,
      messagesFailed: this.#batcher.messagesFailed,
      ackSeconds: this.#batcher.ackSeconds.snapshot(),
      ...this.#refusals.counts(),
      held: {
        ...this.#broker?.held(),
        sessions: this.#sessions.count,
        subscriptions: this.#subscriptions.total,
        handshakes: this.#handshakes.open,
      },
    };
  }

  publish(
    topic: string,
    payload: Uint8Array | string,
    options: { qos?: 0 | 1 | 2; retain?: boolean } = {},
  ): Promise<void> {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    const message = { topic, payload: bytes, qos: options.qos ?? 0, retain: options.retain ?? false };
    return new Promise((resolve, reject) => {
      this.#broker!.publish(message, (error) => (error ? reject(error) : resolve()));
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#listeners?.close();
    this.#status.close();
    for (const timer of this.#timers) timer.cancel();
    for (const connection of this.#connections.keys()) connection.stopReading();
    const deadline = this.#clock.after(this.#limits.drainMsMax, () => {
      this.#batcher.abort(
        new SluiceError('LOG_UNAVAILABLE', `the log did not take its last frames within ${this.#limits.drainMsMax} ms`),
      );
    });
    for (const intake of this.#intakes) await intake.close();
    await this.#batcher.drain();
    await this.#relay.close();
    await this.#broker!.close();
    await this.#batcher.drain(); // wills on telemetry topics
    deadline.cancel();
    await this.#farewell();
  }

  /** Waits until the last bytes of all connections are sent, but not for ever. */
  async #farewell(): Promise<void> {
    for (const connection of this.#connections.keys()) connection.close('the door closes');
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#allClosed = resolve;
      this.#clock.after(FAREWELL_MS, resolve);
    });
    for (const connection of this.#connections.keys()) connection.destroy();
  }

  #arrive(arrival: Arrival): void {
    const connection = new Connection(arrival.wire, arrival.remote, this.#parts);
    this.#connections.set(connection, arrival);
  }

  #gone(connection: Connection): void {
    if (!this.#connections.delete(connection)) return;
    this.#hooks.gone(connection);
    if (this.#connections.size === 0) this.#allClosed?.();
  }

  #say(connection: Connection, reason: string): void {
    this.#refusals.say('connection closed', { remote: connection.remote, client: connection.clientId, reason });
  }

  #sweep(): void {
    const nowMs = this.#clock.nowMs();
    for (const connection of this.#connections.keys()) connection.sweep(nowMs);
    this.#gate.sweep();
    for (const clientId of this.#hooks.expireSessions(nowMs)) void this.#broker?.forgetSession(clientId);
  }

  #every(periodMs: number, slot: number, run: () => void): void {
    this.#timers[slot] = this.#clock.after(periodMs, () => {
      run();
      if (this.#closing === null) this.#every(periodMs, slot, run);
    });
  }
}

import type { Clock } from '../model/clock.ts';
import { addressKey } from './address-key.ts';
import type { DoorLimits } from './limits.ts';
import type { RefusalLog } from './refusal-log.ts';
import { TokenBucket } from './token-bucket.ts';

/** An address and what it has going on. */
interface Source {
  key: string;
  connections: number;
  unintroduced: number;
  connects: TokenBucket;
  authFailures: number;
  authFailedMs: number;
  blockedUntilMs: number;
}

/** A socket that was let in. */
export interface Visit {
  readonly address: string;
  readonly openedMs: number;
  /** Its CONNECT has come. */
  introduced: boolean;
  readonly source: Source;
  readonly socket: GateSocket;
}

/** What the gate needs of a socket. */
export interface GateSocket {
  readonly bytesRead: number;
  destroy(): void;
}

/** When the caps of unintroduced connections are reached, one that has been silent for this long makes room for a new one. */
const SILENCE_MS = 1000;
/** A failed password is forgotten after this time without another. */
const FORGIVE_MS = 10 * 60_000;
const BACKOFF_MS = 1000;
/** Addresses that are remembered although nothing is connected from them. */
const SOURCES_MAX = 100_000;
/** What a handshake and headers take on top of a CONNECT. */
const HANDSHAKE_BYTES_MAX = 64 * 1024;

/**
 * Stands before all listeners, where a socket costs least: before TLS, HTTP and MQTT.
 *
 *     accepted ─▶ caps and rate of its address, caps in total ─▶ unintroduced ──CONNECT──▶ introduced ──▶ left
 *                        └── refused                                 └── too slow, too much, or old when room is short
 *
 * Half-open connections have caps of their own, so that a flood of them leaves the places of real clients alone; at those caps
 * the longest silent one has to go, since a real client introduces itself at once.
 */
export class ConnectionGate {
  connections = 0;
  refused = 0;
  readonly #limits: DoorLimits;
  readonly #connectionsMax: number;
  readonly #clock: Clock;
  readonly #refusals: RefusalLog;
  readonly #sources = new Map<string, Source>();
  /** In order of arrival. */
  readonly #unintroduced = new Set<Visit>();
  #closed = false;

  /** `connectionsMax` is what the process has file descriptors for, when that is less than the limits say. */
  constructor(limits: DoorLimits, clock: Clock, refusals: RefusalLog, connectionsMax = limits.connectionsMax) {
    this.#limits = limits;
    this.#connectionsMax = Math.min(connectionsMax, limits.connectionsMax);
    this.#clock = clock;
    this.#refusals = refusals;
  }

  get unintroduced(): number {
    return this.#unintroduced.size;
  }

  /** Lets a socket in, or answers null: then it is to be destroyed. */
  enter(address: string, socket: GateSocket): Visit | null {
    const nowMs = this.#clock.nowMs();
    const source = this.#source(address, nowMs);
    const problem = this.#problem(source, nowMs);
    if (problem !== null) {
      this.refused++;
      this.#refusals.say('connection refused', { remote: address, reason: problem });
      return null;
    }
    if (this.#limits.perAddress.connectsPerSecondMax > 0) source.connects.take(1);
    this.connections++;
    source.connections++;
    source.unintroduced++;
    const visit = { address, openedMs: nowMs, introduced: false, source, socket };
    this.#unintroduced.add(visit);
    return visit;
  }

  #problem(source: Source, nowMs: number): string | null {
    const { perAddress, total } = this.#limits;
    if (this.#closed) return 'the door closes';
    if (this.connections >= this.#connectionsMax) return `${this.connections} connections; see mqtt.connectionsMax`;
    if (source.connections >= perAddress.connectionsMax)
      return `${source.connections} connections from one address; see mqtt.perAddress.connectionsMax`;
    if (perAddress.connectsPerSecondMax > 0 && source.connects.waitMs(nowMs) > 0)
      return 'too many connects a second from one address; see mqtt.perAddress.connectsPerSecondMax';
    if (source.unintroduced >= perAddress.unintroducedMax && !this.#makeRoom(nowMs, source))
      return `${source.unintroduced} connections without CONNECT from one address; see mqtt.perAddress.unintroducedMax`;
    if (this.unintroduced >= total.unintroducedMax && !this.#makeRoom(nowMs, null))
      return `${this.unintroduced} connections without CONNECT; see mqtt.total.unintroducedMax`;
    return null;
  }

  /** Ends the oldest unintroduced connection (of one address), if it has had its time. */
  #makeRoom(nowMs: number, source: Source | null): boolean {
    for (const visit of this.#unintroduced) {
      if (nowMs - visit.openedMs < SILENCE_MS) return false;
      if (source !== null && visit.source !== source) continue;
      this.#evict(visit, 'silent while others wait for a place');
      return true;
    }
    return false;
  }

  #evict(visit: Visit, reason: string): void {
    this.refused++;
    this.#refusals.say('connection closed', { remote: visit.address, reason });
    this.introduce(visit);
    visit.socket.destroy();
  }

  /** Its CONNECT has come. */
  introduce(visit: Visit): void {
    if (visit.introduced) return;
    visit.introduced = true;
    visit.source.unintroduced--;
    this.#unintroduced.delete(visit);
  }

  /** Its socket is closed. Once for each visit. */
  leave(visit: Visit): void {
    this.introduce(visit);
    this.connections--;
    visit.source.connections--;
  }

  /** For how long passwords from this address are not looked at, ms. */
  authBlockedMs(address: string): number {
    const source = this.#sources.get(addressKey(address));
    return source === undefined ? 0 : Math.max(0, source.blockedUntilMs - this.#clock.nowMs());
  }

  /** A password from this address was wrong: beyond those that are forgiven, each doubles the wait. */
  authFailed(address: string): void {
    const { authFailuresMax, authBackoffMsMax } = this.#limits.perAddress;
    if (authFailuresMax === 0) return;
    const nowMs = this.#clock.nowMs();
    const source = this.#source(address, nowMs);
    if (nowMs - source.authFailedMs > FORGIVE_MS) source.authFailures = 0;
    source.authFailures++;
    source.authFailedMs = nowMs;
    const beyond = source.authFailures - authFailuresMax;
    if (beyond > 0)
      source.blockedUntilMs = nowMs + Math.min(authBackoffMsMax, BACKOFF_MS * 2 ** Math.min(beyond - 1, 30));
  }

  /** Ends who has not introduced itself in time, or sends too much before it does, and forgets idle addresses. Once a second. */
  sweep(): void {
    const nowMs = this.#clock.nowMs();
    // MQTT's own deadline comes first; this one is for those who never got so far.
    const lateMs = this.#limits.connectTimeoutMs + 1000;
    const bytesMax = this.#limits.connectPacketBytesMax + HANDSHAKE_BYTES_MAX;
    for (const visit of this.#unintroduced) {
      if (nowMs - visit.openedMs > lateMs) this.#evict(visit, 'no CONNECT in time');
      else if (visit.socket.bytesRead > bytesMax) this.#evict(visit, 'too many bytes before CONNECT');
    }
    if (this.#sources.size > SOURCES_MAX / 2) this.#forgetIdle(nowMs);
  }

  #source(address: string, nowMs: number): Source {
    const key = addressKey(address);
    let source = this.#sources.get(key);
    if (source === undefined) {
      const { connectsPerSecondMax, connectBurst } = this.#limits.perAddress;
      const connects = new TokenBucket(connectsPerSecondMax, connectBurst, nowMs);
      source = { key, connections: 0, unintroduced: 0, connects, authFailures: 0, authFailedMs: 0, blockedUntilMs: 0 };
      if (this.#sources.size >= SOURCES_MAX) this.#forgetOldest();
      this.#sources.set(key, source);
    }
    return source;
  }

  #forgetIdle(nowMs: number): void {
    for (const [key, source] of this.#sources) {
      const owes = source.authFailures > 0 && nowMs - source.authFailedMs < FORGIVE_MS;
      if (source.connections === 0 && !owes && source.connects.full(nowMs)) this.#sources.delete(key);
    }
  }

  /** Room for one more: the first that has nothing connected. There is one, while connections are fewer than addresses kept. */
  #forgetOldest(): void {
    for (const [key, source] of this.#sources) {
      if (source.connections > 0) continue;
      this.#sources.delete(key);
      return;
    }
  }

  /** Lets nobody in any more, and ends those that have not introduced themselves. */
  close(): void {
    this.#closed = true;
    for (const visit of [...this.#unintroduced]) {
      this.introduce(visit);
      visit.socket.destroy();
    }
  }
}

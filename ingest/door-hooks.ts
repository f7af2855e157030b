import { randomUUID } from 'node:crypto';
import type { Clock } from '../model/clock.ts';
import { isDeviceId } from '../model/device.ts';
import type { SluiceError } from '../model/errors.ts';
import { type Access, mayReceive, maySubscribe, type Principal, publishProblem, sameCredential } from './access.ts';
import { addressKey } from './address-key.ts';
import type { Batcher } from './batcher.ts';
import type { BrokerHooks, BrokerMessage } from './broker.ts';
import type { ConnectRequest } from './connect-guard.ts';
import type { Connection } from './connection.ts';
import type { ConnectionGate } from './connection-gate.ts';
import type { Welcome } from './connection-parts.ts';
import { telemetryDevice } from './device-id.ts';
import type { KeptSessions } from './kept-sessions.ts';
import type { Arrival } from './listeners.ts';
import { RETURN_CODE } from './mqtt-bytes.ts';
import type { OpenFrame } from './open-frame.ts';
import type { Qos2Handshakes } from './qos2-handshakes.ts';
import type { RefusalLog } from './refusal-log.ts';
import type { SubscriptionCounts } from './subscription-counts.ts';
import { routeOf } from './telemetry-routes.ts';

interface HookParts {
  access: Access;
  gate: ConnectionGate;
  /** Where a connection came from; undefined when it is gone. */
  arrivalOf(connection: Connection): Arrival | undefined;
  batcher: Batcher;
  handshakes: Qos2Handshakes;
  sessions: KeptSessions;
  subscriptions: SubscriptionCounts;
  counters: { connectionsRefused: number; packetsRefused: number };
  clock: Clock;
  refusals: RefusalLog;
}

/** Nobody is there any more to hear it. */
const GONE: Welcome = { granted: false, returnCode: RETURN_CODE.serverUnavailable };
const NO_WIRE = new DataView(new ArrayBuffer(0));
let cleanSessions = 0;

const KEPT = 'kept ';

/** Under which name what belongs to a persistent session is counted. */
function keptSession(clientId: string): string {
  return `${KEPT}${clientId}`;
}

/** What the door answers when the broker asks: who may come in, and when a telemetry message may be acknowledged. */
export class DoorHooks implements BrokerHooks<Connection> {
  readonly #parts: HookParts;
  /** Which connection speaks for a client id, from the moment that its credentials are found right. */
  readonly #holders = new Map<string, Connection>();

  constructor(parts: HookParts) {
    this.#parts = parts;
  }

  /** Whether a client is let in. */
  admit(connection: Connection, request: ConnectRequest): Promise<Welcome> {
    return this.#judge(connection, request).catch((error: Error) =>
      this.#deny(connection, request.clientId, RETURN_CODE.serverUnavailable, error.message),
    );
  }

  async #judge(connection: Connection, request: ConnectRequest): Promise<Welcome> {
    const { access, gate, sessions } = this.#parts;
    const { clean, username, password, willTopic } = request;
    const clientId = request.clientId === '' ? `sluice-${randomUUID()}` : request.clientId; // [MQTT-3.1.3-6]
    const arrival = this.#parts.arrivalOf(connection);
    if (arrival === undefined) return GONE;
    const { loopback, certificate, visit } = arrival;
    gate.introduce(visit);
    if (username !== undefined && gate.authBlockedMs(visit.address) > 0) {
      const reason = 'too many wrong passwords came from its address; see mqtt.perAddress.authFailuresMax';
      return this.#deny(connection, clientId, RETURN_CODE.serverUnavailable, reason);
    }
    const admission = await access.admit(
      { clientId, username, password, loopback, certificate },
      () => !connection.closed,
    );
    if (!admission.granted) {
      if (admission.returnCode === RETURN_CODE.badCredentials) gate.authFailed(visit.address);
      return this.#deny(connection, clientId, admission.returnCode, admission.reason);
    }
    const { principal } = admission;
    const problem = willTopic === null ? null : publishProblem(principal, willTopic);
    if (problem !== null) return this.#deny(connection, clientId, RETURN_CODE.notAuthorized, `will: ${problem}`);
    // From here on nothing waits, so that of two that come at the same time the second is judged by the first.
    const holder = this.#holders.get(clientId);
    if (holder !== undefined && !this.#sameCredential(holder, principal, visit.address)) {
      const reason = 'its client id is in use with another credential';
      return this.#deny(connection, clientId, RETURN_CODE.identifierRejected, reason);
    }
    const refused = this.#sessionProblem(clientId, clean, principal);
    if (refused !== null) return this.#deny(connection, clientId, refused.returnCode, refused.reason);
    if (connection.closed || this.#parts.arrivalOf(connection) === undefined) return GONE;
    // The broker has to end one that it knows, and to forget the session that a clean one replaces.
    const needsBroker = willTopic !== null || !clean || holder?.known === true || sessions.has(clientId);
    this.#holders.set(clientId, connection);
    connection.clientId = clientId;
    connection.principal = principal;
    connection.session = clean ? String(++cleanSessions) : keptSession(clientId);
    if (clean) this.#forgotten(clientId);
    sessions.begin(clientId, clean, principal.name);
    if (holder?.known === false) holder.end();
    return { granted: true, needsBroker };
  }

  #sameCredential(holder: Connection, principal: Principal, address: string): boolean {
    const held = this.#parts.arrivalOf(holder)?.visit.address ?? '';
    return sameCredential(holder.principal!, addressKey(held), principal, addressKey(address));
  }

  #sessionProblem(
    clientId: string,
    clean: boolean,
    { name }: Principal,
  ): { returnCode: number; reason: string } | null {
    switch (this.#parts.sessions.judge(clientId, clean, name)) {
      case 'granted':
        return null;
      case 'full': {
        const reason = 'there are as many persistent sessions as may be; see mqtt.total.sessionsMax';
        return { returnCode: RETURN_CODE.serverUnavailable, reason };
      }
      case 'of another':
        return { returnCode: RETURN_CODE.identifierRejected, reason: 'its session belongs to another credential' };
    }
  }

  /** A persistent session is over, for good or for a clean one. */
  #forgotten(clientId: string): void {
    const session = keptSession(clientId);
    this.#parts.handshakes.forget(session);
    this.#parts.subscriptions.forget(session);
  }

  /** There were too many open QoS 2 handshakes, and this session had the most: returns whose it is, null when it is not known any more. */
  handshakesForgotten(session: string): string | null {
    const reason = 'too many QoS 2 messages wait for their PUBREL, and it had the most; see mqtt.total.handshakesMax';
    for (const [clientId, connection] of this.#holders) {
      if (connection.session !== session) continue;
      connection.close(reason);
      return clientId;
    }
    if (!session.startsWith(KEPT)) return null;
    const clientId = session.slice(KEPT.length);
    this.notKept('QoS 2 handshakes of a session forgotten', clientId, reason);
    return clientId;
  }

  /** Ends the persistent sessions whose clients have been away for too long, and names them for the broker. */
  expireSessions(nowMs: number): string[] {
    const expired = this.#parts.sessions.expire(nowMs);
    for (const clientId of expired) this.#forgotten(clientId);
    return expired;
  }

  /** The connection is closed: its client id is free again, unless it was taken over. */
  gone(connection: Connection): void {
    if (connection.principal === null) return;
    const { clientId } = connection;
    const { handshakes, sessions, subscriptions, clock } = this.#parts;
    if (connection.session !== keptSession(clientId)) {
      handshakes.forget(connection.session);
      subscriptions.forget(connection.session);
    }
    if (this.#holders.get(clientId) !== connection) return;
    this.#holders.delete(clientId);
    sessions.left(clientId, clock.nowMs());
  }

  #deny(connection: Connection, client: string, returnCode: number, reason: string) {
    this.#parts.counters.connectionsRefused++;
    connection.reason = reason;
    this.#parts.refusals.say('client refused', { remote: connection.remote, client, returnCode, reason });
    return { granted: false as const, returnCode };
  }

  ready(connection: Connection): void {
    connection.accepted();
  }

  /** The broker ended the connection by itself, which is told unless the reason was known here first. */
  failed(connection: Connection, clientId: string, reason: string): void {
    if (connection.reason !== null) return;
    connection.reason = reason;
    this.#parts.refusals.say('connection closed', { remote: connection.remote, client: clientId, reason });
  }

  /**
   * Runs for every message that goes the broker's way, wills included. One on a telemetry topic is let through when it is
   * durable, so that the broker's PUBACK or PUBREC means the same as the lane's.
   */
  authorizePublish(
    connection: Connection | null,
    message: BrokerMessage,
    packetId: number | undefined,
    done: (error: Error | null) => void,
  ): void {
    const problem = connection === null ? null : publishProblem(connection.principal!, message.topic);
    if (problem !== null) {
      this.#parts.counters.packetsRefused++;
      connection?.close(problem);
      done(new Error(problem));
      return;
    }
    const device = telemetryDevice(message.topic);
    const handshake = message.qos === 2 && packetId !== undefined && connection !== null;
    if (device === null || !isDeviceId(device)) {
      if (handshake) this.#note(connection, packetId);
      done(null);
      return;
    }
    const settled = (error: SluiceError | null): void => {
      if (error !== null) connection?.appendFailed(error);
      done(error);
    };
    if (handshake) this.#appendOnce(connection, device, message, packetId, settled);
    else this.#append(device, message).whenSettled(settled);
  }

  published(connection: Connection, message: BrokerMessage): void {
    if (message.qos > 0 || telemetryDevice(message.topic) !== null) connection.slowTelemetryDone();
  }

  maySubscribe(connection: Connection, filter: string): boolean {
    if (connection.principal === null || !maySubscribe(connection.principal, filter)) return false;
    if (this.#parts.subscriptions.grant(connection.session, filter)) return true;
    const reason =
      'as many subscriptions as may be; see mqtt.perClient.subscriptionsMax and mqtt.total.subscriptionsMax';
    this.notKept('subscription refused', connection.clientId, reason);
    return false;
  }

  unsubscribed(connection: Connection, filters: readonly string[]): void {
    // A client that has gone has not unsubscribed from its persistent session.
    if (connection.ready) for (const filter of filters) this.#parts.subscriptions.release(connection.session, filter);
  }

  notKept(what: string, client: string, reason: string): void {
    this.#parts.refusals.say(what, { client, reason });
  }

  mayReceive(connection: Connection, topic: string): boolean {
    return connection.principal !== null && mayReceive(connection.principal, topic);
  }

  /** A QoS 2 message that is for subscribers alone waits for its PUBREL. */
  #note({ session }: Connection, packetId: number): void {
    const handshakes = this.#parts.handshakes.of(session);
    if (handshakes.frameOf(packetId) === undefined) handshakes.begin(packetId, null, true);
  }

  /** Appends a QoS 2 message unless its handshake is open already: then it waits for the append that began it. */
  #appendOnce(
    connection: Connection,
    device: string,
    message: BrokerMessage,
    packetId: number,
    settled: (error: SluiceError | null) => void,
  ): void {
    const handshakes = this.#parts.handshakes.of(connection.session);
    const begun = handshakes.frameOf(packetId);
    if (begun !== undefined) {
      // The broker looks for a duplicate as soon as it may, so the first one is given the time to be remembered there.
      const answer = (error: SluiceError | null): void => void setImmediate(() => settled(error));
      if (begun === null) answer(null);
      else begun.whenSettled(answer);
      return;
    }
    const frame = this.#append(device, message);
    handshakes.begin(packetId, frame, true);
    frame.whenSettled((error) => {
      if (error === null) handshakes.durable(packetId, frame);
      else handshakes.failed(frame);
      settled(error);
    });
  }

  #append(device: string, { topic, payload }: BrokerMessage): OpenFrame {
    const { batcher, clock } = this.#parts;
    const route = routeOf(device, topic, batcher.partitions, NO_WIRE);
    return batcher.add(route.partition, clock.nowMs(), route.identity, payload, 0, payload.length);
  }
}

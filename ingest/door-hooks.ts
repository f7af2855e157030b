import type { Clock } from '../model/clock.ts';
import type { SluiceError } from '../model/errors.ts';
import { type Access, mayReceive, maySubscribe, publishProblem } from './access.ts';
import type { Batcher } from './batcher.ts';
import type { BrokerClient, BrokerHooks, BrokerMessage } from './broker.ts';
import type { Connection } from './connection.ts';
import { isDeviceId, telemetryDevice } from './device-id.ts';
import { RETURN_CODE } from './mqtt-bytes.ts';
import type { Qos2Handshakes } from './qos2-handshakes.ts';
import type { RefusalLog } from './refusal-log.ts';
import { routeOf } from './telemetry-routes.ts';

interface HookParts {
  access: Access;
  batcher: Batcher;
  handshakes: Qos2Handshakes;
  counters: { connectionsRefused: number; packetsRefused: number };
  clock: Clock;
  refusals: RefusalLog;
}

const NO_WIRE = new Uint8Array(0);
let sessions = 0;

/** What the door answers when the broker asks: who may come in, and when a telemetry message may be acknowledged. */
export class DoorHooks implements BrokerHooks<Connection> {
  readonly #parts: HookParts;

  constructor(parts: HookParts) {
    this.#parts = parts;
  }

  async authenticate(
    connection: Connection,
    client: BrokerClient,
    username: string | undefined,
    password: Buffer | undefined,
  ): Promise<{ granted: true } | { granted: false; returnCode: number; reason: string }> {
    const { access, handshakes } = this.#parts;
    const { loopback, willTopic } = connection;
    const clientId = client.id;
    const admission = await access.admit({ clientId, username, password, loopback });
    if (!admission.granted) return this.#deny(connection, clientId, admission.returnCode, admission.reason);
    const problem = willTopic === null ? null : publishProblem(admission.principal, willTopic);
    if (problem !== null) return this.#deny(connection, clientId, RETURN_CODE.notAuthorized, `will: ${problem}`);
    connection.principal = admission.principal;
    connection.session = client.clean ? `clean ${++sessions}` : `kept ${clientId}`;
    if (client.clean) handshakes.forget(`kept ${clientId}`);
    return { granted: true };
  }

  #deny(connection: Connection, client: string, returnCode: number, reason: string) {
    this.#parts.counters.connectionsRefused++;
    connection.reason = reason;
    this.#parts.refusals.say('client refused', { remote: connection.remote, client, returnCode, reason });
    return { granted: false as const, returnCode, reason };
  }

  ready(connection: Connection, client: BrokerClient): void {
    connection.accepted(client.id, client.clean);
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
    if (device === null || !isDeviceId(device)) {
      done(null);
      return;
    }
    const settled = (error: SluiceError | null): void => {
      if (error !== null) connection?.appendFailed(error);
      done(error);
    };
    if (message.qos === 2 && packetId !== undefined && connection !== null)
      this.#appendOnce(connection, device, message, packetId, settled);
    else this.#append(device, message, settled);
  }

  published(connection: Connection, message: BrokerMessage): void {
    if (telemetryDevice(message.topic) !== null) connection.slowTelemetryDone();
  }

  maySubscribe(connection: Connection, filter: string): boolean {
    return connection.principal !== null && maySubscribe(connection.principal, filter);
  }

  mayReceive(connection: Connection, topic: string): boolean {
    return connection.principal !== null && mayReceive(connection.principal, topic);
  }

  /** Appends a QoS 2 message unless its handshake is open already: then it waits for the append that began it. */
  #appendOnce(
    connection: Connection,
    device: string,
    message: BrokerMessage,
    packetId: number,
    settled: (error: SluiceError | null) => void,
  ): void {
    const { handshakes } = this.#parts;
    const begun = handshakes.find(connection.session, packetId);
    if (begun !== undefined) {
      // The broker looks for a duplicate as soon as it may, so the first one is given the time to be remembered there.
      const answer = (error: SluiceError | null): void => {
        setImmediate(() => {
          settled(error);
          connection.slowTelemetryDone(); // the broker does not publish it again
        });
      };
      begun.then(() => answer(null), answer);
      return;
    }
    const appended = new Promise<void>((resolve, reject) => {
      this.#append(device, message, (error) => (error === null ? resolve() : reject(error)));
    });
    handshakes.begin(connection.session, packetId, appended);
    appended.then(() => settled(null), settled);
  }

  #append(device: string, { topic, payload }: BrokerMessage, settled: (error: SluiceError | null) => void): void {
    const { batcher, clock } = this.#parts;
    const route = routeOf(device, topic, batcher.partitions, NO_WIRE);
    batcher.add(route.partition, clock.nowMs(), route.identity, payload, 0, payload.length).whenSettled(settled);
  }
}

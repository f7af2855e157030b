import type { Clock } from '../model/clock.ts';
import type { BrokerStream } from './broker-stream.ts';
import type { ClientRates } from './client-rates.ts';
import type { ConnectRequest } from './connect-guard.ts';
import type { Connection } from './connection.ts';
import type { LaneParts } from './express-lane.ts';
import type { PartialPackets } from './partial-packets.ts';

/** What a connection needs of the door. */
export interface ConnectionParts extends LaneParts {
  clock: Clock;
  rates: ClientRates;
  partials: PartialPackets;
  counters: { bytesReceived: number; packetsRefused: number };
  /** Decides whether a client is let in, and sets who it is: `clientId`, `principal`, `session`. Does not reject. */
  admit(connection: Connection, request: ConnectRequest): Promise<Welcome>;
  /** The broker is to get to know the client: its CONNECT comes over the stream. */
  serve(stream: BrokerStream<Connection>): void;
  /** The connection ends for a reason that an operator may want to know. */
  closing(connection: Connection, reason: string): void;
  closed(connection: Connection): void;
}

/** How a client's CONNECT is answered. */
export type Welcome = { granted: true; needsBroker: boolean } | { granted: false; returnCode: number };

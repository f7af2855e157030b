import type { Writable } from 'node:stream';
import {
  decodeProduced,
  encodeProduce,
  PRODUCE_KEY,
  PRODUCE_VERSION,
  type ProducedPartition,
  type ProduceRequest,
} from './kafka-produce.ts';

/** What is used here of a broker of kafkajs (2.2.4): its first connection, and what the broker told of the versions it takes. */
export interface ProducingBroker {
  versions: Record<number, { minVersion: number; maxVersion: number } | undefined> | null;
  connectionPool: { getConnection(index: number): Promise<ProducingConnection> };
  disconnect(): Promise<void>;
}

interface ProducingConnection {
  clientId: string;
  sasl: unknown;
  socket: Writable;
  requestQueue: {
    push(request: {
      entry: {
        apiKey: number;
        apiName: string;
        apiVersion: number;
        correlationId: number;
        resolve: (answer: { payload: Buffer }) => void;
        reject: (error: Error) => void;
      };
      expectResponse: boolean;
      requestTimeout: number | null;
      sendRequest: () => void;
    }): void;
    maybeThrottle(throttleMs: number): void;
  };
  isAuthenticated(): boolean;
  nextCorrelationId(): number;
}

/**
 * Sends a Produce request over kafkajs's connection, through its queue (so with its correlation, time-outs and throttling), but
 * encoded here (kafka-produce.ts) and written to the socket in pieces, which one system call takes. Null when kafkajs has to send it: the broker
 * is too old for this version, or wants to be authenticated with again.
 */
export async function sendProduce(
  broker: ProducingBroker,
  request: ProduceRequest,
): Promise<ProducedPartition[] | null> {
  const versions = broker.versions?.[PRODUCE_KEY];
  if (versions === undefined || versions.minVersion > PRODUCE_VERSION || versions.maxVersion < PRODUCE_VERSION)
    return null;
  const connection = await broker.connectionPool.getConnection(0);
  if (connection.sasl && !connection.isAuthenticated()) return null;
  const correlationId = connection.nextCorrelationId();
  const pieces = encodeProduce(request, correlationId, connection.clientId, Date.now());
  try {
    const { payload } = await new Promise<{ payload: Buffer }>((resolve, reject) => {
      connection.requestQueue.push({
        entry: { apiKey: PRODUCE_KEY, apiName: 'Produce', apiVersion: PRODUCE_VERSION, correlationId, resolve, reject },
        expectResponse: true,
        requestTimeout: null,
        sendRequest: () => writeAll(connection.socket, pieces),
      });
    });
    const { partitions, throttleMs } = decodeProduced(payload);
    connection.requestQueue.maybeThrottle(throttleMs);
    return partitions;
  } catch (error) {
    if ((error as Error).name === 'KafkaJSConnectionClosedError') await broker.disconnect();
    throw error;
  }
}

function writeAll(socket: Writable, pieces: readonly Uint8Array[]): void {
  socket.cork();
  for (const piece of pieces) socket.write(piece);
  socket.uncork();
}

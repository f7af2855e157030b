import { createRequire } from 'node:module';
import {
  type Admin,
  AssignerProtocol,
  type Cluster,
  type ConfigResourceTypes,
  Kafka,
  logLevel,
  type SASLOptions,
} from 'kafkajs';
import { SluiceError } from '../model/errors.ts';
import type { ProducedPartition, ProduceRequest } from './kafka-produce.ts';
import { type ProducingBroker, sendProduce } from './kafka-send.ts';

/** The only file that imports kafkajs (2.2.4). */
export type { Admin } from 'kafkajs';

/** kafkajs does not export what makes an error of the number in an answer. */
const { createErrorFromCode } = createRequire(import.meta.url)('kafkajs/src/protocol/error.js') as {
  createErrorFromCode(code: number): Error;
};

/** A topic, among the things that have a configuration; kafkajs exports the enumeration in a way that ES modules do not see. */
export const TOPIC_RESOURCE = 2 as ConfigResourceTypes;

export interface KafkaClientOptions {
  brokers: readonly string[];
  clientId: string;
  sasl?: { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: string } | null;
  /** Encrypts; `ca` is the PEM of the authority that signed the brokers' certificates, null for those that Node trusts. */
  tls?: { ca: string | null } | null;
}

export interface KafkaClient {
  admin(): Admin;
  connection(): KafkaConnection;
}

export function kafkaClient(options: KafkaClientOptions): KafkaClient {
  const kafka = new Kafka({
    brokers: [...options.brokers],
    clientId: options.clientId,
    ssl: options.tls ? (options.tls.ca === null ? true : { ca: options.tls.ca }) : false,
    sasl: (options.sasl ?? undefined) as SASLOptions | undefined,
    connectionTimeout: 5000,
    requestTimeout: 30_000,
    // What fails is told by the log itself, once and in its own words.
    logLevel: logLevel.NOTHING,
  });
  return {
    admin: () => kafka.admin({ retry: { retries: 4, initialRetryTime: 100, maxRetryTime: 1000 } }),
    connection: () => new KafkaConnection(kafka),
  };
}

/** A record as kafkajs decodes it. */
export interface KafkaRecord {
  offset: string;
  timestamp: string;
  key: Buffer | null;
  value: Buffer | null;
  headers?: Record<string, unknown>;
  isControlRecord?: boolean;
  batchContext?: { producerId: string; inTransaction: boolean };
}

export interface FetchedPartition {
  partition: number;
  highWatermark: string;
  lastStableOffset?: string;
  abortedTransactions?: { producerId: string; firstOffset: string }[] | null;
  messages: KafkaRecord[];
}

export interface GroupMemberInfo {
  memberId: string;
  memberMetadata: Buffer;
}

/** The requests of kafkajs's broker that are used here; its own type leaves some of them out. */
export interface KafkaBroker {
  fetch(request: {
    maxWaitTime: number;
    minBytes: number;
    maxBytes: number;
    isolationLevel: number;
    topics: { topic: string; partitions: { partition: number; fetchOffset: string; maxBytes: number }[] }[];
  }): Promise<{ responses: { topicName: string; partitions: FetchedPartition[] }[] }>;
  initProducerId(request: { transactionTimeout: number }): Promise<{ producerId: string; producerEpoch: number }>;
  produce(
    request: ProduceRequest,
  ): Promise<{ topics: { topicName: string; partitions: { partition: number; baseOffset: string }[] }[] }>;
  joinGroup(request: {
    groupId: string;
    sessionTimeout: number;
    rebalanceTimeout: number;
    memberId: string;
    groupProtocols: { name: string; metadata: Buffer }[];
  }): Promise<{ generationId: number; leaderId: string; memberId: string; members: GroupMemberInfo[] }>;
  syncGroup(request: {
    groupId: string;
    generationId: number;
    memberId: string;
    groupAssignment: { memberId: string; memberAssignment: Buffer }[];
  }): Promise<{ memberAssignment: Buffer }>;
  heartbeat(request: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>;
  leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>;
  offsetCommit(request: {
    groupId: string;
    groupGenerationId: number;
    memberId: string;
    topics: { topic: string; partitions: { partition: number; offset: string; metadata?: string | null }[] }[];
  }): Promise<unknown>;
  offsetFetch(request: {
    groupId: string;
    topics: { topic: string; partitions: { partition: number }[] }[];
  }): Promise<{ responses: { topic: string; partitions: { partition: number; offset: string }[] }[] }>;
}

/** Timestamps that ListOffsets understands as places. */
export const EARLIEST = -2;
export const LATEST = -1;

/**
 * Connections of their own to the brokers of a cluster, and plain requests over them. kafkajs offers requests of this kind
 * only to partition assigners, to which it hands its cluster; a consumer that never joins a group is made for that, so
 * that reading needs no group and group membership can follow the promises of log.ts (log/kafka-group.ts) instead of those
 * of kafkajs's own consumer, which gives the partitions of a broker in lockstep and cannot wait for a revocation.
 */
export class KafkaConnection {
  readonly #cluster: Cluster;
  readonly #disconnect: () => Promise<void>;
  #connected = false;
  #closed = false;

  constructor(kafka: Kafka) {
    let cluster: Cluster | undefined;
    const consumer = kafka.consumer({
      groupId: 'unused',
      allowAutoTopicCreation: false,
      retry: { retries: 0 },
      partitionAssigners: [
        (config) => {
          cluster = config.cluster;
          return {
            name: 'unused',
            version: 0,
            assign: async () => [],
            protocol: () => ({ name: 'unused', metadata: Buffer.alloc(0) }),
          };
        },
      ],
    });
    if (cluster === undefined) throw new SluiceError('LOG_UNAVAILABLE', 'kafkajs gave no cluster to its assigner');
    this.#cluster = cluster;
    this.#disconnect = () => consumer.disconnect();
  }

  /** Partitions of a topic by the id of the broker that leads them. */
  async leaders(topic: string): Promise<Map<number, number[]>> {
    await this.#connect();
    await this.#cluster.addTargetTopic(topic);
    const leaders = new Map<number, number[]>();
    for (const { partitionId, leader } of this.#cluster.findTopicPartitionMetadata(topic)) {
      leaders.set(leader, [...(leaders.get(leader) ?? []), partitionId]);
    }
    return leaders;
  }

  async broker(nodeId: number): Promise<KafkaBroker> {
    await this.#connect();
    return (await this.#cluster.findBroker({ nodeId: String(nodeId) })) as unknown as KafkaBroker;
  }

  /**
   * Appends with what the request says; the first offset of each partition. Rejects with Kafka's own error when it did not take
   * the batch of one of them, which does not say anything about the others.
   */
  async produce(nodeId: number, request: ProduceRequest): Promise<ProducedPartition[]> {
    const broker = await this.broker(nodeId);
    const produced = await sendProduce(broker as unknown as ProducingBroker, request);
    if (produced !== null) {
      const refused = produced.find(({ errorCode }) => errorCode !== 0);
      if (refused !== undefined) throw createErrorFromCode(refused.errorCode);
      return produced;
    }
    const { topics } = await broker.produce(request);
    return topics.flatMap(({ topicName, partitions }) =>
      partitions.map(({ partition, baseOffset }) => ({
        topic: topicName,
        partition,
        errorCode: 0,
        baseOffset: Number(baseOffset),
      })),
    );
  }

  /** Any broker. */
  async anyBroker(): Promise<KafkaBroker> {
    await this.#connect();
    return (await this.#cluster.findControllerBroker()) as unknown as KafkaBroker;
  }

  async coordinator(groupId: string): Promise<KafkaBroker> {
    await this.#connect();
    return (await this.#cluster.findGroupCoordinator({ groupId })) as unknown as KafkaBroker;
  }

  /** Offset of the first record at or after a time, or of EARLIEST or LATEST; −1 when there is none. */
  async offsetOf(topic: string, partition: number, timestamp: number): Promise<number> {
    await this.leaders(topic);
    const [answer] = await this.#cluster.fetchTopicsOffset([
      { topic, partitions: [{ partition }], fromTimestamp: timestamp },
    ]);
    return Number(answer.partitions[0].offset);
  }

  /** Forgets what may be stale after a failure, and connects again. */
  async recover(error: unknown): Promise<void> {
    if (this.#closed) return;
    const { host, port } = error as { host?: string; port?: number };
    if (host !== undefined && port !== undefined) this.#cluster.removeBroker({ host, port });
    try {
      await this.#cluster.connect();
      await this.#cluster.refreshMetadata();
    } catch {
      // The caller's next try tells.
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#disconnect().catch(() => undefined);
  }

  async #connect(): Promise<void> {
    if (this.#closed) throw new SluiceError('LOG_CLOSED', 'the log is closed');
    if (this.#connected) return;
    await this.#cluster.connect();
    await this.#cluster.refreshMetadata();
    this.#connected = true;
  }
}

/** Name of Kafka's error (`REBALANCE_IN_PROGRESS`), or of kafkajs's; both are stable. */
export function errorType(error: unknown): string {
  const { type, name } = error as { type?: string; name?: string };
  return type ?? name ?? 'unknown';
}

/**
 * Tries until it works, with growing pauses, for as long as the failure is one that passes: a broker that is away, a leader
 * that moved. Rejects with LOG_UNAVAILABLE after `triesMax`, at once with what is no use to try again, and when aborted.
 */
export async function persistently<T>(
  connection: KafkaConnection,
  what: string,
  run: () => Promise<T>,
  { triesMax = 10, signal }: { triesMax?: number; signal?: AbortSignal } = {},
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await run();
    } catch (error) {
      if (error instanceof SluiceError || signal?.aborted) throw error;
      if (!passes(error) || tries >= triesMax) throw unavailable(what, error);
      await pause(Math.min(1000, 50 * 2 ** tries), signal);
      await connection.recover(error);
    }
  }
}

const FINAL_NAMES = ['KafkaJSSASLAuthenticationError', 'KafkaJSNotImplemented', 'TypeError', 'RangeError'];

/**
 * Whether the same may work later. Kafka's own errors say so; of kafkajs's, its mark `retriable` is of no use (a broker that
 * is down makes it "not retriable" by the way through which it was found), so all but a few count as passing.
 */
export function passes(error: unknown): boolean {
  const { name, retriable, cause } = error as { name?: string; retriable?: boolean; cause?: unknown };
  if (cause instanceof Error) return passes(cause);
  if (name === 'KafkaJSProtocolError') return retriable !== false;
  return !FINAL_NAMES.includes(name ?? '');
}

export function unavailable(what: string, error: unknown): SluiceError {
  return new SluiceError('LOG_UNAVAILABLE', `Kafka: ${what} failed: ${String((error as Error).message ?? error)}`, {
    values: { type: errorType(error) },
    cause: error,
    remedy: 'check that the Kafka brokers are reachable and that their logs are clean',
  });
}

export function pause(delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal?.addEventListener('abort', done);
  });
}

export const { MemberMetadata, MemberAssignment } = AssignerProtocol;

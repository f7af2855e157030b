import { errorType, type KafkaClientOptions, kafkaClient, pause, TOPIC_RESOURCE, unavailable } from './kafka-client.ts';

export interface KafkaTopicFacts {
  topic: string;
  /** 0 when there is no such topic. */
  partitions: number;
  partitionsWithoutLeader: number;
  /** Partitions with fewer replicas in sync than it has. */
  partitionsUnderReplicated: number;
  replicationFactor: number;
  /** The topic's configuration, as far as it was asked for. */
  config: Record<string, string>;
  /** Frames from the group's committed offset to the end; null where it was not asked for, or nobody could tell. */
  behind: number | null;
}

export interface KafkaFacts {
  brokers: number;
  topics: KafkaTopicFacts[];
}

const CONFIG_NAMES = [
  'min.insync.replicas',
  'retention.ms',
  'retention.bytes',
  'max.message.bytes',
  'cleanup.policy',
  'unclean.leader.election.enable',
];

/** Looks at a cluster and the named topics, and changes nothing. Rejects with LOG_UNAVAILABLE when no broker answers. */
export async function inspectKafka(
  options: KafkaClientOptions,
  topics: readonly string[],
  group: { id: string; topic: string },
): Promise<KafkaFacts> {
  const admin = kafkaClient(options).admin();
  try {
    await admin.connect();
    const { brokers } = await admin.describeCluster();
    const found: KafkaTopicFacts[] = [];
    for (const topic of topics) found.push(await inspectTopic(admin, topic, group));
    return { brokers: brokers.length, topics: found };
  } catch (error) {
    throw unavailable(`asking ${options.brokers.join(', ')}`, error);
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

async function inspectTopic(
  admin: ReturnType<ReturnType<typeof kafkaClient>['admin']>,
  topic: string,
  group: { id: string; topic: string },
): Promise<KafkaTopicFacts> {
  const none = { topic, partitions: 0, partitionsWithoutLeader: 0, partitionsUnderReplicated: 0 };
  let partitions: Awaited<ReturnType<typeof admin.fetchTopicMetadata>>['topics'][0]['partitions'];
  try {
    const metadata = await admin.fetchTopicMetadata({ topics: [topic] });
    partitions = metadata.topics[0]?.partitions ?? [];
  } catch (error) {
    if (!/UNKNOWN_TOPIC/.test(errorType(error))) throw error;
    return { ...none, replicationFactor: 0, config: {}, behind: null };
  }
  const described = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: TOPIC_RESOURCE, name: topic, configNames: CONFIG_NAMES }],
  });
  const entries = described.resources[0]?.configEntries ?? [];
  return {
    topic,
    partitions: partitions.length,
    partitionsWithoutLeader: partitions.filter((p) => p.leader < 0).length,
    partitionsUnderReplicated: partitions.filter((p) => p.isr.length < p.replicas.length).length,
    replicationFactor: Math.min(...partitions.map((p) => p.replicas.length)),
    config: Object.fromEntries(entries.map((e) => [e.configName, e.configValue])),
    behind: topic === group.topic ? await framesBehind(admin, topic, group.id) : null,
  };
}

async function framesBehind(
  admin: ReturnType<ReturnType<typeof kafkaClient>['admin']>,
  topic: string,
  groupId: string,
): Promise<number | null> {
  const ends = await admin.fetchTopicOffsets(topic);
  const committed = await committedBy(admin, topic, groupId);
  if (committed === null) return null;
  let behind = 0;
  for (const { partition, offset, low } of ends) {
    const at = Number(committed.get(partition) ?? -1);
    behind += Math.max(0, Number(offset) - Math.max(at, Number(low)));
  }
  return behind;
}

/** The coordinator of a group is not to be had for a moment, when the cluster has just begun or has moved it. */
const COORDINATOR_TRIES = 15;

/** Null when no broker says that the group is its own. */
async function committedBy(
  admin: ReturnType<ReturnType<typeof kafkaClient>['admin']>,
  topic: string,
  groupId: string,
): Promise<Map<number, string> | null> {
  for (let tries = 1; ; tries++) {
    try {
      const [found] = await admin.fetchOffsets({ groupId, topics: [topic] });
      return new Map(found?.partitions.map(({ partition, offset }) => [partition, offset]));
    } catch (error) {
      if (!/COORDINATOR/.test(errorType(error))) throw error;
      if (tries === COORDINATOR_TRIES) return null;
      await pause(200);
    }
  }
}

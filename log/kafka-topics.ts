import { SluiceError } from '../model/errors.ts';
import { type Admin, errorType, pause, unavailable } from './kafka-client.ts';

export interface TopicSettings {
  partitions: number;
  replicationFactor: number | null;
  /** Kafka's topic configuration. */
  config: Readonly<Record<string, string>>;
}

/**
 * Makes sure that a topic is there with the wanted number of partitions. Safe from several processes at once. An existing topic
 * keeps its own configuration: it belongs to whoever runs the cluster.
 */
export async function ensureTopic(admin: Admin, topic: string, settings: TopicSettings): Promise<void> {
  try {
    let partitions = await partitionCount(admin, topic);
    if (partitions === null) {
      await create(admin, topic, settings);
      for (let tries = 0; partitions === null && tries < 50; tries++) {
        partitions = await partitionCount(admin, topic);
        if (partitions === null) await pause(100);
      }
    }
    if (partitions !== null && partitions !== settings.partitions) {
      throw new SluiceError(
        'LOG_LAYOUT',
        `the Kafka topic ${topic} has ${partitions} partitions, not ${settings.partitions}`,
        {
          values: { topic, partitionsStored: partitions, partitionsWanted: settings.partitions },
          remedy: `set log.partitions to ${partitions}, or use another log.kafka.topicPrefix`,
        },
      );
    }
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw unavailable(`creating the topic ${topic}`, error);
  }
}

/** Null when the topic does not exist, or has partitions without a leader yet. */
async function partitionCount(admin: Admin, topic: string): Promise<number | null> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    const partitions = topics[0]?.partitions ?? [];
    return partitions.length === 0 || partitions.some((p) => p.leader < 0) ? null : partitions.length;
  } catch (error) {
    if (['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE'].includes(errorType(error))) return null;
    throw error;
  }
}

async function create(admin: Admin, topic: string, settings: TopicSettings): Promise<void> {
  // Answers false when somebody else was faster.
  await admin.createTopics({
    waitForLeaders: false,
    topics: [
      {
        topic,
        numPartitions: settings.partitions,
        replicationFactor: settings.replicationFactor ?? -1,
        configEntries: Object.entries(settings.config).map(([name, value]) => ({ name, value })),
      },
    ],
  });
}

import { setTimeout as sleep } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';

/** The topic that a chain of peers ends in. */
export interface KafkaTopic {
  /** Records that the topic holds. Offsets of a topic without transactions count its records, so nothing has to be read. */
  records(): Promise<number>;
  close(): Promise<void>;
}

/** Makes the topic on an empty broker, with as many partitions as Sluice's own has by default. */
export async function makeTopic(address: string, topic: string): Promise<KafkaTopic> {
  const admin = new Kafka({ brokers: [address], clientId: 'bench', logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: PARTITIONS }] });
  const records = async () => {
    const offsets = await admin.fetchTopicOffsets(topic);
    return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
  };
  // A broker that has just made partitions may not lead them yet.
  for (let tries = 1; ; tries++) {
    try {
      await records();
      return { records, close: () => admin.disconnect() };
    } catch (error) {
      if (tries === TRIES) throw error;
      await sleep(PAUSE_MS);
    }
  }
}

const PARTITIONS = 8;
const TRIES = 50;
const PAUSE_MS = 200;

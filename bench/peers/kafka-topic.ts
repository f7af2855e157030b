import { setTimeout as sleep } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { type KafkaConnection, type KafkaRecord, kafkaClient } from '../../log/kafka-client.ts';
import type { ContentTally } from '../content.ts';
import { PARTITIONS } from './log-contents.ts';
import type { Contents } from './peer.ts';

/** The topic that a chain of peers ends in. */
export interface KafkaTopic {
  /** Records that the topic holds. Offsets of a topic without transactions count its records, so nothing has to be read. */
  records(): Promise<number>;
  /** Reads back what it holds; `take` puts a record into the tally. */
  contents(take: (record: KafkaRecord, tally: ContentTally) => void): Contents;
  close(): Promise<void>;
}

/** Makes the topic on an empty broker, with as many partitions as Sluice's own has by default. */
export async function makeTopic(address: string, topic: string): Promise<KafkaTopic> {
  const admin = new Kafka({ brokers: [address], clientId: 'bench', logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: PARTITIONS }] });
  const connection = kafkaClient({ brokers: [address], clientId: 'bench-contents' }).connection();
  const records = async () => {
    const offsets = await admin.fetchTopicOffsets(topic);
    return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
  };
  const ends = async () =>
    new Map((await admin.fetchTopicOffsets(topic)).map(({ partition, high }) => [partition, Number(high)]));
  const contents = (take: (record: KafkaRecord, tally: ContentTally) => void): Contents => {
    let from = new Map<number, number>();
    return {
      begin: async () => {
        from = await ends();
      },
      async readInto(tally) {
        for (const [partition, end] of await ends())
          await readRecords(connection, { topic, partition, from: from.get(partition) ?? 0, end }, (record) =>
            take(record, tally),
          );
      },
    };
  };
  const close = async () => {
    await connection.close();
    await admin.disconnect();
  };
  // A broker that has just made partitions may not lead them yet.
  for (let tries = 1; ; tries++) {
    try {
      await records();
      return { records, contents, close };
    } catch (error) {
      if (tries === TRIES) throw error;
      await sleep(PAUSE_MS);
    }
  }
}

const TRIES = 50;
const PAUSE_MS = 200;
const FETCH_BYTES = 4 * 2 ** 20;

interface Span {
  topic: string;
  partition: number;
  from: number;
  end: number;
}

/** The records of a partition from one offset to before another, in order. */
async function readRecords(
  connection: KafkaConnection,
  { topic, partition, from, end }: Span,
  take: (record: KafkaRecord) => void,
): Promise<void> {
  if (from >= end) return;
  const leaders = await connection.leaders(topic);
  const [node] = [...leaders].find(([, partitions]) => partitions.includes(partition))!;
  const broker = await connection.broker(node);
  for (let at = from; at < end; ) {
    const { responses } = await broker.fetch({
      ...{ maxWaitTime: 100, minBytes: 1, maxBytes: FETCH_BYTES, isolationLevel: 0 },
      topics: [{ topic, partitions: [{ partition, fetchOffset: String(at), maxBytes: FETCH_BYTES }] }],
    });
    for (const record of responses[0].partitions[0].messages) {
      const offset = Number(record.offset);
      // A batch is fetched whole, also when the wanted offset lies inside it.
      if (offset < at || offset >= end) continue;
      if (record.isControlRecord !== true) take(record);
      at = offset + 1;
    }
  }
}

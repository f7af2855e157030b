import { SluiceError } from '../model/errors.ts';
import { EARLIEST, type KafkaConnection, persistently } from './kafka-client.ts';
import { Fetcher } from './kafka-fetch.ts';
import { GroupMember } from './kafka-group.ts';
import type { ConsumeOptions, LogConsumer } from './log.ts';

export interface ConsumerParts {
  connection: KafkaConnection;
  /** Name in Kafka. */
  topic: string;
  partitions: number;
  options: ConsumeOptions;
  onWarning: (message: string, values: Record<string, unknown>) => void;
  onClosed: () => void;
}

/** Joins a membership (who works at which partition) with a fetcher (which reads them). */
export function openConsumer(parts: ConsumerParts): LogConsumer {
  const { connection, topic, options, onWarning } = parts;
  const { group } = options;
  /** Partitions of this generation, each with its assignment under way or done. */
  const assigned = new Map<number, Promise<void>>();

  const fetcher = new Fetcher(connection, {
    topic,
    bytesMax: options.bytesMax,
    onFrames: (partition, frames) => options.onBatch(partition, frames),
    onWarning,
    onError: (error) => fail(error),
    who: `group ${group}`,
  });

  const assign = async (partition: number): Promise<void> => {
    const wanted = await options.onAssign(partition);
    const offset = wanted ?? (await startOf(connection, group, topic, partition));
    if (assigned.has(partition) && !ended) fetcher.add(partition, offset);
  };

  const member = new GroupMember(connection, {
    group,
    topic,
    partitions: parts.partitions,
    onAssigned: (partitions) => {
      for (const partition of partitions) {
        assigned.set(
          partition,
          assign(partition).catch((error: unknown) => fail(error)),
        );
      }
    },
    onRevoked: async () => {
      const revoked = [...assigned];
      assigned.clear();
      for (const [partition] of revoked) fetcher.remove(partition);
      await Promise.allSettled(
        revoked.map(async ([partition, ready]) => {
          await ready;
          await options.onRevoke(partition);
        }),
      );
    },
    onError: (error) => fail(error),
    onWarning,
  });

  let ended = false;
  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    ended = true;
    await member.close();
    await fetcher.close();
    await connection.close();
    parts.onClosed();
  };
  const consumer: LogConsumer = {
    commit: (partition, offsetNext) => member.commit(partition, offsetNext),
    close: () => {
      closing ??= close();
      return closing;
    },
  };
  const fail = (error: unknown): void => {
    if (ended) return;
    ended = true;
    options.onError(error instanceof Error ? error : new SluiceError('LOG_UNAVAILABLE', String(error)));
    void consumer.close();
  };
  member.start();
  return consumer;
}

/** The group's committed offset, or the first that is held. */
function startOf(connection: KafkaConnection, group: string, topic: string, partition: number): Promise<number> {
  return persistently(connection, `finding the start of ${topic}/${partition} for group ${group}`, async () => {
    const coordinator = await connection.coordinator(group);
    const { responses } = await coordinator.offsetFetch({
      groupId: group,
      topics: [{ topic, partitions: [{ partition }] }],
    });
    const committed = Number(responses[0]?.partitions[0]?.offset ?? -1);
    return committed >= 0 ? committed : connection.offsetOf(topic, partition, EARLIEST);
  });
}

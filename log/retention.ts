import { OPERATIONS, STATS } from '../model/topics.ts';

/** How long and how much of a topic is kept; null is without that limit. */
export interface Retention {
  ageMs: number | null;
  /** Of the whole topic; each partition gets its share. */
  bytesMax: number | null;
  /**
   * Frames that this consumer group has not committed are kept whatever their age and size: the log fills up and holds its
   * producers instead. LMDB only; a Kafka cluster deletes by its own rules.
   */
  heldFor?: string;
}

const OF_ONE_PARTITION: ReadonlySet<string> = new Set([OPERATIONS, ...Object.values(STATS)]);

/** Operations and stats have one partition, all other topics the configured number. */
export function partitionsOf(topic: string, partitions: number): number {
  return OF_ONE_PARTITION.has(topic) ? 1 : partitions;
}

import { STATS } from '../model/topics.ts';

/** How long and how much of a topic is kept; null is without that limit. */
export interface Retention {
  ageMs: number | null;
  /** Of the whole topic; each partition gets its share. */
  bytesMax: number | null;
}

const STATS_TOPICS: ReadonlySet<string> = new Set(Object.values(STATS));

/** Topics of stats have one partition, all others the configured number. */
export function partitionsOf(topic: string, partitions: number): number {
  return STATS_TOPICS.has(topic) ? 1 : partitions;
}

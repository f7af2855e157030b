/**
 * Partition of a device: murmur2(device id) mod partition count, as Kafka's default partitioner does with key = device id,
 * so that other Kafka producers that key by device id land in the same partition.
 */

const SEED = 0x9747b28c | 0;
const M = 0x5bd1e995 | 0;

/** Kafka's murmur2 over `bytes` (org.apache.kafka.common.utils.Utils#murmur2). Returns a signed 32-bit integer. */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length;
  let h = SEED ^ length;
  const tail = length & ~3;
  for (let i = 0; i < tail; i += 4) {
    let k = bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
    k = Math.imul(k, M);
    k ^= k >>> 24;
    k = Math.imul(k, M);
    h = Math.imul(h, M) ^ k;
  }
  const rest = length & 3;
  if (rest === 3) h ^= bytes[tail + 2] << 16;
  if (rest >= 2) h ^= bytes[tail + 1] << 8;
  if (rest >= 1) h = Math.imul(h ^ bytes[tail], M);
  h ^= h >>> 13;
  h = Math.imul(h, M);
  h ^= h >>> 15;
  return h | 0;
}

const encoder = new TextEncoder();

/** The partition (0 … partitions − 1) of a device. */
export function partitionOf(device: string, partitions: number): number {
  return (murmur2(encoder.encode(device)) & 0x7fffffff) % partitions;
}

import { join } from 'node:path';
import { decodeMultiple } from 'cbor-x';
import { openKafkaLog } from '../../log/kafka.ts';
import { openLmdbLog } from '../../log/lmdb.ts';
import type { Log, LogFrame } from '../../log/log.ts';
import { ALARMS, TELEMETRY } from '../../model/topics.ts';

/** One message as it is on the log. */
export interface LogMessage {
  partition: number;
  offset: number;
  index: number;
  receivedMs: number;
  device: string;
  payload: string;
}

/** The log of a running program, read from outside; frames are taken apart by a CBOR library of others. */
export interface LogContents {
  readonly partitions: number;
  /** Where each partition ends now. */
  ends(topic: typeof TELEMETRY | typeof ALARMS): Promise<number[]>;
  /** Frames of TELEMETRY from these offsets on, each with its messages without ticks. */
  telemetry(from: readonly number[]): Promise<LogMessage[][]>;
  /** CloudEvent ids on ALARMS from these offsets on, by partition, in their order. */
  alarmIds(from: readonly number[]): Promise<string[][]>;
  /** Frames of any topic from an offset on, as they are. */
  frames(topic: string, partition: number, from: number): Promise<LogFrame[]>;
  close(): Promise<void>;
}

export const PARTITIONS = 4;
const MAP_BYTES = 16 * 2 ** 30;

export async function openLogContents(where: { dataDir: string } | { brokers: string }): Promise<LogContents> {
  const onWarning = (): void => {};
  const log: Log =
    'dataDir' in where
      ? await openLmdbLog({
          dir: join(where.dataDir, 'log'),
          partitions: PARTITIONS,
          writes: [],
          retention: {},
          mapBytesMax: MAP_BYTES,
          onWarning,
        })
      : await openKafkaLog({
          brokers: [where.brokers],
          clientId: 'torture',
          topicPrefix: 'sluice.',
          partitions: PARTITIONS,
          onWarning,
        });
  const all = <T>(run: (partition: number) => Promise<T>): Promise<T[]> =>
    Promise.all(Array.from({ length: PARTITIONS }, (_, partition) => run(partition)));
  const ends = (topic: string): Promise<number[]> => all(async (p) => (await log.bounds(topic, p)).next);

  return {
    partitions: PARTITIONS,
    ends,
    async telemetry(from) {
      const parts = await all((p) => framesOf(log, TELEMETRY, p, from[p]));
      return parts.flat().map(({ partition, offset, bytes }) =>
        messagesOf(bytes).flatMap(([receivedMs, device, , payload], index) => {
          if (device === '') return [];
          const text = Buffer.from(payload).toString('utf8');
          return [{ partition, offset, index, receivedMs: Number(receivedMs), device, payload: text }];
        }),
      );
    },
    alarmIds: (from) =>
      all(async (p) =>
        (await framesOf(log, ALARMS, p, from[p])).flatMap(({ bytes }) =>
          messagesOf(bytes).map(([, , , payload]) => JSON.parse(Buffer.from(payload).toString('utf8')).id as string),
        ),
      ),
    frames: (topic, partition, from) => framesOf(log, topic, partition, from),
    close: () => log.close(),
  };
}

async function framesOf(log: Log, topic: string, partition: number, from: number): Promise<LogFrame[]> {
  const { first, next } = await log.bounds(topic, partition);
  const out: LogFrame[] = [];
  for (let offset = Math.max(first, from); offset < next; ) {
    const frames = await log.read(topic, partition, offset, 8 << 20);
    if (frames.length === 0) break;
    out.push(...frames);
    offset = frames[frames.length - 1].offset + 1;
  }
  return out;
}

type Item = [received: number | bigint, device: string, topic: string, payload: Uint8Array];

function messagesOf(frame: Uint8Array): Item[] {
  const items: Item[] = [];
  decodeMultiple(frame, (item) => {
    items.push(item as Item);
  });
  return items;
}

import { openKafkaLog } from '../../log/kafka.ts';
import { openLmdbLog } from '../../log/lmdb.ts';
import type { Log } from '../../log/log.ts';
import { FrameReader } from '../../model/frame.ts';
import { TELEMETRY } from '../../model/topics.ts';
import type { ContentTally } from '../content.ts';
import type { Contents } from './peer.ts';

/** As the program has them by default. */
export const PARTITIONS = 8;
const TOPIC_PREFIX = 'sluice.';
const MAP_BYTES_MAX = 16 * 2 ** 30;
const READ_BYTES = 4 * 2 ** 20;

/** The log of a running door, to be read beside it: on Kafka at `address`, else the embedded one in `dir`. */
export function openLogToRead(dir: string, address: string | null): Promise<Log> {
  if (address === null) return openLmdbLog({ dir, partitions: PARTITIONS, writes: [], mapBytesMax: MAP_BYTES_MAX });
  const topicPrefix = TOPIC_PREFIX;
  return openKafkaLog({ brokers: [address], clientId: 'bench-contents', topicPrefix, partitions: PARTITIONS });
}

/** What a door has put on its log: frames are read back as the processors would. */
export function logContents(log: Log): Contents {
  let from: number[] = [];
  return {
    async begin() {
      from = await Promise.all(
        Array.from({ length: PARTITIONS }, async (_, p) => (await log.bounds(TELEMETRY, p)).next),
      );
    },
    async readInto(tally) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        let at = from[partition];
        for (let frames = await log.read(TELEMETRY, partition, at, READ_BYTES); frames.length > 0; ) {
          for (const { bytes } of frames) addFrame(bytes, tally);
          at = frames[frames.length - 1].offset + 1;
          frames = await log.read(TELEMETRY, partition, at, READ_BYTES);
        }
      }
    },
  };
}

/** The door's own messages, such as ticks, have no device and a topic that begins with it. */
const OWN = '$'.charCodeAt(0);

function addFrame(bytes: Uint8Array, tally: ContentTally): void {
  const reader = new FrameReader();
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  reader.reset(bytes);
  while (reader.next()) {
    const { deviceStart, deviceEnd, topicStart, payloadStart, payloadEnd } = reader;
    if (deviceStart === deviceEnd && bytes[topicStart] === OWN) continue;
    tally.addPayload(buffer.toString('latin1', deviceStart, deviceEnd), bytes, payloadStart, payloadEnd);
  }
}

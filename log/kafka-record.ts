import { encodeMessage } from '../model/frame.ts';
import { telemetryTopic } from '../model/topics.ts';
import type { FetchedPartition, KafkaRecord } from './kafka-client.ts';
import type { LogFrame } from './log.ts';

/** Header of a record whose value is a frame. A record without it is a plain one of another producer. */
export const FRAME_HEADER = 'sluice-frame';

/** Device of plain records that name none, and the MQTT topics that then tell why. */
export const UNKNOWN_DEVICE = 'unknown';
export const NO_KEY_TOPIC = 'kafka/record-without-key';
export const BAD_KEY_TOPIC = 'kafka/record-with-unusable-key';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What a fetch brought of one partition: the frames from `from` on, and the offset to go on at. */
export function framesOf(fetched: FetchedPartition, from: number): { frames: LogFrame[]; next: number } {
  const frames: LogFrame[] = [];
  let next = from;
  for (const record of committed(fetched)) {
    const offset = Number(record.offset);
    // A batch is fetched whole, also when the wanted offset lies inside it.
    if (offset < from) continue;
    frames.push({
      partition: fetched.partition,
      offset,
      appendedMs: Number(record.timestamp),
      bytes: frameBytes(record),
    });
  }
  const last = fetched.messages.at(-1);
  if (last !== undefined) next = Math.max(next, Number(last.offset) + 1);
  return { frames, next };
}

/** Without control records, and without what belongs to transactions of other producers that were aborted. */
function committed(fetched: FetchedPartition): KafkaRecord[] {
  const aborted = [...(fetched.abortedTransactions ?? [])].sort(
    (a, b) => Number(a.firstOffset) - Number(b.firstOffset),
  );
  const aborting = new Set<string>();
  return fetched.messages.filter((record) => {
    while (aborted.length > 0 && Number(aborted[0].firstOffset) <= Number(record.offset)) {
      aborting.add(aborted.shift()!.producerId);
    }
    const producer = record.batchContext?.producerId ?? '';
    if (record.isControlRecord) {
      aborting.delete(producer);
      return false;
    }
    return !(record.batchContext?.inTransaction && aborting.has(producer));
  });
}

/** In an ArrayBuffer of its own: kafkajs's values are views of one response, which frames of other partitions share. */
function frameBytes(record: KafkaRecord): Uint8Array {
  const value = record.value ?? new Uint8Array(0);
  if (record.headers?.[FRAME_HEADER] !== undefined) return new Uint8Array(value);
  const receivedMs = Math.max(0, Number(record.timestamp));
  const key = record.key;
  if (key === null || key.length === 0) return encodeMessage(receivedMs, UNKNOWN_DEVICE, NO_KEY_TOPIC, value);
  const device = deviceOf(key);
  if (device === null) return encodeMessage(receivedMs, UNKNOWN_DEVICE, BAD_KEY_TOPIC, value);
  return encodeMessage(receivedMs, device, telemetryTopic(device), value);
}

/** A device id is one level of an MQTT topic: UTF-8 without `/`, `+`, `#` and U+0000. */
function deviceOf(key: Uint8Array): string | null {
  let text: string;
  try {
    text = utf8.decode(key);
  } catch {
    return null;
  }
  return key.length > 1024 || /[/+#\0]/.test(text) ? null : text;
}

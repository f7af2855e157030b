import { FACT_TOPIC } from '../model/fact.ts';
import { type FrameReader, TICK_TOPIC } from '../model/frame.ts';
import { LEDGER_TOPIC } from '../model/ledger.ts';
import { OPERATION_TOPIC } from '../model/operation.ts';

const TOPICS = [
  { kind: 'tick', topic: Buffer.from(TICK_TOPIC) },
  { kind: 'claim', topic: Buffer.from(LEDGER_TOPIC) },
  { kind: 'operation', topic: Buffer.from(OPERATION_TOPIC) },
  { kind: 'fact', topic: Buffer.from(FACT_TOPIC) },
] as const;
export type OwnKind = (typeof TOPICS)[number]['kind'];

/** What a message without a device is, by its topic: one of the door's own, or null. */
export function ownKindOf(reader: FrameReader): OwnKind | null {
  for (const { kind, topic } of TOPICS) if (hasTopic(reader, topic)) return kind;
  return null;
}

function hasTopic(reader: FrameReader, topic: Uint8Array): boolean {
  if (reader.topicEnd - reader.topicStart !== topic.length) return false;
  for (let i = 0; i < topic.length; i++) if (reader.bytes[reader.topicStart + i] !== topic[i]) return false;
  return true;
}

import { groupingOf } from '../../model/group-result.ts';
import type { WindowSpec } from '../../model/window.ts';
import type { GroupWindows } from '../alarms/condition.ts';
import { StateReader, StateWriter } from '../state-bytes.ts';

/**
 * What partitions tell those who merge their groups, on the topic PARTIALS. Either a *partial*: all that one partition has of a group's
 * window, again when it has changed; or a *mark*: the partition has told of all its windows that begin up to there.
 *
 *     varint kind, text window, varint definition, varint source partition, offset, ordinal
 *     mark:      varint start
 *     partial:   text group, text metric, varint start, varint revision, part state
 *
 * Offset and ordinal are those of the frame of telemetry that it came of. A replay tells the same again, with the same place.
 */
export interface GroupMessage {
  window: string;
  /** Two definitions of a window are not merged (`definitionHash`). */
  definition: number;
  partition: number;
  offset: number;
  ordinal: number;
  startMs: number;
  /** Null: a mark. */
  partial: { group: string; metric: string; revision: number; state: Uint8Array } | null;
}

/** The windows of one group meet in one partition of PARTIALS; a mark goes to all of them. */
export interface OutgoingPartial {
  /** Null for all partitions. */
  group: string | null;
  bytes: Uint8Array<ArrayBuffer>;
}

export function encodePartial(
  message: Omit<GroupMessage, 'partial'>,
  partial: GroupPartial | null,
): Uint8Array<ArrayBuffer> {
  const out = new StateWriter(256);
  out.varint(partial === null ? 0 : 1);
  out.text(message.window);
  out.varint(message.definition);
  out.varint(message.partition);
  out.varint(message.offset);
  out.varint(message.ordinal);
  out.varint(message.startMs);
  if (partial !== null) {
    out.text(partial.group);
    out.text(partial.metric);
    out.varint(partial.revision);
    out.part(partial.state);
  }
  return out.finish();
}

export interface GroupPartial {
  group: string;
  metric: string;
  revision: number;
  state: StateWriter;
}

/** Throws CHECKPOINT_UNREADABLE for bytes that are none. */
export function decodePartial(bytes: Uint8Array): GroupMessage {
  const from = new StateReader(bytes);
  const kind = from.below(2, 'a kind');
  const [window, definition, partition] = [from.text(), from.varint(), from.varint()];
  const [offset, ordinal, startMs] = [from.varint(), from.varint(), from.varint()];
  const base = { window, definition, partition, offset, ordinal, startMs };
  if (kind === 0) return { ...base, partial: null };
  const [group, metric, revision] = [from.text(), from.text(), from.varint()];
  return { ...base, partial: { group, metric, revision, state: from.bytes() } };
}

/** FNV-1a, 32 bits, of all that a window's state depends on. */
export function definitionHash({ name, seriesMax, readingsMax, ...definition }: WindowSpec): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(JSON.stringify(definition))) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** The windows of groups, by name, for rules that look at their results. */
export function groupWindows(specs: readonly WindowSpec[]): GroupWindows {
  const groups = specs.filter(({ by }) => by.kind !== 'device');
  return new Map(
    groups.map((spec) => [spec.name, { grouping: groupingOf(spec.by), definition: definitionHash(spec) }]),
  );
}

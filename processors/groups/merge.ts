import { type GroupResult, groupingOf } from '../../model/group-result.ts';
import type { WindowSpec } from '../../model/window.ts';
import { StateReader, StateWriter } from '../state-bytes.ts';
import { type AggregateSet, aggregateSet } from '../windows/aggregates/aggregate-set.ts';
import { type GroupSpec, isGroupSpec } from './group-window.ts';
import { definitionHash, type GroupMessage } from './partial.ts';

/** Where results go, with the definition of their window. */
export type EmitGroup = (rollup: GroupRollup, definition: number) => void;
export type GroupRollup = GroupResult['rollup'];

/** A group's window, with what each partition has told of it. */
interface Entry {
  startMs: number;
  group: string;
  metric: string;
  revision: number;
  dirty: boolean;
  /** By source partition: the newest state that it has told. */
  states: (Uint8Array | null)[];
}

interface MergedWindow {
  spec: GroupSpec;
  definition: number;
  set: AggregateSet;
  column: Float64Array;
  /** By source partition: how far it is. */
  marks: number[];
  /** The least of the marks: windows up to there are final. */
  finalMs: number;
  entries: Map<string, Entry>;
}

/**
 * Merges what the partitions have told of the windows of groups, for one partition of PARTIALS. A window is final when every partition
 * has passed it; its states are merged in the order of the partitions' numbers, so that sums are rounded the same way each time. What is told
 * of a final window later corrects it, once for each frame. What it gives is a function of the frames of PARTIALS.
 */
export class GroupMerge {
  readonly #partitions: number;
  readonly #windows = new Map<string, MergedWindow>();
  /** By source partition: offset and ordinal of the newest message of it. Up to there a replay has told it before. */
  readonly #last: { offset: number; ordinal: number }[];

  /** `partitions`: how many tell, which is how many partitions TELEMETRY has. */
  constructor(specs: readonly WindowSpec[], partitions: number) {
    this.#partitions = partitions;
    this.#last = Array.from({ length: partitions }, () => ({ offset: -1, ordinal: -1 }));
    for (const spec of specs) {
      if (!isGroupSpec(spec)) continue;
      const set = aggregateSet(spec.aggregates);
      this.#windows.set(spec.name, {
        spec,
        definition: definitionHash(spec),
        set,
        column: new Float64Array(set.width * 2),
        marks: Array.from({ length: partitions }, () => -1),
        finalMs: -1,
        entries: new Map(),
      });
    }
  }

  take(message: GroupMessage, emit: EmitGroup): void {
    const { partition, offset, ordinal, startMs, partial } = message;
    if (partition >= this.#partitions) return;
    const last = this.#last[partition];
    if (offset < last.offset || (offset === last.offset && ordinal <= last.ordinal)) return;
    this.#last[partition] = { offset, ordinal };
    const window = this.#windows.get(message.window);
    if (window === undefined || window.definition !== message.definition) return;
    if (partial === null) this.#mark(window, partition, startMs, emit);
    else {
      const entry = this.#entry(window, startMs, partial.group, partial.metric);
      entry.states[partition] = partial.state;
      entry.dirty = true;
    }
  }

  #entry({ entries }: MergedWindow, startMs: number, group: string, metric: string): Entry {
    const key = JSON.stringify([startMs, group, metric]);
    let entry = entries.get(key);
    if (entry === undefined) {
      entry = { startMs, group, metric, revision: 0, dirty: false, states: new Array(this.#partitions).fill(null) };
      entries.set(key, entry);
    }
    return entry;
  }

  #mark(window: MergedWindow, partition: number, startMs: number, emit: EmitGroup): void {
    window.marks[partition] = Math.max(window.marks[partition], startMs);
    const finalMs = Math.min(...window.marks);
    if (finalMs <= window.finalMs) return;
    const before = window.finalMs;
    window.finalMs = finalMs;
    for (const entry of inOrder(window)) {
      if (entry.startMs > before && entry.startMs <= finalMs) this.#emit(window, entry, emit);
    }
  }

  /** The frame of PARTIALS has ended: corrections of what is final, and what takes no more is let go of. */
  endFrame(emit: EmitGroup): void {
    for (const window of this.#windows.values()) {
      for (const entry of inOrder(window)) {
        if (entry.dirty && entry.startMs <= window.finalMs) this.#emit(window, entry, emit);
      }
      for (const [key, { startMs }] of window.entries) {
        if (startMs + window.spec.allowedLatenessMs <= window.finalMs) window.entries.delete(key);
      }
    }
  }

  #emit(window: MergedWindow, entry: Entry, emit: EmitGroup): void {
    const { spec, set, column } = window;
    set.begin(column, 0);
    for (const state of entry.states) {
      if (state === null) continue;
      set.restore(column, set.width, new StateReader(state));
      set.join(column, 0, column, set.width);
      set.release(column, set.width);
    }
    entry.dirty = false;
    entry.revision++;
    const result = set.result(column, 0);
    set.release(column, 0);
    const rollup: GroupRollup = {
      window: spec.name,
      device: entry.group,
      grouping: groupingOf(spec.by),
      metric: entry.metric,
      startMs: entry.startMs,
      endMs: entry.startMs + spec.sizeMs,
      ...result,
      label: '',
      revision: entry.revision,
      phase: entry.revision === 1 ? 'final' : 'corrected',
    };
    emit(rollup, window.definition);
  }

  save(): Uint8Array<ArrayBuffer> {
    const out = new StateWriter();
    out.varint(this.#partitions);
    for (const { offset, ordinal } of this.#last) {
      out.varint(offset + 1);
      out.varint(ordinal + 1);
    }
    out.varint(this.#windows.size);
    for (const [name, window] of this.#windows) {
      out.text(name);
      out.varint(window.definition);
      const part = new StateWriter(1024);
      for (const mark of window.marks) part.varint(mark + 1);
      part.varint(window.finalMs + 1);
      part.varint(window.entries.size);
      for (const entry of window.entries.values()) saveEntry(entry, part);
      out.part(part);
    }
    return out.finish();
  }

  /** Into one that has taken nothing. Throws CHECKPOINT_UNREADABLE. */
  restore(bytes: Uint8Array): void {
    const from = new StateReader(bytes);
    if (from.varint() !== this.#partitions) from.unreadable('it is of another number of partitions');
    for (let p = 0; p < this.#partitions; p++) {
      this.#last[p] = { offset: from.varint() - 1, ordinal: from.varint() - 1 };
    }
    for (let windows = from.count(); windows > 0; windows--) {
      const window = this.#windows.get(from.text());
      const definition = from.varint();
      const part = from.part();
      if (window === undefined || window.definition !== definition) continue;
      for (let p = 0; p < this.#partitions; p++) window.marks[p] = part.varint() - 1;
      window.finalMs = part.varint() - 1;
      for (let left = part.count(); left > 0; left--) this.#restoreEntry(window, part);
      part.end();
    }
    from.end();
  }

  #restoreEntry(window: MergedWindow, from: StateReader): void {
    const entry = this.#entry(window, from.varint(), from.text(), from.text());
    entry.revision = from.varint();
    entry.dirty = from.below(2, 'a mark') === 1;
    for (let left = from.count(); left > 0; left--) {
      const partition = from.below(this.#partitions, 'a partition');
      entry.states[partition] = from.bytes().slice();
    }
  }
}

function saveEntry(entry: Entry, out: StateWriter): void {
  out.varint(entry.startMs);
  out.text(entry.group);
  out.text(entry.metric);
  out.varint(entry.revision);
  out.varint(entry.dirty ? 1 : 0);
  out.varint(entry.states.filter((state) => state !== null).length);
  for (const [partition, state] of entry.states.entries()) {
    if (state === null) continue;
    out.varint(partition);
    out.bytes(state);
  }
}

function inOrder({ entries }: MergedWindow): Entry[] {
  return [...entries.values()].sort(
    (a, b) => a.startMs - b.startMs || compare(a.group, b.group) || compare(a.metric, b.metric),
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

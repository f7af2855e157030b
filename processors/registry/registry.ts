import type { DeviceEntry, DeviceFields, DeviceRow, DeviceSource } from '../../model/device.ts';
import { DEVICE_SOURCES } from '../../model/device.ts';
import type { DeviceOperation } from '../../model/operation.ts';
import { withRoom } from '../columns.ts';
import type { Devices } from '../devices.ts';
import { ChangedBlocks, type WriteItem } from '../state-blocks.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';

/** The newest that was said of a device; a removal stays, so that an older operation that comes again is known as old. */
interface Said {
  version: number;
  changedMs: number;
  source: DeviceSource;
  /** Null after a removal. */
  entry: DeviceEntry | null;
}

/**
 * The devices of one partition: what people said of them (operations on the log, between the readings), and when each was first
 * heard of. An operation holds from its place on the log on. Rows of what changed within a frame are given at its end.
 *
 *     nobody said anything   ──message──▶  seen: a row with source `seen`
 *     an entry               ──message──▶  the row again, with its first_seen
 *     removed                ──message──▶  seen, as if it were new
 */
export class Registry {
  /** Counts the changes of entries since this object was made: whoever keeps what follows from entries can tell whether it still holds. */
  version = 0;
  readonly #partition: number;
  readonly #names: Devices;
  readonly #said = new Map<number, Said>();
  /** By device; NEVER for one that was not heard of since it is known. */
  #firstSeenMs = new Float64Array(256).fill(NEVER);
  readonly #listeners: ((device: number) => void)[] = [];
  /** Devices whose row has to be given, in the order in which they changed. */
  readonly #changed = new Set<number>();
  /** Since the last checkpoint. */
  readonly #unsaved = new ChangedBlocks();

  constructor(partition: number, names: Devices) {
    this.#partition = partition;
    this.#names = names;
  }

  /** What was said of a device; null when nobody said anything, or it was removed. */
  entry(device: number): DeviceEntry | null {
    return this.#said.get(device)?.entry ?? null;
  }

  /** Devices that have an entry. */
  *entries(): Generator<[device: number, entry: DeviceEntry]> {
    for (const [device, { entry }] of this.#said) if (entry !== null) yield [device, entry];
  }

  /** Devices that must be known: those with an entry, and those whose removal may still be told of again. */
  *needed(sinceMs: number): Generator<number> {
    for (const [device, { entry, changedMs }] of this.#said) if (entry !== null || changedMs > sinceMs) yield device;
  }

  /** `listener` is told of each device whose entry came, changed or went, at its place on the log; not of what a checkpoint holds. */
  onChange(listener: (device: number) => void): void {
    this.#listeners.push(listener);
  }

  /** A message of a device was received. */
  heard(device: number, receivedMs: number): void {
    if (device < this.#firstSeenMs.length && this.#firstSeenMs[device] !== NEVER) return;
    this.#unsaved.mark(device);
    this.#firstSeenMs = withRoom(this.#firstSeenMs, device, NEVER);
    this.#firstSeenMs[device] = receivedMs;
    this.#changed.add(device);
  }

  /** An operation from the log. False: it changes nothing, since it was had before, or builds on another version. */
  apply(operation: DeviceOperation): boolean {
    const device = this.#names.add(operation.device);
    const known = this.#said.get(device)?.version ?? 0;
    if (operation.version <= known) return false;
    if (operation.expects !== null && operation.expects !== known) return false;
    this.#say(device, operation);
    this.#changed.add(device);
    for (const listener of this.#listeners) listener(device);
    return true;
  }

  #say(device: number, operation: DeviceOperation): void {
    const { version, source, atMs } = operation;
    const entry = operation.entry === null ? null : { ...operation.entry, source, version };
    this.#unsaved.mark(device);
    this.#said.set(device, { version, changedMs: atMs, source, entry });
    if (entry === null && device < this.#firstSeenMs.length) this.#firstSeenMs[device] = NEVER;
    this.version++;
  }

  /** What is known of devices from elsewhere, into a registry that is empty: rows of the table, and operations of before (lost-state.ts). */
  recover(rows: readonly DeviceRow[], operations: readonly DeviceOperation[]): void {
    for (const { id, source, version, firstSeenMs, changedMs, removed, ...fields } of rows) {
      const device = this.#names.add(id);
      if (firstSeenMs !== null) {
        this.#firstSeenMs = withRoom(this.#firstSeenMs, device, NEVER);
        this.#firstSeenMs[device] = firstSeenMs;
      }
      if (version === 0) continue;
      const { name, site, model, tags, thresholds } = fields;
      const isGone = removed || source === 'seen';
      const entry = isGone ? null : { id, name, site, model, tags, thresholds, source, version };
      this.#said.set(device, { version, changedMs, source: isGone ? 'http' : source, entry });
    }
    for (const operation of operations) {
      const device = this.#names.add(operation.device);
      if (operation.version > (this.#said.get(device)?.version ?? 0)) this.#say(device, operation);
    }
  }

  /** The frame has ended: gives the rows of the devices that changed in it. */
  endFrame(offset: number, emit: (row: DeviceRow) => void): void {
    if (this.#changed.size === 0) return;
    for (const device of this.#changed) emit(this.#row(device, offset));
    this.#changed.clear();
  }

  #row(device: number, offset: number): DeviceRow {
    const said = this.#said.get(device);
    const heardMs = this.#heardMs(device);
    const firstSeenMs = heardMs === NEVER ? null : heardMs;
    const version = said?.version ?? 0;
    const fields: DeviceFields = said?.entry ?? { ...NOTHING_SAID, id: this.#names.name(device) };
    const removed = firstSeenMs === null && said !== undefined && said.entry === null;
    const source = said === undefined || (said.entry === null && !removed) ? 'seen' : said.source;
    return {
      ...fields,
      source,
      version,
      firstSeenMs,
      changedMs: source === 'seen' ? (firstSeenMs ?? 0) : (said?.changedMs ?? 0),
      removed,
      revision: version * 2 + (firstSeenMs === null ? 0 : 1),
      partition: this.#partition,
      offset,
    };
  }

  #heardMs(device: number): number {
    return device < this.#firstSeenMs.length ? this.#firstSeenMs[device] : NEVER;
  }

  /** At the end of a frame: for each device when it was first seen + 1, and what was said of it. */
  save(out: StateWriter): void {
    const write: WriteItem = (device, to) => {
      to.varint(this.#heardMs(device) + 1);
      const said = this.#said.get(device);
      to.varint(said === undefined ? NOTHING : said.entry === null ? REMOVED : ENTRY);
      if (said === undefined) return;
      to.varint(said.version);
      to.varint(said.changedMs);
      to.varint(DEVICE_SOURCES.indexOf(said.source));
      if (said.entry !== null) saveFields(said.entry, to);
    };
    this.#unsaved.save(out, 'devices', this.#names.count, write, out.devices);
  }

  /** Into a registry that is empty. */
  restore(from: StateReader): void {
    const devices = this.#names.count;
    this.#firstSeenMs = withRoom(this.#firstSeenMs, devices, NEVER);
    for (let device = 0; device < devices; device++) {
      this.#firstSeenMs[device] = from.varint() - 1;
      const kind = from.below(ENTRY + 1, 'what was said');
      if (kind === NOTHING) continue;
      const version = from.varint();
      const changedMs = from.varint();
      const source = DEVICE_SOURCES[from.below(DEVICE_SOURCES.length, 'a source')];
      const entry = kind === ENTRY ? { ...restoreFields(this.#names.name(device), from), source, version } : null;
      this.#said.set(device, { version, changedMs, source, entry });
    }
  }
}

/** What a checkpoint has of a device. */
const NOTHING = 0;
const REMOVED = 1;
const ENTRY = 2;

/** In the column of first times: not heard of. Times received are 0 and above. */
const NEVER = -1;

const NOTHING_SAID = { name: '', site: '', model: '', tags: new Map(), thresholds: new Map() } as const;

function saveFields({ name, site, model, tags, thresholds }: DeviceFields, out: StateWriter): void {
  out.text(name);
  out.text(site);
  out.text(model);
  out.varint(tags.size);
  for (const [tag, value] of tags) {
    out.text(tag);
    out.text(value);
  }
  out.varint(thresholds.size);
  for (const [threshold, value] of thresholds) {
    out.text(threshold);
    out.f64(value);
  }
}

function restoreFields(id: string, from: StateReader): DeviceFields {
  const [name, site, model] = [from.text(), from.text(), from.text()];
  const tags = new Map<string, string>();
  for (let left = from.count(); left > 0; left--) {
    const tag = from.text();
    tags.set(tag, from.text());
  }
  const thresholds = new Map<string, number>();
  for (let left = from.count(); left > 0; left--) {
    const threshold = from.text();
    thresholds.set(threshold, from.f64());
  }
  return { id, name, site, model, tags, thresholds };
}

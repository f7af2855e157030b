import type { WindowSpec } from '../model/window.ts';
import type { Alarms, Orphan } from './alarms/alarms.ts';
import type { DerivedMetrics } from './derived/derived.ts';
import type { GroupWindow } from './groups/group-window.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { Lifetimes } from './lifetimes.ts';
import type { Registry } from './registry/registry.ts';
import type { SeenTimes } from './seen.ts';
import type { SeriesDictionary } from './series.ts';
import type { KnownBlocks } from './state-blocks.ts';
import { EVERYTHING, type Rosters, StateReader, StateWriter } from './state-bytes.ts';
import { StateSave } from './state-save.ts';
import type { EventTime } from './windows/event-time.ts';
import type { WindowOperator } from './windows/window.ts';

/**
 * The state of a partition, as its checkpoint holds it (forms: state-bytes.ts):
 *
 *     magic     varint 0x534c55 ("SLU")
 *     version   varint 5
 *     series    devices, metrics, and (device, metric) of each series
 *     seen      times that each series has had
 *     time      clock; newest, active, due of each device
 *     parts     count, then for each: name, definition, a part
 *
 * Parts stand by themselves: `devices`, `facts`, `alarms`, `conditions`, `derived`, `recovered`, `ledger`, `ages`, `forgotten`, and `window {name}` for each window. One whose name or definition is not that of the
 * present configuration is passed over, and what has no part begins afresh.
 */
export interface PartitionState {
  series: SeriesDictionary;
  seen: SeenTimes;
  time: EventTime;
  alarms: Alarms;
  /** Null when nothing is derived. */
  derived: DerivedMetrics | null;
  ledger: Ledger;
  registry: Registry;
  windows: { spec: WindowSpec; operator: WindowOperator }[];
  /** Those of the windows that are of groups: they tell what this partition has. */
  groups: readonly GroupWindow[];
  lifetimes: Lifetimes;
}

interface Part {
  name: string;
  /** What its form depends on besides the version. */
  definition: string;
  save(out: StateWriter): void;
  restore(from: StateReader): void;
}

const MAGIC = 0x534c55;
const VERSION = 5;

/** In the order in which they are restored. */
function partsOf(state: PartitionState, orphans: Orphan[]): Part[] {
  const { alarms, derived, ledger, lifetimes, registry, series, windows } = state;
  return [
    {
      // Before what groups by site or tag.
      name: 'devices',
      definition: '',
      save: (out) => registry.save(out),
      restore: (from) => registry.restore(from),
    },
    ...windows.map(({ spec, operator }) => ({
      name: `window ${spec.name}`,
      definition: definitionOf(spec),
      save: (out: StateWriter) => operator.save(out),
      restore: (from: StateReader) => operator.restore(from),
    })),
    {
      // Before the alarms and conditions that look at them.
      name: 'facts',
      definition: '',
      save: (out) => alarms.saveFacts(out),
      restore: (from) => alarms.restoreFacts(from),
    },
    {
      name: 'alarms',
      definition: '',
      save: (out) => alarms.save(out),
      restore: (from) => orphans.push(...alarms.restore(from)),
    },
    ...(derived === null
      ? []
      : [
          {
            name: 'derived',
            definition: '',
            save: (out: StateWriter) => derived.save(out),
            restore: (from: StateReader) => derived.restore(from),
          },
        ]),
    {
      name: 'conditions',
      definition: '',
      save: (out) => alarms.saveConditions(out),
      restore: (from) => alarms.restoreConditions(from),
    },
    {
      name: 'recovered',
      definition: '',
      save: (out) => alarms.recovered.save(out),
      restore: (from) => alarms.recovered.restore(from, series.devices.count),
    },
    {
      name: 'ledger',
      definition: '',
      save: (out) => ledger.save(out),
      restore: (from) => ledger.restore(from, series.devices.count),
    },
    {
      name: 'ages',
      definition: String(lifetimes.ttlMs),
      save: (out) => lifetimes.saveAges(out, series.count),
      restore: (from) => lifetimes.restoreAges(from, series.count),
    },
    {
      name: 'forgotten',
      definition: '',
      save: (out) => lifetimes.saveForgotten(out),
      restore: (from) => lifetimes.restoreForgotten(from, series.devices.count),
    },
  ];
}

export interface StateSizes {
  bytes: ReadonlyMap<string, number>;
  devices: number;
  series: number;
  windowsOpen: ReadonlyMap<string, number>;
  /** By window: series that it takes, and those beyond its bound. */
  windowSeries: ReadonlyMap<string, number>;
  windowSeriesBeyond: ReadonlyMap<string, number>;
}

/** A state as it was saved: whole, or as what makes it out of the one before (model/patch.ts). */
export interface SavedState {
  bytes: Uint8Array<ArrayBuffer>;
  isChange: boolean;
  /** Length of the whole state. */
  stateBytes: number;
  /** What takes how many of them: `series`, `seen`, `time`, and each part by its name. And how much there is. */
  sizes: StateSizes;
  /** Where its blocks lie, for the next to refer to. */
  blocks: KnownBlocks;
}

/**
 * At the end of a frame: a save of the state as it is now, which goes on by steps (state-save.ts). Large columns are in blocks
 * (state-blocks.ts): with `before`, those that have not changed since the last call are left out. Every call forgets what had changed, so
 * `before` must be of the last one.
 */
export function cutState(state: PartitionState, before: KnownBlocks | null): StateSave {
  const { out, writers } = writtenState(state, before, EVERYTHING);
  return new StateSave(out, writers, before !== null, sizesOf(state));
}

/**
 * At the end of a frame: the whole state without the series and devices that are not in `of`, as if they had never been there; nothing
 * unfinished may hang on them (forgetting.ts). A save that is under way is not touched.
 */
export function stateOf(state: PartitionState, of: Rosters): Uint8Array<ArrayBuffer> {
  return writtenState(state, null, of).out.finish();
}

function writtenState(
  state: PartitionState,
  before: KnownBlocks | null,
  of: Rosters,
): { out: StateWriter; writers: ReadonlyMap<string, StateWriter> } {
  const out = new StateWriter(256, '', before, of);
  out.varint(MAGIC);
  out.varint(VERSION);
  const writers = new Map<string, StateWriter>();
  const section = (name: string, save: (out: StateWriter) => void): StateWriter => {
    const writer = new StateWriter(256, name, before, of);
    save(writer);
    writers.set(name, writer);
    return writer;
  };
  out.section(section('series', (series) => state.series.save(series)));
  out.section(section('seen', (seen) => state.seen.save(seen, state.series.count)));
  out.section(section('time', (time) => state.time.save(time)));
  const parts = partsOf(state, []);
  out.varint(parts.length);
  for (const { name, definition, save } of parts) {
    out.text(name);
    out.text(definition);
    out.part(section(name, save));
  }
  return { out, writers };
}

function sizesOf({ series, windows }: PartitionState): Omit<StateSizes, 'bytes'> {
  const byWindow = (of: (operator: WindowOperator) => number) =>
    new Map(windows.map(({ spec, operator }) => [spec.name, of(operator)]));
  return {
    devices: series.devices.count,
    series: series.count,
    windowsOpen: byWindow(({ open }) => open),
    windowSeries: byWindow(({ limits }) => limits.series),
    windowSeriesBeyond: byWindow(({ limits }) => limits.seriesBeyond),
  };
}

/**
 * Restores into a state that is empty; `seriesAdded` is told of each series. Returns the raised alarms that no rule looks after
 * any more. Throws CHECKPOINT_UNREADABLE, and the state is then to be thrown away.
 */
export function restoreState(
  state: PartitionState,
  bytes: Uint8Array,
  seriesAdded: (series: number) => void,
): Orphan[] {
  const from = new StateReader(bytes);
  if (from.varint() !== MAGIC) from.unreadable('it does not begin as a state of Sluice does');
  const version = from.varint();
  if (version !== VERSION) from.unreadable(`it is of version ${version}, and this program reads version ${VERSION}`);
  state.series.restore(from, seriesAdded);
  state.seen.restore(from, state.series.count);
  state.time.restore(from, state.series.devices.count);
  const saved = new Map<string, StateReader>();
  for (let left = from.count(); left > 0; left--) {
    const name = from.text();
    const definition = from.text();
    saved.set(JSON.stringify([name, definition]), from.part());
  }
  from.end();
  const orphans: Orphan[] = [];
  for (const { name, definition, restore } of partsOf(state, orphans)) {
    const part = saved.get(JSON.stringify([name, definition]));
    if (part === undefined) continue;
    restore(part);
    part.end();
  }
  return orphans;
}

/** Two windows of one definition have states of one form; how long their rollups are kept has no part in it, nor how much there is room for. */
function definitionOf({ name, keepMs, seriesMax, readingsMax, ...definition }: WindowSpec): string {
  return JSON.stringify(definition);
}

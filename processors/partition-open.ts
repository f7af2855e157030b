import type { Position } from '../model/alarm.ts';
import type { DerivedMetric } from '../model/derived.ts';
import type { WindowSpec } from '../model/window.ts';
import { Alarms, type Orphan } from './alarms/alarms.ts';
import { registryFacts } from './alarms/registry-facts.ts';
import { SharedFacts } from './alarms/shared-facts.ts';
import type { BatchBuilder } from './batch-builder.ts';
import { DerivedMetrics } from './derived/derived.ts';
import { Evaluation } from './evaluation.ts';
import { GroupWindow, isGroupSpec } from './groups/group-window.ts';
import type { MessageTopics } from './groups/message-topics.ts';
import { groupWindows } from './groups/partial.ts';
import { Ledger } from './ledger/ledger.ts';
import { Lifetimes } from './lifetimes.ts';
import { type PartitionState, restoreState } from './partition-state.ts';
import type { PipelineOptions } from './pipeline-options.ts';
import { Registry } from './registry/registry.ts';
import { SeenTimes } from './seen.ts';
import { SeriesDictionary } from './series.ts';
import { EventTime } from './windows/event-time.ts';
import { FilteredWindow } from './windows/filtered.ts';
import { openWindow, type WindowOperator } from './windows/window.ts';

/** What a state is given besides its settings. */
export interface Surroundings {
  partition: number;
  options: PipelineOptions;
  /** Where the partition is at work. */
  place: () => Position;
  topics: MessageTopics;
  /** Where rows go. */
  out: BatchBuilder;
}

export interface OpenedState {
  state: PartitionState;
  evaluation: Evaluation;
  /** What has to be said before it can be saved. */
  orphans: Orphan[];
}

/** The state of a partition with all that works on it: that of a checkpoint, or an empty one. Throws CHECKPOINT_UNREADABLE. */
export function openState(bytes: Uint8Array | null, around: Surroundings): OpenedState {
  const { partition, options, place, topics } = around;
  const series = new SeriesDictionary();
  const time = new EventTime(options.idleMs);
  const registry = new Registry(partition, series.devices);
  const alarms = new Alarms(
    options.rules,
    series,
    time,
    {
      clockMs: () => time.clockMs,
      siteOf: (device) => registry.entry(device)?.site ?? '',
      maintenance: options.maintenance ?? [],
    },
    registryFacts(registry),
    new SharedFacts(partition, options.partitions ?? 1),
    groupWindows(options.windows),
  );
  registry.onChange((device) => alarms.deviceTold(device, place()));
  const groups: GroupWindow[] = [];
  const open = (spec: WindowSpec): WindowOperator => {
    if (!isGroupSpec(spec)) return openWindow(spec, series, time, registry);
    const group = new GroupWindow(spec, partition, series, time, registry, topics);
    groups.push(group);
    return spec.where === '' ? group : new FilteredWindow(spec, group, series, registry);
  };
  let evaluation: Evaluation | null = null;
  const added = (one: number): void => evaluation?.seriesAdded(one);
  const state: PartitionState = {
    series,
    time,
    seen: new SeenTimes(),
    alarms,
    derived: derivedMetrics(options.derived ?? [], series, registry, added),
    ledger: new Ledger(partition, options.ledgerMs, series.devices),
    registry,
    groups,
    windows: options.windows.map((spec) => ({ spec, operator: open(spec) })),
    lifetimes: new Lifetimes(options.stateTtlMs ?? null),
  };
  evaluation = new Evaluation({ ...options, partition }, state, around.out);
  const orphans = bytes === null ? [] : restoreState(state, bytes, added);
  return { state, evaluation, orphans };
}

/** Null when nothing is derived, so that it costs nothing. */
function derivedMetrics(
  specs: readonly DerivedMetric[],
  series: SeriesDictionary,
  registry: Registry,
  added: (series: number) => void,
): DerivedMetrics | null {
  if (specs.length === 0) return null;
  return new DerivedMetrics(specs, series, registry, (device, metric) => {
    const before = series.count;
    const found = series.add(device, metric);
    if (series.count > before) added(found);
    return found;
  });
}

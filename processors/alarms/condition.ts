import type { AlarmGroup, Evidence, RuleKind } from '../../model/alarm.ts';
import type { Rollup } from '../../model/rollup.ts';
import type { SeriesDictionary } from '../series.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import type { EventTime } from '../windows/event-time.ts';
import type { DeviceLevel, LevelState } from './conditions/levels.ts';
import type { FactSubject, SharedFacts } from './shared-facts.ts';
import type { OnTurn, Place } from './turn.ts';

/**
 * All rules of one kind, on one partition. Every call comes in the order of the log; what is not implemented is not of interest to
 * the kind. Where the partition is at work stands in the context's place, and turns are reported to the context.
 */
export interface Condition {
  /** A new series; called once for each, in order. */
  seriesAdded(series: number): void;
  /** A numeric reading, also one that is older than the newest of its series. */
  push?(series: number, device: number, tsMs: number, value: number): void;
  /** A text reading. */
  text?(series: number, device: number, tsMs: number, text: string): void;
  /** A message has come; before its readings. */
  message?(device: number): void;
  /** The readings of a message are through. `aheadMs`: by how much its newest ts is ahead of the time received; NaN where it had none. */
  messageEnd?(device: number, aheadMs: number): void;
  /** Of a group: the device that stands for it. */
  rollup?(device: number, rollup: Rollup): void;
  /** False when none of its rules looks at rollups. */
  readonly wantsRollups?: boolean;
  /** Judges a rule that depends on others, or on several readings at once. `r` counts the rules of this kind. */
  settle?(r: number, device: number): void;
  /** The partition's clock has gone on within a frame. */
  clock?(): void;
  /** The frame has ended: timers that are due. */
  endFrame?(): void;
  /** The device's registry entry has changed. */
  deviceChanged?(device: number): void;
  /** Somebody has said something about the device: it has an entry in the registry, or has one no more. */
  deviceRegistered?(device: number): void;
  /** Another partition has told a fact; where the partition is at work is that of the fact. */
  factHeard?(fact: FactSubject): void;
  /** The state that was restored has nothing of this kind. */
  beginAfresh?(): void;
  /** For a rule over groups (`index` among all rules): the number of the device's group, −1 for none; and a group's devices. */
  groupOf?(index: number, device: number): number;
  membersOf?(index: number, group: number): Iterable<number>;
  /** The site that a group is, when `device` is the number of one; null otherwise. */
  siteOfGroup?(device: number): string | null;
  /**
   * Devices that cannot be forgotten now: something that depends on the clock alone may still come of them. `sinceMs` is what the clock was when
   * those who may be forgotten were heard last.
   */
  needed?(sinceMs: number): Iterable<number>;
  /** The device will be forgotten; and then, once for all of them: groups are to be judged without them. */
  deviceForgotten?(device: number): void;
  groupsChanged?(): void;
  /** How near each rule of this kind is for a device. */
  explain(device: number): Explanation[];
  save(out: StateWriter): void;
  /** After `seriesAdded` was called for every series. Rules that are still defined in the same way go on; the others begin afresh. */
  restore(from: StateReader): void;
}

export interface ConditionContext {
  series: SeriesDictionary;
  time: EventTime;
  place: Place;
  onTurn: OnTurn;
  facts: DeviceFacts;
  shared: SharedFacts;
  groupWindows: GroupWindows;
  /** Whether a rule holds for a device at this moment. */
  holds(rule: string, device: number): boolean;
  /** The readings that decided that a rule holds for a device; none where it does not. */
  evidenceOf(rule: string, device: number): readonly Evidence[];
  /** A rule is to be judged again when the readings at hand are through. `index` is that among all rules. */
  touch(index: number, device: number): void;
}

/** The windows of groups by name: what they are grouped by, and which definition. */
export type GroupWindows = ReadonlyMap<string, { grouping: string; definition: number }>;

/** What the registry knows about devices. */
export interface DeviceFacts {
  /** A threshold of its own. */
  levelOf(device: number): DeviceLevel;
  /** The value that makes it one of a group; null when it is in none. */
  groupOf(device: number, group: AlarmGroup): string | null;
  /** Whether it has an entry, as it may have before it was ever heard of. */
  isRegistered(device: number): boolean;
}

export const NO_FACTS: DeviceFacts = { levelOf: () => () => null, groupOf: () => null, isRegistered: () => false };

/** How near a rule is to its alarm, or how far in it: plain data for people. */
export interface Explanation {
  rule: string;
  kind: RuleKind;
  metric: string;
  /** Event time of what was looked at last; null when there was nothing yet. */
  lastMs: number | null;
  /** The number that is compared with the levels; null when it is not known yet. */
  value: number | null;
  levels: LevelState[];
  /** When something is due if nothing changes, by the partition's clock; absent where nothing is. */
  deadlineMs?: number;
  /** What else there is to say, in words. */
  note?: string;
}

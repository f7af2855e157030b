import type { AlarmComment, AlarmLifeSettings, LifeState, Transition } from './alarm-life.ts';

/** How bad. The order is the order of gravity. */
export const SEVERITIES = ['info', 'warning', 'minor', 'major', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** What an alarm rule says, after the configuration has been checked. */
export interface ThresholdRule extends Partial<AlarmLifeSettings> {
  kind: 'threshold';
  /** Unique; a single level of an MQTT topic (no `/`, `+`, `#`). */
  name: string;
  metric: string;
  /** Device ids or patterns (`*`); empty means every device. */
  devices: readonly string[];
  /** The alarm condition: value > above, or value < below. Exactly one of them is set. */
  above: number | null;
  below: number | null;
  /** The alarm clears when the value is back at or beyond this level (≤ for above, ≥ for below). */
  clear: number;
  /** The condition must hold this long, in event time, before the alarm is raised; 0 raises at once. */
  forMs: number;
  severity: Severity;
  /** Text for people; `{device}`, `{metric}`, `{value}`, `{threshold}` are filled in. */
  message: string;
}

export type AlarmRule = ThresholdRule;

/**
 * Whether an alarm is up. `normal` is an alarm that was shelved or taken out of service before it was ever raised. What operators
 * see is one of the eight words of model/alarm-life.ts, which say more.
 */
export type AlarmState = 'normal' | 'raised' | 'cleared';

/** One alarm as it stands: one row of the table `alarms`, the newest version wins. */
export interface Alarm {
  /** The same after a replay: derived from rule, device and the position of the reading that raised it. */
  id: string;
  rule: string;
  /** For the alarm of a group what its members have in common: `site:NAME`, or `*`. */
  device: string;
  metric: string;
  severity: Severity;
  state: AlarmState;
  /** Its first raise, event time. */
  raisedMs: number;
  ackedMs: number | null;
  clearedMs: number | null;
  /** The value that caused the newest transition; for the alarm of a group, how many alarms it stands for. */
  value: number;
  message: string;
  /** 1 when raised, one more for each transition. */
  version: number;
  /** Its state in one word (ISA-18.2). `normal` says that it is over. */
  life: LifeState;
  ackedBy: string;
  comments: AlarmComment[];
  shelvedUntilMs: number | null;
  shelvedBy: string;
  /** Why nobody is notified of it; empty when they are. */
  suppressed: string;
  /** Its condition has ceased, and it waits to be acknowledged or reset. */
  latched: boolean;
  chattering: boolean;
  /** How often it was raised, the raises of a chattering alarm included. */
  raises: number;
  severityMax: Severity;
  /** The alarm of the group that was notified in its place; empty when it was notified itself. */
  groupId: string;
  ruleVersion: string;
}

/** Where a message is on the log. */
export interface Position {
  partition: number;
  offset: number;
  index: number;
}

/** A reading that had a part in a decision. */
export interface Evidence extends Position {
  metric: string;
  tsMs: number;
  value: number;
}

/** A transition of an alarm, as it is put on the log and published to MQTT subscribers. */
export interface AlarmEvent {
  alarm: Alarm;
  transition: Transition;
  /** Event time of the transition, ms; for what an operator or a timer did, the clock of the partition. */
  atMs: number;
  /** The message that decided it. */
  position: Position;
  /** Who did it; empty for what the rules did. */
  by: string;
  /** What he wrote. */
  comment: string;
  /** Whether subscribers hear of it. All transitions are on the log and in the tables. */
  notify: boolean;
  /** What the decision rests on. */
  evidence: readonly Evidence[];
  /** How far the event time of the device had come; null where that has no part in it. */
  watermarkMs: number | null;
}

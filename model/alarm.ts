/** How bad. The order is the order of gravity. */
export const SEVERITIES = ['info', 'warning', 'minor', 'major', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** What an alarm rule says, after the configuration has been checked. */
export interface ThresholdRule {
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

/** States of an alarm in this version: ISA-18.2's unacknowledged alarm and its return to normal. */
export type AlarmState = 'raised' | 'cleared';

/** One alarm as it stands: one row of the table `alarms`, the newest version wins. */
export interface Alarm {
  /** The same after a replay: derived from rule, device and the position of the reading that raised it. */
  id: string;
  rule: string;
  device: string;
  metric: string;
  severity: Severity;
  state: AlarmState;
  raisedMs: number;
  ackedMs: number | null;
  clearedMs: number | null;
  /** The value that caused the newest transition. */
  value: number;
  message: string;
  /** 1 when raised, one more for each transition. */
  version: number;
}

/** Where a message is on the log. */
export interface Position {
  partition: number;
  offset: number;
  index: number;
}

/** A transition of an alarm, as it is put on the log and published to MQTT subscribers. */
export interface AlarmEvent {
  alarm: Alarm;
  /** Event time of the transition, ms. */
  atMs: number;
  /** The message that decided it. */
  position: Position;
}

import type { AlarmComment, AlarmLifeSettings, LifeState, Transition } from './alarm-life.ts';

/** How bad. The order is the order of gravity. */
export const SEVERITIES = ['info', 'warning', 'minor', 'major', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/**
 * What alarm rules say, after the configuration has been checked. A rule is a condition, looked at for each device by itself, and
 * what is to become of it. Times are milliseconds.
 */
export type AlarmRule =
  | ThresholdRule
  | RateRule
  | RepeatRule
  | DeviationRule
  | SilenceRule
  | ClockRule
  | ExpressionRule
  | CombinationRule;

export type RuleKind = AlarmRule['kind'];

/** What all rules have. */
export interface RuleBase extends Partial<AlarmLifeSettings> {
  /** Unique; a single level of an MQTT topic (no `/`, `+`, `#`). */
  name: string;
  /** Device ids or patterns (`*`); empty means every device. */
  devices: readonly string[];
  /** The condition must hold this long before the alarm is raised; 0 raises at once. In event time where readings decide. */
  forMs: number;
  severity: Severity;
  /** Text for people; `{device}`, `{metric}`, `{value}`, `{threshold}` are filled in. */
  message: string;
  /** False makes the rule a condition only, which other rules name; it raises no alarm. */
  raises?: boolean;
  /** When the condition counts; null or absent: always. */
  schedule?: Schedule | null;
}

/** A number that is compared with levels, upwards or downwards. */
export interface Levelled {
  /** The alarm condition: value > above, or value < below. Exactly one of them is set. */
  above: number | null;
  below: number | null;
  /** The alarm clears when the value is back at or beyond this level (≤ for above, ≥ for below). */
  clear: number;
  /** Graver levels, in the same direction: the severity rises and falls with the value. */
  levels?: readonly AlarmLevel[];
  /**
   * Names of the thresholds in a device's registry entry that take the place of `above` or `below`, and of `clear`. The numbers stand
   * in for devices that have none; ±Number.MAX_VALUE where the rule gives no default, which no reading goes beyond.
   */
  fromDevice?: DeviceKeys;
}

export interface AlarmLevel {
  severity: Severity;
  /** In the direction of the rule. */
  threshold: number;
  clear: number;
  fromDevice?: DeviceKeys;
}

export interface DeviceKeys {
  threshold: string | null;
  clear: string | null;
}

/** The value of a metric. */
export interface ThresholdRule extends RuleBase, Levelled {
  kind: 'threshold';
  metric: string;
}

/** How fast a metric changes, per `perMs` of event time. */
export interface RateRule extends RuleBase, Levelled {
  kind: 'rate';
  metric: string;
  perMs: number;
  /** 0: from one reading to the next. Otherwise the slope of the straight line that fits the readings of so long best. */
  windowMs: number;
}

/** A value that was beyond a level several times. */
export interface RepeatRule extends RuleBase {
  kind: 'repeat';
  metric: string;
  above: number | null;
  below: number | null;
  /** A crossing counts anew after the value was back at this level. */
  clear: number;
  fromDevice?: DeviceKeys;
  times: number;
  withinMs: number;
  /** `crossings`: how often the value went beyond. `readings`: how many readings were beyond. */
  counting: 'crossings' | 'readings';
}

/** How far a value is from the device's own history: from its mean in standard deviations, or from its median in MADs. */
export interface DeviationRule extends RuleBase, Levelled {
  kind: 'deviation';
  metric: string;
  method: 'zscore' | 'mad';
  /** Which deviations count. */
  direction: 'both' | 'up' | 'down';
  /** Length of the history, event time. */
  windowMs: number;
  /** Nothing is judged before the history has so many points. */
  samplesMin: number;
  /** A spread smaller than this is taken as this, so that a value that hardly ever changes may change a little. */
  spreadMin: number;
}

/** Something has not been heard of. */
export interface SilenceRule extends RuleBase {
  kind: 'silence';
  /** Silent for so long, of the partition's clock; null learns it from each one's own cadence. */
  afterMs: number | null;
  /** Learned: this many times the longest usual gap … */
  factor: number;
  /** … and never sooner than this. */
  afterMinMs: number;
  /** A metric that is missing while its device speaks; empty: the device, or the group. */
  metric: string;
  /** All devices of one site, one model or one value of a tag are silent; null: each device by itself. */
  by: AlarmGroup | null;
  /** A longer gap in the partition's clock is an outage of our own, which is nobody's silence. */
  outageMs: number;
  /** After an outage of our own, devices have so long to come back before their silence counts on. */
  graceMs: number;
}

export type AlarmGroup = { kind: 'site' } | { kind: 'model' } | { kind: 'tag'; tag: string };

/** A device whose clock is wrong: its readings are dated further ahead of the time received, or behind it. */
export interface ClockRule extends RuleBase {
  kind: 'clock';
  aheadMs: number | null;
  behindMs: number | null;
}

/** Any expression in CEL over a device's readings, rollups, other rules and tags. */
export interface ExpressionRule extends RuleBase {
  kind: 'expression';
  /** True or false; or a number, which is compared with above or below. */
  when: string;
  /** True ends it; empty: it ends when `when` is false. */
  clearWhen: string;
  above: number | null;
  below: number | null;
  clear: number;
}

/** Several rules at once, for the same device; a name with `!` in front means that the rule does not hold. */
export interface CombinationRule extends RuleBase {
  kind: 'combination';
  of: readonly string[];
  /** How many of them must hold: all of them for AND, 1 for OR. */
  atLeast: number;
}

/** Times of the week at which a rule counts, by the clock of a place. */
export interface Schedule {
  /** A name of the IANA time zone database, as `Europe/Berlin`. */
  timeZone: string;
  /** 1 Monday … 7 Sunday. */
  days: readonly number[];
  /** Minutes after midnight; a `to` that is not after `from` is on the next day. */
  fromMinute: number;
  toMinute: number;
  /** Dates, as 2026-12-25, that count as no day. */
  holidays: readonly string[];
  /** The rule counts at all other times instead. */
  outside: boolean;
}

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

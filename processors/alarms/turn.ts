import { createHash } from 'node:crypto';
import type { AlarmEvent, AlarmRule, Evidence, Position, Severity } from '../../model/alarm.ts';

/** What a condition says when it has begun or ceased to hold for a device. */
export interface Turn {
  /** Index into the rules. */
  rule: number;
  /** For a group the number of its own name, as `site=plant-7`. */
  device: number;
  /** Whether the condition holds from now on. */
  active: boolean;
  /** How bad it is now. A condition of several levels turns again when only this changes. */
  severity: Severity;
  /** What it was seen on; empty when it is no single metric. */
  metric: string;
  value: number;
  /** The level that was crossed, for people; NaN where there is none. */
  threshold: number;
  /** Event time of the reading that decided it; for a timer the partition's clock. */
  atMs: number;
  /** The message that decided it; for a timer the last one of the frame in which its time came. */
  position: Position;
  /** Tells apart what one message decides: the number of the reading within it; timers count on above all readings. */
  ordinal: number;
  /** The readings that decided it, oldest first: at most EVIDENCE_MAX. Empty where none did. */
  evidence: readonly Evidence[];
  /** How far the device's own time had come, the largest ts that it had sent; −1 where there is none. */
  watermarkMs: number;
}

export const EVIDENCE_MAX = 16;

/** Where conditions report. */
export type OnTurn = (turn: Turn, emit: EmitAlarm) => void;

export type EmitAlarm = (event: AlarmEvent) => void;

/**
 * Where the partition is at work, for conditions to read: set before each reading, instead of being passed through every call.
 */
export class Place {
  partition = 0;
  offset = 0;
  /** Of the message within the frame. */
  index = 0;
  /** Of the reading within the message. */
  ordinal = 0;
  /** The partition's clock. */
  clockMs = 0;
  emit: EmitAlarm = () => {};

  position(): Position {
    return { partition: this.partition, offset: this.offset, index: this.index };
  }
}

/** What says the same to every rule: text, severity, and what becomes of an alarm do not change when a condition holds. */
const CONDITION_KEYS = {
  threshold: ['metric', 'above', 'below', 'clear', 'levels', 'fromDevice'],
  rate: ['metric', 'above', 'below', 'clear', 'levels', 'fromDevice', 'perMs', 'windowMs'],
  repeat: ['metric', 'above', 'below', 'clear', 'fromDevice', 'times', 'withinMs', 'counting'],
  deviation: [
    ...['metric', 'above', 'below', 'clear', 'levels', 'fromDevice'],
    ...['method', 'direction', 'windowMs', 'samplesMin', 'spreadMin'],
  ],
  silence: ['afterMs', 'factor', 'afterMinMs', 'metric', 'by', 'outageMs', 'graceMs'],
  clock: ['aheadMs', 'behindMs'],
  expression: ['when', 'clearWhen', 'above', 'below', 'clear'],
  combination: ['of', 'atLeast'],
} as const satisfies Record<AlarmRule['kind'], readonly string[]>;

/** What a rule's state depends on; text and severity do not. The same definition goes on after a restart. */
export function definitionOf(rule: AlarmRule): string {
  const values = new Map(Object.entries(rule));
  const own = CONDITION_KEYS[rule.kind].map((key: string) => values.get(key) ?? null);
  // Groups were once judged by each partition for itself.
  const whole = rule.kind === 'silence' && rule.by !== null ? ['whole'] : [];
  return JSON.stringify([rule.kind, rule.devices, rule.forMs, rule.schedule ?? null, ...own, ...whole]);
}

/** Tells two wordings of a rule apart: another one for another condition, severity or text. Eight hexadecimal digits. */
export function ruleVersionOf(rule: AlarmRule): string {
  const entries = Object.entries(rule).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(entries)).digest('hex').slice(0, 8);
}

/** The reading that decided a turn of a single metric. */
export function evidenceOf({ position, metric, value, atMs }: Turn): AlarmEvent['evidence'] {
  return metric === '' ? [] : [{ ...position, metric, tsMs: atMs, value }];
}

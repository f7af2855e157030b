import { createHash } from 'node:crypto';
import type { AlarmEvent, AlarmRule, Evidence, Position, Severity } from '../../model/alarm.ts';

/** What a condition says when it has begun or ceased to hold for a device. */
export interface Turn {
  /** Index into the rules. */
  rule: number;
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
  /** Event time of the reading that decided it, or of the timer. */
  atMs: number;
  /** The message that decided it; for a timer the frame in which its time came. */
  position: Position;
  /** Tells apart what one message decides: the number of the reading within it. */
  ordinal: number;
  /** The readings that decided it. */
  evidence?: readonly Evidence[];
  /** How far the event time of the device had come. */
  watermarkMs?: number;
}

/** Where conditions report. */
export type OnTurn = (turn: Turn, emit: (event: AlarmEvent) => void) => void;

/** What a rule's state depends on; text and severity do not. The same definition goes on after a restart. */
export function definitionOf(rule: AlarmRule): string {
  return JSON.stringify([rule.kind, rule.metric, rule.devices, rule.above, rule.below, rule.clear, rule.forMs]);
}

/** Tells two wordings of a rule apart: eight hexadecimal digits of a hash of all that it says. */
export function ruleVersionOf(rule: AlarmRule): string {
  return createHash('sha256').update(JSON.stringify(rule)).digest('hex').slice(0, 8);
}

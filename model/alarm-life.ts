import type { Severity } from './alarm.ts';

/**
 * The life of an alarm after ISA-18.2 (IEC 62682): what its states are called, and what a rule says about them.
 *
 *     normal            the condition does not hold
 *     unacknowledged    it holds, and nobody has said that he knows
 *     acknowledged      it holds, and somebody has
 *     returned          it has ceased, and nobody has acknowledged it yet (only where the rule asks for it)
 *     latched           it has ceased, and the alarm stays up until somebody acknowledges or resets it
 *     shelved           put aside by an operator, until a time
 *     suppressed        muted by design: by maintenance, or by the alarm of another rule
 *     out-of-service    taken out by an operator, until he brings it back
 */
export const LIFE_STATES = [
  'normal',
  'unacknowledged',
  'acknowledged',
  'returned',
  'latched',
  'shelved',
  'suppressed',
  'out-of-service',
] as const;
export type LifeState = (typeof LIFE_STATES)[number];

/** What ends a latched alarm. */
export const LATCHES = ['off', 'acknowledge', 'reset'] as const;

/** What a rule says about the life of its alarms; it has no part in when the condition holds. */
export interface AlarmLifeSettings {
  /** Whether an alarm stays raised when its condition has ceased: until it is acknowledged, or until it is reset. */
  latch: (typeof LATCHES)[number];
  /** Whether an alarm that has cleared by itself still waits for somebody to acknowledge it. */
  ackRequired: boolean;
  /** How long a condition must have ceased before its alarm clears, by the time received; 0 clears at once. */
  clearForMs: number;
  /** Two raises of one device are at least this far apart, by the time received; 0 sets no distance. */
  minIntervalMs: number;
  /** So many raises of a device within so long are one chattering alarm. */
  chattering: { times: number; withinMs: number } | null;
  /** Rules whose raised alarms, of the same device or of a device of the same site, suppress this one. */
  inhibitedBy: readonly string[];
  /** More than so many raises within so long are notified as one. */
  group: { by: 'rule' | 'site'; times: number; withinMs: number } | null;
  /** The severity that an alarm gets when nobody has acknowledged it for so long. */
  escalate: { afterMs: number; severity: Severity } | null;
}

export const LIFE_DEFAULTS: AlarmLifeSettings = {
  latch: 'off',
  ackRequired: false,
  clearForMs: 0,
  minIntervalMs: 0,
  chattering: null,
  inhibitedBy: [],
  group: null,
  escalate: null,
};

/** The settings of a rule's alarms; what it does not say is as in LIFE_DEFAULTS. */
export function lifeSettingsOf(rule: Partial<AlarmLifeSettings>): AlarmLifeSettings {
  const { latch, ackRequired, clearForMs, minIntervalMs, chattering, inhibitedBy, group, escalate } = rule;
  return {
    latch: latch ?? LIFE_DEFAULTS.latch,
    ackRequired: ackRequired ?? LIFE_DEFAULTS.ackRequired,
    clearForMs: clearForMs ?? LIFE_DEFAULTS.clearForMs,
    minIntervalMs: minIntervalMs ?? LIFE_DEFAULTS.minIntervalMs,
    chattering: chattering ?? null,
    inhibitedBy: inhibitedBy ?? [],
    group: group ?? null,
    escalate: escalate ?? null,
  };
}

/** A time in which work goes on: the alarms of these devices and rules are suppressed. */
export interface Maintenance {
  name: string;
  /** Names or patterns; empty means every one. */
  devices: readonly string[];
  sites: readonly string[];
  rules: readonly string[];
  fromMs: number;
  untilMs: number;
}

/** A remark of an operator. */
export interface AlarmComment {
  atMs: number;
  by: string;
  text: string;
}

/** What a transition was. The CloudEvent's type is `com.sluice.alarm.` and this. */
export const TRANSITIONS = [
  'raised',
  'severity',
  'escalated',
  'latched',
  'cleared',
  'acknowledged',
  'commented',
  'shelved',
  'unshelved',
  'out-of-service',
  'in-service',
  'suppressed',
  'unsuppressed',
  'chattering',
  'steady',
  'flood',
] as const;
export type Transition = (typeof TRANSITIONS)[number];

/** The parts of an alarm that its state is told from. */
export interface LifeFacts {
  state: 'normal' | 'raised' | 'cleared';
  ackedMs: number | null;
  latched: boolean;
  /** The state is not over: somebody has to acknowledge it. */
  ackPending: boolean;
  shelvedUntilMs: number | null;
  suppressed: string;
}

/** The one word for the state of an alarm: what mutes it comes first. */
export function lifeStateOf(alarm: LifeFacts): LifeState {
  if (alarm.suppressed === 'out-of-service') return 'out-of-service';
  if (alarm.shelvedUntilMs !== null) return 'shelved';
  if (alarm.state === 'normal') return 'normal';
  if (alarm.suppressed !== '' && alarm.state === 'raised') return 'suppressed';
  if (alarm.state === 'cleared') return alarm.ackPending ? 'returned' : 'normal';
  if (alarm.latched) return 'latched';
  return alarm.ackedMs === null ? 'unacknowledged' : 'acknowledged';
}

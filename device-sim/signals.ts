import { uniformsAt } from './random.ts';

/** Shapes that the scenarios are put together from. All are functions of the time alone. */

export const SECOND_MS = 1000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** Hour of the day (UTC) with its fraction, 0 … 24. */
export function hourOf(tsMs: number): number {
  return (modulo(tsMs, DAY_MS) / DAY_MS) * 24;
}

/** How high the sun stands, 0 at night … 1 at noon, for a day from 6 to 18 o'clock. */
export function sunAt(tsMs: number): number {
  return Math.max(0, Math.sin((Math.PI * (hourOf(tsMs) - 6)) / 12));
}

/** The remainder that is never negative. */
export function modulo(value: number, by: number): number {
  const rest = value % by;
  return rest < 0 ? rest + by : rest;
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

/** As many decimals as the sensor has. */
export function round(value: number, decimals: number): number {
  const scale = 10 ** decimals;
  const rounded = Math.round(value * scale) / scale;
  return rounded === 0 ? 0 : rounded; // no negative zero in a payload
}

/** 0 before `start`, 1 after `start + length`, a smooth S between. */
export function ease(at: number, start: number, length: number): number {
  const x = clamp((at - start) / length, 0, 1);
  return x * x * (3 - 2 * x);
}

export interface FaultPlan {
  /** Which fault this is: another number gives other moments. */
  purpose: number;
  /** Faults happen inside slots of this length, counted from the epoch. */
  slotMs: number;
  /** Of so many neighbouring devices one has the fault in each slot. */
  oneOf: number;
  /** How long the fault takes to come up and to go away, each. */
  rampMs: number;
  /** How long it lasts between the ramps, at least and at most. */
  holdMsMin: number;
  holdMsMax: number;
}

/**
 * How far a fault has come, 0 (none) … 1 (in full), for one device at one time.
 *
 * In each slot exactly one of each `oneOf` neighbouring devices is struck, at a moment of the seed's choosing, and the fault is
 * over when the slot is. So somebody who watches a fleet of `oneOf` devices for two slots sees it come and go, whatever the seed.
 */
export function faultAt(plan: FaultPlan, seed: number, device: number, tsMs: number): number {
  const slot = Math.floor(tsMs / plan.slotMs);
  const group = Math.floor(device / plan.oneOf);
  const draw = uniformsAt(seed, plan.purpose, group, slot);
  if (Math.floor(draw() * plan.oneOf) !== device - group * plan.oneOf) return 0;
  const holdMs = plan.holdMsMin + draw() * (plan.holdMsMax - plan.holdMsMin);
  const slackMs = plan.slotMs - holdMs - 2 * plan.rampMs;
  const startMs = slot * plan.slotMs + draw() * slackMs;
  return ease(tsMs, startMs, plan.rampMs) * (1 - ease(tsMs, startMs + plan.rampMs + holdMs, plan.rampMs));
}

/**
 * How long the gaps between a device's messages usually are at the most: the longest gap, forgotten with a time constant of
 * MEMORY times itself. A device that sends in bursts keeps the gap between its bursts, since little time passes within one; one that
 * comes to send more often is known better soon, in its own measure of time.
 *
 * A single longer gap (a visit to the workshop) may at most double it, so that two or three such gaps in a row are a new
 * habit, and one is none.
 */
export function usualGap(usualMs: number, gapMs: number, warmingUp: boolean): number {
  const counted = warmingUp ? gapMs : Math.min(gapMs, usualMs * 2 + GROWTH_MIN_MS);
  return Math.max(counted, usualMs - gapMs / MEMORY);
}

const MEMORY = 20;
/** Lets a device of several messages a second grow as well. */
const GROWTH_MIN_MS = 1000;

/** A cadence counts as learned after so many gaps, and so long. */
export const GAPS_MIN = 10;
export const LEARNING_MS_MIN = 60_000;

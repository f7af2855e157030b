/**
 * The time-weighted average takes each value to hold until the next reading, and averages over the time from the first reading to the
 * last: what was before the first reading of the window is not known, and how long the last one will hold is not known either, so
 * both ends are left out (as TimescaleDB's `time_weight('LOCF', …)`).
 */
export function area(value: number, fromMs: number, toMs: number): number {
  return value * (toMs - fromMs);
}

/**
 * What a counter has gone up by from one reading to the next. A counter that is lower than before was reset in between, and has counted up
 * from 0 since; what it counted between the reading before and the reset is not known, and left out (as Prometheus' `increase`
 * does, without its extrapolation to the window's ends).
 */
export function increase(before: number, after: number): number {
  return after >= before ? after - before : after;
}

/** Per second, over the time from the first reading to the last; null when that is none. */
export function rate(increased: number, spanMs: number): number | null {
  return spanMs > 0 ? (increased / spanMs) * 1000 : null;
}

import type { ExpressionPlace } from './expressions/expression.ts';

/** A metric that is computed from other metrics of the same device. */
export interface DerivedMetric {
  /** Name of the metric that is made. */
  name: string;
  /** Device ids or patterns; empty means every device. */
  devices: readonly string[];
  /** CEL, over the newest values of the device's metrics. */
  expression: string;
  /** A value that is older than this, at the time of the newest of them, is not used; null uses it however old it is. */
  maxAgeMs: number | null;
}

/** What the expression of a derived metric may name. */
export const DERIVED_PLACE: ExpressionPlace = { allows: ['newest', 'ts', 'device', 'tag'], gives: 'number' };

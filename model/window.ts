import type { ExpressionPlace } from './expressions/expression.ts';

/**
 * What window declarations say, after the configuration has been checked. All times are milliseconds of event time. The words are
 * those of Flink's and Beam's documents; sliding and snapshot-like kinds as in Stream Analytics.
 */
export type WindowSpec = TumblingWindow | HoppingWindow | SlidingWindow | SessionWindow | CountWindow | StateWindow;

/** What all kinds have. */
export interface WindowBase {
  /** Unique; stands in the column `window` of the rollups. */
  name: string;
  /** Metric names or patterns (`*` stands for any run of characters); empty means every numeric metric. */
  metrics: readonly string[];
  /** Device ids or patterns; empty means every device. */
  devices: readonly string[];
  /** A CEL expression over a reading that must be true for the window to take it; empty takes all. */
  where: string;
  by: WindowKey;
  /** What is computed beyond count, sum, min, max, avg, first and last. */
  aggregates: readonly AggregateSpec[];
  /** How far a device's readings may be out of order before a window is closed: watermark = newest ts − this. */
  outOfOrderMs: number;
  /** How long after closing a late reading still corrects the rollup (a new revision). */
  allowedLatenessMs: number;
  /** Early results of open windows each time event time has gone on by this; null gives none. */
  everyMs: number | null;
  /** Series of one partition that it takes at most; null for no bound of its own. Does not matter to the form of its state. */
  seriesMax: number | null;
  /**
   * Sliding, count and state: readings of a series (state: of a device) that wait at most. Where more come, the oldest leave before
   * their time.
   */
  readingsMax: number;
  /** How long the store keeps its rollups after they were written; null for ever. Does not matter to what is emitted. */
  keepMs: number | null;
}

/** [k·size, (k+1)·size), counted from the epoch. */
export interface TumblingWindow extends WindowBase {
  kind: 'tumbling';
  sizeMs: number;
}

/** [k·hop, k·hop + size): a reading is in size/hop of them. */
export interface HoppingWindow extends WindowBase {
  kind: 'hopping';
  sizeMs: number;
  hopMs: number;
}

/** One for each reading: (ts − size, ts]. */
export interface SlidingWindow extends WindowBase {
  kind: 'sliding';
  sizeMs: number;
}

/** From the first reading after a silence of gapMs to gapMs after the last one before the next such silence. */
export interface SessionWindow extends WindowBase {
  kind: 'session';
  gapMs: number;
  /** A session that goes on for so long is closed, and the next begins. */
  sizeMaxMs: number;
}

/** Each `count` readings of a series, in order of ts. */
export interface CountWindow extends WindowBase {
  kind: 'count';
  count: number;
}

/** As long as the value of `state`, a metric of the device (number, boolean or text), stays the same. */
export interface StateWindow extends WindowBase {
  kind: 'state';
  state: string;
}

/** Whose readings share a window: those of a device, or of all devices of a group (model/device.ts), or of a topic's level. */
export type WindowKey =
  | { kind: 'device' }
  | { kind: 'site' }
  | { kind: 'model' }
  | { kind: 'tag'; tag: string }
  | { kind: 'topic'; level: number };

export type AggregateSpec =
  | { kind: 'stddev' }
  | { kind: 'delta' }
  | { kind: 'rate' }
  | { kind: 'time_avg' }
  | { kind: 'distinct' }
  /** `percent` in 0 … 100. */
  | { kind: 'percentile'; percent: number }
  /** Upper bounds of the buckets, ascending; one more bucket takes what is above. */
  | { kind: 'histogram'; bounds: readonly number[] };

/** What a window's `where` may name. */
export const WHERE_PLACE: ExpressionPlace = { allows: ['value', 'metric', 'ts', 'device', 'tag'], gives: 'boolean' };

/** Defaults of what all kinds have, for those that say only what differs. */
export const WINDOW_DEFAULTS = {
  metrics: [],
  devices: [],
  where: '',
  by: { kind: 'device' },
  aggregates: [],
  everyMs: null,
  seriesMax: null,
  readingsMax: 100_000,
  keepMs: null,
} as const satisfies Partial<WindowBase>;

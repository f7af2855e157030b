/** What a window declaration says, after the configuration has been checked. All times are milliseconds. */
export interface TumblingWindow {
  kind: 'tumbling';
  /** Unique; stands in the column `window` of the rollups. */
  name: string;
  /** Windows start at multiples of this, counted from the epoch. */
  sizeMs: number;
  /** Metric names or patterns (`*` stands for any run of characters); empty means every numeric metric. */
  metrics: readonly string[];
  /** How far a device's readings may be out of order before a window is closed: watermark = newest ts − this. */
  outOfOrderMs: number;
  /** How long after closing a late reading still corrects the rollup (a new revision). */
  allowedLatenessMs: number;
}

export type WindowSpec = TumblingWindow;

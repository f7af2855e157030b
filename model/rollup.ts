/** What a window emits for one key and metric. A correction is the same key with a higher revision. */
export interface Rollup {
  window: string;
  /** What the window is keyed by: the device id; for a group its value, as `plant-7`. */
  device: string;
  /** For a group what it is a value of, as `site` or `tag:line`; absent for devices. */
  grouping?: string;
  metric: string;
  startMs: number;
  endMs: number;
  count: number;
  sum: number;
  min: number;
  max: number;
  avg: number;
  /** Value with the smallest ts in the window, and with the largest; of equal ts the first that arrived. */
  first: number;
  last: number;
  /** State windows: the value that lasted. Empty for all others. */
  label: string;
  /** Further aggregates by name (processors/windows/aggregates/); null when the window has none. */
  extra: ReadonlyMap<string, number> | null;
  /** 1 for the first result, one more for each that follows, early or corrected. */
  revision: number;
  phase: RollupPhase;
}

/** `early`: the window is still open. `final`: its time has come. `corrected`: a late reading has changed it. */
export type RollupPhase = 'early' | 'final' | 'corrected';

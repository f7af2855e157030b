/** What a window emits for one device and metric. A correction is the same key with a higher revision. */
export interface Rollup {
  window: string;
  device: string;
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
  /** 1 for the first result, one more for each correction. */
  revision: number;
}

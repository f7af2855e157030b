/** One value of one metric of one device at one time. Text values have `text` set and `value` NaN; numbers have `text` ''. */
export interface Reading {
  device: string;
  metric: string;
  /** Event time, ms since the epoch: the device's own, or the time received when the device sent none. */
  tsMs: number;
  value: number;
  text: string;
  receivedMs: number;
}

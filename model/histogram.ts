/** A histogram as it travels in a record: cumulative, as Prometheus wants it. */
export interface HistogramCounts {
  /** Upper bounds of the buckets, ascending. */
  bounds: readonly number[];
  /** How many values were at most `bounds[i]`; what was above all bounds is in `count` only. */
  counts: number[];
  count: number;
  sum: number;
}

/** Seconds from half a millisecond to a minute: a flush to disk, an insert, a checkpoint, an outage. */
export const SECONDS_BOUNDS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

/** Counts values in buckets. Adding one costs a short search and no allocation. */
export class Histogram {
  readonly #bounds: readonly number[];
  /** Not cumulative; one more bucket than bounds. */
  readonly #buckets: Float64Array;
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[] = SECONDS_BOUNDS) {
    this.#bounds = bounds;
    this.#buckets = new Float64Array(bounds.length + 1);
  }

  /** Adds a value, `times` times. A negative one counts as 0: clocks step back now and then. */
  add(value: number, times = 1): void {
    const v = Math.max(value, 0);
    let i = 0;
    while (i < this.#bounds.length && v > this.#bounds[i]) i++;
    this.#buckets[i] += times;
    this.#sum += v * times;
    this.#count += times;
  }

  snapshot(): HistogramCounts {
    let below = 0;
    const counts = this.#bounds.map((_, i) => {
      below += this.#buckets[i];
      return below;
    });
    return { bounds: this.#bounds, counts, count: this.#count, sum: this.#sum };
  }
}

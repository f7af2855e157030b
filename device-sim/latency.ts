import { build, decodeFromCompressedBase64, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js';

export interface LatencySummary {
  count: number;
  meanMs: number;
  p50Ms: number;
  p90Ms: number;
  p99Ms: number;
  p999Ms: number;
  maxMs: number;
}

/** Latencies in µs up to ten minutes, three digits exact (an HDR histogram). */
export class LatencyRecorder {
  readonly #histogram: Histogram = build({
    bitBucketSize: 32,
    lowestDiscernibleValue: 1,
    highestTrackableValue: 600_000_000,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });

  /** Records a latency that `count` messages had. */
  record(latencyMs: number, count: number): void {
    this.#histogram.recordValueWithCount(Math.min(599_999_999, Math.max(1, Math.round(latencyMs * 1000))), count);
  }

  /** Adds what another recorder, or a merged one, wrote with `toText`. Merging is exact: counts of equal buckets add up. */
  merge(text: string): void {
    this.#histogram.add(decodeFromCompressedBase64(text));
  }

  /** The whole histogram, compressed; null when nothing was recorded. */
  toText(): string | null {
    return this.#histogram.totalCount === 0 ? null : encodeIntoCompressedBase64(this.#histogram);
  }

  /** null when nothing was recorded. */
  summary(): LatencySummary | null {
    const h = this.#histogram;
    if (h.totalCount === 0) return null;
    const at = (percentile: number) => h.getValueAtPercentile(percentile) / 1000;
    return {
      count: h.totalCount,
      meanMs: h.mean / 1000,
      p50Ms: at(50),
      p90Ms: at(90),
      p99Ms: at(99),
      p999Ms: at(99.9),
      maxMs: h.maxValue / 1000,
    };
  }
}

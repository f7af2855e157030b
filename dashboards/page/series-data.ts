import type { LiveReading, Series } from './api.ts';

/** What a chart draws: times in seconds, and for each a value (or null where the line breaks), its least and greatest. */
export interface Columns {
  x: number[];
  v: (number | null)[];
  min: (number | null)[];
  max: (number | null)[];
}

/**
 * One metric's history joined with what comes live.
 *
 * Raw readings are keyed by their time: one that comes twice takes its own place. In buckets a live reading is counted only if
 * the history cannot have counted it: its offset is above the history's highest, or it lies behind the history's end.
 */
export class SeriesData {
  readonly metric: string;
  readonly buckets: boolean;
  readonly #stepMs: number;
  readonly #toMs: number;
  readonly #throughOffset: number;
  readonly #t: number[];
  readonly #v: number[];
  readonly #min: number[];
  readonly #max: number[];
  readonly #count: number[];

  constructor(series: Series, stepMs: number, toMs: number) {
    this.metric = series.metric;
    this.buckets = stepMs > 0;
    this.#stepMs = stepMs;
    this.#toMs = toMs;
    this.#throughOffset = series.throughOffset;
    this.#t = [...series.t];
    this.#v = [...series.v];
    this.#min = [...(series.min ?? [])];
    this.#max = [...(series.max ?? [])];
    this.#count = [...(series.count ?? [])];
  }

  get length(): number {
    return this.#t.length;
  }

  /** Newest point, null when there is none. */
  last(): { tMs: number; value: number } | null {
    const at = this.#t.length - 1;
    return at < 0 ? null : { tMs: this.#t[at], value: this.#v[at] };
  }

  apply(reading: LiveReading): void {
    if (!this.buckets) {
      const at = this.#find(reading.t);
      if (this.#t[at] === reading.t) this.#v[at] = reading.v;
      else {
        this.#t.splice(at, 0, reading.t);
        this.#v.splice(at, 0, reading.v);
      }
      return;
    }
    if (reading.o <= this.#throughOffset && reading.t < this.#toMs) return;
    const start = Math.floor(reading.t / this.#stepMs) * this.#stepMs;
    const at = this.#find(start);
    if (this.#t[at] === start) {
      const n = this.#count[at] + 1;
      this.#count[at] = n;
      this.#v[at] += (reading.v - this.#v[at]) / n;
      this.#min[at] = Math.min(this.#min[at], reading.v);
      this.#max[at] = Math.max(this.#max[at], reading.v);
      return;
    }
    this.#t.splice(at, 0, start);
    this.#v.splice(at, 0, reading.v);
    this.#min.splice(at, 0, reading.v);
    this.#max.splice(at, 0, reading.v);
    this.#count.splice(at, 0, 1);
  }

  /** Drops what lies before `fromMs`. */
  trim(fromMs: number): void {
    const drop = this.#find(fromMs);
    if (drop === 0) return;
    for (const column of [this.#t, this.#v]) column.splice(0, drop);
    if (this.buckets) for (const column of [this.#min, this.#max, this.#count]) column.splice(0, drop);
  }

  /** What to draw. A step much longer than the usual one is a gap: the line breaks there. */
  columns(): Columns {
    const gapMs = this.#gapMs();
    const out: Columns = { x: [], v: [], min: [], max: [] };
    for (let i = 0; i < this.#t.length; i++) {
      if (i > 0 && this.#t[i] - this.#t[i - 1] > gapMs) {
        out.x.push((this.#t[i - 1] + this.#t[i]) / 2000);
        out.v.push(null);
        out.min.push(null);
        out.max.push(null);
      }
      out.x.push((this.#t[i] + this.#stepMs / 2) / 1000);
      out.v.push(this.#v[i]);
      out.min.push(this.buckets ? this.#min[i] : this.#v[i]);
      out.max.push(this.buckets ? this.#max[i] : this.#v[i]);
    }
    return out;
  }

  #gapMs(): number {
    const steps: number[] = [];
    for (let i = 1; i < this.#t.length; i++) steps.push(this.#t[i] - this.#t[i - 1]);
    if (steps.length === 0) return Number.POSITIVE_INFINITY;
    steps.sort((a, b) => a - b);
    return Math.max(steps[Math.floor(steps.length / 2)] * 3.5, this.#stepMs * 1.5, 1_500);
  }

  /** Index of the first time at or after `tMs`. */
  #find(tMs: number): number {
    let low = 0;
    let high = this.#t.length;
    if (high === 0 || this.#t[high - 1] < tMs) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#t[middle] < tMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

import type { RateRule } from '../../../model/alarm.ts';
import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { Measure } from './measured.ts';

/** Points that a slope is fitted to, at most; readings that come closer together than window ÷ this are passed over. */
const POINTS_MAX = 128;

/**
 * How fast a metric changes, per perMs of event time. Without a window from one reading to the next; two readings of the same ts have no
 * rate, and the later one counts from then on. With a window it is the slope of the straight line with the least squares of distances
 * to the points of the window, which noise moves less; it is known once the points span half of the window.
 */
export class RateMeasure implements Measure {
  readonly #rule: RateRule;
  readonly #spacingMs: number;
  #ts: number[] = [];
  #values: number[] = [];

  constructor(rule: RateRule) {
    this.#rule = rule;
    this.#spacingMs = rule.windowMs / POINTS_MAX;
  }

  push(tsMs: number, value: number): number {
    return this.#rule.windowMs === 0 ? this.#step(tsMs, value) : this.#slope(tsMs, value);
  }

  #step(tsMs: number, value: number): number {
    const elapsedMs = this.#ts.length === 0 ? 0 : tsMs - this.#ts[0];
    const rate = elapsedMs > 0 ? ((value - this.#values[0]) / elapsedMs) * this.#rule.perMs : Number.NaN;
    this.#ts[0] = tsMs;
    this.#values[0] = value;
    return rate;
  }

  #slope(tsMs: number, value: number): number {
    const { windowMs, perMs } = this.#rule;
    if (this.#ts.length > 0 && tsMs - this.#ts[this.#ts.length - 1] < this.#spacingMs) return Number.NaN;
    this.#ts.push(tsMs);
    this.#values.push(value);
    const from = this.#ts.findIndex((t) => t > tsMs - windowMs);
    if (from > 0) {
      this.#ts.splice(0, from);
      this.#values.splice(0, from);
    }
    const count = this.#ts.length;
    if (count < 3 || tsMs - this.#ts[0] < windowMs / 2) return Number.NaN;
    // Around the newest point and the mean value, so that large numbers lose no digits.
    let meanT = 0;
    let meanV = 0;
    for (let i = 0; i < count; i++) {
      meanT += (this.#ts[i] - tsMs) / count;
      meanV += this.#values[i] / count;
    }
    let tt = 0;
    let tv = 0;
    for (let i = 0; i < count; i++) {
      const t = this.#ts[i] - tsMs - meanT;
      tt += t * t;
      tv += t * (this.#values[i] - meanV);
    }
    return (tv / tt) * perMs;
  }

  note(): string {
    return this.#rule.windowMs === 0 ? 'from reading to reading' : `slope of ${this.#ts.length} points`;
  }

  save(out: StateWriter): void {
    out.varint(this.#ts.length);
    for (let i = 0; i < this.#ts.length; i++) {
      out.varint(this.#ts[i]);
      out.f64(this.#values[i]);
    }
  }

  restore(from: StateReader): void {
    for (let left = from.count(); left > 0; left--) {
      this.#ts.push(from.varint());
      this.#values.push(from.f64());
    }
  }
}

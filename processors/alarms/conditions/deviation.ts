import type { DeviationRule } from '../../../model/alarm.ts';
import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { Measure } from './measured.ts';

/** Points of a history, at most; readings that come closer together than window ÷ this are judged, but not remembered. */
const POINTS_MAX = 256;
/** Said of a value that differs from a history without any spread, and never exceeded, so that it can be compared and printed. */
const SCORE_MAX = 1e6;
/** Makes a median absolute deviation comparable with a standard deviation: 1 ÷ Φ⁻¹(¾). B. Iglewicz, D. Hoaglin, 1993. */
const MAD_TO_SIGMA = 1.4826;

/**
 * How far a reading is from the series' own history, (ts − windowMs, ts) of event time without the reading itself: from the mean in standard
 * deviations (of the sample, n − 1), or from the median in median absolute deviations. What deviates becomes history too, so that a series that
 * has changed for good becomes usual after a while. Centre and spread are found anew only when the history has changed.
 */
export class DeviationMeasure implements Measure {
  readonly #rule: DeviationRule;
  readonly #spacingMs: number;
  #ts: number[] = [];
  #values: number[] = [];
  #known = false;
  #centre = 0;
  #spread = 0;

  constructor(rule: DeviationRule) {
    this.#rule = rule;
    this.#spacingMs = rule.windowMs / POINTS_MAX;
  }

  push(tsMs: number, value: number): number {
    const { windowMs, samplesMin, direction } = this.#rule;
    this.#forget(tsMs - windowMs);
    let score = Number.NaN;
    if (this.#ts.length >= samplesMin) {
      if (!this.#known) this.#look();
      const off = value - this.#centre;
      const z = off === 0 ? 0 : Math.max(-SCORE_MAX, Math.min(SCORE_MAX, off / this.#spread));
      score = direction === 'both' ? Math.abs(z) : direction === 'up' ? z : -z;
    }
    if (this.#ts.length === 0 || tsMs - this.#ts[this.#ts.length - 1] >= this.#spacingMs) {
      this.#ts.push(tsMs);
      this.#values.push(value);
      this.#known = false;
    }
    return score;
  }

  #forget(untilMs: number): void {
    let gone = 0;
    while (gone < this.#ts.length && this.#ts[gone] <= untilMs) gone++;
    if (gone === 0) return;
    this.#ts.splice(0, gone);
    this.#values.splice(0, gone);
    this.#known = false;
  }

  #look(): void {
    const values = this.#values;
    if (this.#rule.method === 'zscore') {
      let sum = 0;
      for (const value of values) sum += value;
      this.#centre = sum / values.length;
      let squares = 0;
      for (const value of values) squares += (value - this.#centre) ** 2;
      this.#spread = Math.sqrt(squares / (values.length - 1));
    } else {
      this.#centre = median(Float64Array.from(values));
      this.#spread = median(Float64Array.from(values, (value) => Math.abs(value - this.#centre))) * MAD_TO_SIGMA;
    }
    this.#spread = Math.max(this.#spread, this.#rule.spreadMin);
    this.#known = true;
  }

  note(): string {
    const { samplesMin } = this.#rule;
    if (this.#ts.length < samplesMin) return `warming up: ${this.#ts.length} of ${samplesMin} points`;
    if (!this.#known) this.#look();
    return `${this.#ts.length} points, usually ${this.#centre} ± ${this.#spread}`;
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

function median(values: Float64Array): number {
  values.sort();
  const middle = values.length >> 1;
  return values.length % 2 === 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

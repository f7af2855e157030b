import { DERIVED_PLACE, type DerivedMetric } from '../../model/derived.ts';
import { compileExpression, deviceValue, type Expression, type Value } from '../../model/expressions/expression.ts';
import { matcher } from '../../model/pattern.ts';
import { withRoom } from '../columns.ts';
import type { Registry } from '../registry/registry.ts';
import type { SeriesDictionary } from '../series.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';

/** Where derived readings go. */
export type OnDerived = (series: number, tsMs: number, value: number, untimed: boolean) => void;

interface Formula {
  spec: DerivedMetric;
  expression: Expression;
  matches: (device: string) => boolean;
  /** For each reference its metric, or null when it is none. */
  metrics: (string | null)[];
  values: (Value | null)[];
}

/**
 * Metrics that are computed from others. Exactly:
 *
 * - A reading becomes the newest of its metric when its ts is above that of the newest so far. Redeliveries, readings out of order and
 *   those too far in the future do not.
 * - Readings of a message with the same ts, one after another, come together. When one of them has become the newest of a metric that a
 *   formula names, and no metric that it names has a newer one, the formula is evaluated with the newest values, for that ts.
 * - A number makes a reading of that ts, one for each formula, device and ts. Unknown makes none, and is counted.
 * - Formulas are worked at in their order; what one derives is the newest of its metric, and may be named by those after it.
 * - A metric that the device sends itself is not derived for it.
 *
 * State is columns by series, kept for metrics that formulas name or make: time and value of the newest.
 */
export class DerivedMetrics {
  /** Evaluations that gave no number since the caller last set it back. */
  unknown = 0;
  readonly #formulas: Formula[];
  readonly #series: SeriesDictionary;
  readonly #registry: Registry;
  readonly #addSeries: (device: number, metric: string) => number;
  readonly #inputNames = new Set<string>();
  readonly #outputNames = new Map<string, number>();
  /** By series: which parts it has, INPUT, OUTPUT, SENT. */
  #role = new Uint8Array(1024);
  #newestTs = new Float64Array(1024);
  /** NaN for text, which is in #texts. */
  #newestValue = new Float64Array(1024);
  readonly #texts = new Map<number, string>();

  /** Of the readings that come together: their device, ts, and the metrics that are new. */
  #device = -1;
  #tsMs = 0;
  #untimed = false;
  #changed: number[] = [];

  /** `addSeries` makes the series of a derived metric, and tells everybody of it. */
  constructor(
    specs: readonly DerivedMetric[],
    series: SeriesDictionary,
    registry: Registry,
    addSeries: (device: number, metric: string) => number,
  ) {
    this.#series = series;
    this.#registry = registry;
    this.#addSeries = addSeries;
    this.#formulas = specs.map((spec) => {
      const expression = compileExpression(spec.expression, DERIVED_PLACE);
      const metrics = expression.references.map((r) => (r.kind === 'newest' ? r.metric : null));
      return { spec, expression, matches: matcher(spec.devices), metrics, values: metrics.map(() => null) };
    });
    for (const [i, { spec, metrics }] of this.#formulas.entries()) {
      this.#outputNames.set(spec.name, i);
      for (const metric of metrics) if (metric !== null) this.#inputNames.add(metric);
    }
  }

  /** A new series; called once for each, in order. */
  seriesAdded(series: number): void {
    this.#role = withRoom(this.#role, series, 0);
    this.#newestTs = withRoom(this.#newestTs, series, -1);
    this.#newestValue = withRoom(this.#newestValue, series, 0);
    const metric = this.#series.metric(series);
    this.#newestTs[series] = -1;
    this.#role[series] = (this.#inputNames.has(metric) ? INPUT : 0) | (this.#outputNames.has(metric) ? OUTPUT : 0);
  }

  /** A reading of a device, in the order of the log: no redelivery, and not too far in the future. */
  reading(series: number, device: number, tsMs: number, value: number, text: string, untimed: boolean): void {
    const role = this.#role[series];
    if (role === 0) return;
    if ((role & OUTPUT) !== 0) this.#role[series] |= SENT;
    if ((role & INPUT) === 0 || tsMs <= this.#newestTs[series]) return;
    // Another ts than that of the readings before: those have been derived from by `flush`.
    this.#device = device;
    this.#tsMs = tsMs;
    this.#untimed = untimed;
    this.#changed.push(series);
    this.#keep(series, tsMs, value, text);
  }

  #keep(series: number, tsMs: number, value: number, text: string): void {
    if (Number.isNaN(value)) this.#texts.set(series, text);
    else if (Number.isNaN(this.#newestValue[series])) this.#texts.delete(series);
    this.#newestTs[series] = tsMs;
    this.#newestValue[series] = value;
  }

  /** Whether readings of another ts are waiting for `flush`. */
  isBefore(tsMs: number): boolean {
    return this.#changed.length > 0 && this.#tsMs !== tsMs;
  }

  /** Whether `flush` has anything to do. */
  get isDue(): boolean {
    return this.#changed.length > 0;
  }

  /** Evaluates what the readings since the last call make due. */
  flush(emit: OnDerived): void {
    const device = this.#device;
    const name = this.#series.devices.name(device);
    for (const formula of this.#formulas) {
      if (!formula.matches(name) || !this.#names(formula, device)) continue;
      const value = this.#evaluate(formula, device, name);
      if (value === null) {
        this.unknown++;
        continue;
      }
      const series = this.#addSeries(device, formula.spec.name);
      if ((this.#role[series] & SENT) !== 0 || this.#tsMs <= this.#newestTs[series]) continue;
      this.#keep(series, this.#tsMs, value, '');
      if ((this.#role[series] & INPUT) !== 0) this.#changed.push(series);
      emit(series, this.#tsMs, value, this.#untimed);
    }
    this.#changed.length = 0;
  }

  /** Whether the formula names one of the metrics that have changed, and none that has a newer value. */
  #names(formula: Formula, device: number): boolean {
    let changed = false;
    for (const metric of formula.metrics) {
      if (metric === null) continue;
      const series = this.#series.find(device, metric);
      if (series === -1) continue;
      if (this.#newestTs[series] > this.#tsMs) return false;
      if (this.#changed.includes(series)) changed = true;
    }
    return changed;
  }

  #evaluate({ spec, expression, metrics, values }: Formula, device: number, name: string): number | null {
    for (let i = 0; i < metrics.length; i++) {
      const metric = metrics[i];
      if (metric !== null) values[i] = this.#newest(device, metric, spec.maxAgeMs);
      else {
        const reference = expression.references[i];
        values[i] = reference.kind === 'ts' ? this.#tsMs : deviceValue(reference, name, this.#registry.entry(device));
      }
    }
    const result = expression.evaluate(values);
    return typeof result === 'boolean' ? Number(result) : typeof result === 'number' ? result : null;
  }

  #newest(device: number, metric: string, maxAgeMs: number | null): Value | null {
    const series = this.#series.find(device, metric);
    if (series === -1 || this.#newestTs[series] < 0) return null;
    if (maxAgeMs !== null && this.#newestTs[series] < this.#tsMs - maxAgeMs) return null;
    const value = this.#newestValue[series];
    return Number.isNaN(value) ? (this.#texts.get(series) as string) : value;
  }

  /** Between messages. */
  save(out: StateWriter): void {
    const kept: number[] = [];
    out.series.each(this.#series.count, (s) => {
      if (this.#isKept(s)) kept.push(s);
    });
    out.varint(kept.length);
    for (const s of kept) {
      const text = this.#texts.get(s);
      out.varint(out.series.number(s));
      out.varint(this.#newestTs[s] + 1);
      out.varint(((this.#role[s] & SENT) !== 0 ? 1 : 0) + (text === undefined ? 0 : 2));
      if (text === undefined) out.f64(this.#newestValue[s]);
      else out.text(text);
    }
  }

  #isKept(series: number): boolean {
    return this.#newestTs[series] >= 0 || (this.#role[series] & SENT) !== 0;
  }

  /** After `seriesAdded` was called for every series. Series that no formula is about any more are passed over. */
  restore(from: StateReader): void {
    for (let left = from.count(); left > 0; left--) {
      const series = from.below(this.#series.count, 'a series');
      const tsMs = from.varint() - 1;
      const marks = from.below(4, 'a mark');
      const text = marks >= 2 ? from.text() : '';
      const value = marks >= 2 ? Number.NaN : from.f64();
      if (this.#role[series] === 0) continue;
      if ((marks & 1) === 1 && (this.#role[series] & OUTPUT) !== 0) this.#role[series] |= SENT;
      if (tsMs >= 0) this.#keep(series, tsMs, value, text);
    }
  }
}

const INPUT = 1;
const OUTPUT = 2;
const SENT = 4;

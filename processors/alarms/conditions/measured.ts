import type { AlarmRule, Evidence } from '../../../model/alarm.ts';
import { matcher } from '../../../model/pattern.ts';
import { withRoom } from '../../columns.ts';
import { type StateReader, StateWriter } from '../../state-bytes.ts';
import type { Condition, ConditionContext, Explanation } from '../condition.ts';
import { type IndexedRule, LevelStates } from './levels.ts';

/**
 * What a condition makes of the readings of one series: a number that is compared with the rule's levels. Its memory is bounded, and
 * a function of the readings that it was given.
 */
export interface Measure {
  /** Takes a reading that is not older than the one before; returns the number, NaN when it is not known yet. */
  push(tsMs: number, value: number, offset: number, index: number): number;
  /** The readings that made the number, when they are others than the one at hand and the one that began it. */
  evidence?(metric: string, partition: number): readonly Evidence[];
  /** The rule's numbers for the device have changed. */
  relevel?(context: ConditionContext, device: number): void;
  note(): string;
  save(out: StateWriter): void;
  restore(from: StateReader): void;
}

type MeasuredRule = Extract<AlarmRule, { kind: 'rate' | 'repeat' | 'deviation' }>;

/**
 * Conditions over what is measured on the readings of a metric (rate.ts, repeat.ts, deviation.ts): each (rule, series) has a measure,
 * whose number goes through the levels of the rule (levels.ts). A reading older than the newest of its series changes nothing.
 */
export class MeasuredConditions<Rule extends MeasuredRule> implements Condition {
  readonly #context: ConditionContext;
  readonly #rules: readonly { rule: Rule; matches: (device: string) => boolean }[];
  readonly #open: (rule: Rule, device: number, context: ConditionContext) => Measure;
  readonly #levels: LevelStates;
  /** By series its units, −1 for none; units of one series lie side by side. */
  #first = new Int32Array(256).fill(-1);
  #newest = new Float64Array(256);
  readonly #units: Unit[] = [];

  constructor(
    rules: readonly IndexedRule[],
    context: ConditionContext,
    open: (rule: Rule, device: number, context: ConditionContext) => Measure,
  ) {
    this.#context = context;
    this.#open = open;
    this.#rules = rules.map(({ rule }) => ({ rule: rule as Rule, matches: matcher(rule.devices) }));
    this.#levels = new LevelStates(rules, context.place, context.onTurn, (unit) => {
      const { series, measure } = this.#units[unit];
      const metric = context.series.metric(series);
      const device = context.series.deviceOf(series);
      const evidence = measure.evidence?.(metric, context.place.partition);
      return { device, metric, watermarkMs: context.time.newest(device), ...(evidence ? { evidence } : {}) };
    });
  }

  seriesAdded(series: number): void {
    this.#first = withRoom(this.#first, series, -1);
    this.#newest = withRoom(this.#newest, series, 0);
    this.#newest[series] = -1;
    const device = this.#context.series.deviceOf(series);
    const name = this.#context.series.device(series);
    const metric = this.#context.series.metric(series);
    this.#rules.forEach(({ rule, matches }, r) => {
      if (rule.metric !== metric || !matches(name)) return;
      const first = this.#levels.add(r, this.#context.facts.levelOf(device));
      const measure = this.#open(rule, device, this.#context);
      const unit = this.#units.push({ series, r, first, measure, value: Number.NaN }) - 1;
      if (this.#first[series] < 0) this.#first[series] = unit;
    });
  }

  push(series: number, _device: number, tsMs: number, value: number): void {
    let unit = this.#first[series];
    if (unit < 0 || tsMs < this.#newest[series]) return;
    this.#newest[series] = tsMs;
    const { offset, index } = this.#context.place;
    for (; unit < this.#units.length && this.#units[unit].series === series; unit++) {
      const state = this.#units[unit];
      const measured = state.measure.push(tsMs, value, offset, index);
      if (Number.isNaN(measured)) continue;
      state.value = measured;
      this.#levels.judge(state.first, unit, tsMs, measured);
    }
  }

  deviceChanged(device: number): void {
    for (const { first, measure } of this.#unitsOf(device)) {
      this.#levels.relevel(first, this.#context.facts.levelOf(device));
      measure.relevel?.(this.#context, device);
    }
  }

  #unitsOf(device: number): Unit[] {
    const { series: dictionary } = this.#context;
    const found: Unit[] = [];
    for (let series = dictionary.first(device); series !== -1; series = dictionary.next(series)) {
      for (let unit = this.#first[series]; unit >= 0 && this.#units[unit]?.series === series; unit++) {
        found.push(this.#units[unit]);
      }
    }
    return found;
  }

  explain(device: number): Explanation[] {
    return this.#unitsOf(device).map(({ series, r, first, measure, value }) => ({
      rule: this.#rules[r].rule.name,
      kind: this.#rules[r].rule.kind,
      metric: this.#context.series.metric(series),
      lastMs: this.#newest[series] < 0 ? null : this.#newest[series],
      value: Number.isNaN(value) ? null : value,
      levels: this.#levels.explain(first),
      note: measure.note(),
    }));
  }

  /**
   *     units    count, then for each: key of its rule, series, how many levels, newest + 1, and a part: its number, levels, measure
   */
  save(out: StateWriter): void {
    const units = this.#units.filter(({ series }) => out.series.has(series));
    out.varint(units.length);
    units.forEach(({ series, r, first, measure, value }) => {
      out.text(this.#levels.rules[r].key);
      out.varint(out.series.number(series));
      out.varint(this.#newest[series] + 1);
      const part = new StateWriter();
      part.f64(value);
      this.#levels.saveUnit(first, part);
      measure.save(part);
      out.part(part);
    });
  }

  restore(from: StateReader): void {
    for (let left = from.count(); left > 0; left--) {
      const key = from.text();
      const series = from.below(this.#context.series.count, 'a series');
      const newest = from.varint() - 1;
      const part = from.part();
      let unit = this.#first[series];
      while (unit >= 0 && this.#units[unit]?.series === series && this.#levels.rules[this.#units[unit].r].key !== key)
        unit++;
      const state = unit < 0 ? undefined : this.#units[unit];
      if (state?.series !== series) continue;
      this.#newest[series] = newest;
      state.value = part.f64();
      this.#levels.restoreUnit(state.first, this.#levels.count(state.first), part);
      state.measure.restore(part);
      part.end();
    }
  }
}

interface Unit {
  series: number;
  /** Among the rules of this kind. */
  r: number;
  /** Its first level. */
  first: number;
  measure: Measure;
  /** The newest number. */
  value: number;
}

import type { ThresholdRule } from '../../../model/alarm.ts';
import { matcher } from '../../../model/pattern.ts';
import { withRoom } from '../../columns.ts';
import { ChangedBlocks, type WriteItem } from '../../state-blocks.ts';
import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { Condition, ConditionContext, Explanation } from '../condition.ts';
import { type IndexedRule, LevelStates, NORMAL } from './levels.ts';

/**
 * Threshold conditions over the readings of one partition, in event time, each (rule, series) by itself (levels.ts).
 *
 * Only what readings say counts: that the condition has held for forMs is known when a reading says so, not when a device falls
 * silent. A reading older than the newest one of its series changes nothing. Which rules a series has is found out
 * once, when the series first comes; so a rule that does not match costs nothing.
 */
export class ThresholdConditions implements Condition {
  readonly #context: ConditionContext;
  readonly #rules: readonly { rule: ThresholdRule; matches: (device: string) => boolean }[];
  readonly #levels: LevelStates;
  /** By series: its first slot and how many it has, the ts of the newest reading that was looked at, and its value. */
  #first = new Int32Array(1024);
  #slots = new Int32Array(1024);
  #newest = new Float64Array(1024);
  readonly #changed = new ChangedBlocks();
  #value = new Float64Array(1024);
  #slotCount = 0;

  constructor(rules: readonly IndexedRule[], context: ConditionContext) {
    this.#context = context;
    this.#rules = rules.map(({ rule }) => ({ rule: rule as ThresholdRule, matches: matcher(rule.devices) }));
    this.#levels = new LevelStates(rules, context.place, context.onTurn, (series) => ({
      device: context.series.deviceOf(series),
      metric: context.series.metric(series),
      watermarkMs: context.time.newest(context.series.deviceOf(series)),
    }));
  }

  seriesAdded(series: number): void {
    this.#first = withRoom(this.#first, series, 0);
    this.#slots = withRoom(this.#slots, series, 0);
    this.#newest = withRoom(this.#newest, series, 0);
    this.#first[series] = this.#slotCount;
    this.#slots[series] = 0;
    this.#newest[series] = -1;
    this.#value = withRoom(this.#value, series, 0);
    const metric = this.#context.series.metric(series);
    const device = this.#context.series.deviceOf(series);
    const name = this.#context.series.device(series);
    for (let r = 0; r < this.#rules.length; r++) {
      const { rule, matches } = this.#rules[r];
      if (rule.metric !== metric || !matches(name)) continue;
      const first = this.#levels.add(r, this.#context.facts.levelOf(device));
      this.#slots[series] += this.#levels.count(first);
      this.#slotCount += this.#levels.count(first);
    }
  }

  /** Looks at a numeric reading. */
  push(series: number, _device: number, tsMs: number, value: number): void {
    const slots = this.#slots[series];
    if (slots === 0 || tsMs < this.#newest[series]) return;
    this.#changed.mark(series);
    this.#newest[series] = tsMs;
    this.#value[series] = value;
    const levels = this.#levels;
    const { phase, level, sign } = levels;
    const first = this.#first[series];
    for (let slot = first; slot < first + slots; slot++) {
      if (phase[slot] === NORMAL && value * sign[slot] <= level[slot]) continue;
      slot = levels.step(slot, series, tsMs, value);
    }
  }

  /** A device's registry entry has changed. Takes effect with its next readings. */
  deviceChanged(device: number): void {
    const { series: dictionary } = this.#context;
    const levelOf = this.#context.facts.levelOf(device);
    for (let series = dictionary.first(device); series !== -1; series = dictionary.next(series)) {
      this.#each(series, (first) => this.#levels.relevel(first, levelOf));
    }
  }

  #each(series: number, visit: (first: number) => void): void {
    const end = this.#first[series] + this.#slots[series];
    for (let slot = this.#first[series]; slot < end; slot += this.#levels.count(slot)) visit(slot);
  }

  explain(device: number): Explanation[] {
    const { series: dictionary } = this.#context;
    const found: Explanation[] = [];
    for (let series = dictionary.first(device); series !== -1; series = dictionary.next(series)) {
      this.#each(series, (first) => {
        const { rule } = this.#rules[this.#levels.ruleOf(first)];
        found.push({
          rule: rule.name,
          kind: 'threshold',
          metric: dictionary.metric(series),
          lastMs: this.#newest[series] < 0 ? null : this.#newest[series],
          value: this.#newest[series] < 0 ? null : this.#value[series],
          levels: this.#levels.explain(first),
        });
      });
    }
    return found;
  }

  /**
   *     rules      count, then name and definition of each
   *     series     for each: newest + 1, and where that is not 0 its value, the count of units with a level that is not normal, and for each
   *                of these its rule and levels (levels.ts)
   */
  save(out: StateWriter): void {
    const { rules } = this.#levels;
    out.varint(rules.length);
    for (const { key, levels } of rules) {
      out.text(key);
      out.varint(levels.length);
    }
    const write: WriteItem = (series, to) => {
      to.varint(this.#newest[series] + 1);
      if (this.#newest[series] < 0) return;
      to.f64(this.#value[series]);
      let busy = 0;
      this.#each(series, (first) => {
        if (this.#levels.isBusy(first)) busy++;
      });
      to.varint(busy);
      if (busy === 0) return;
      this.#each(series, (first) => {
        if (!this.#levels.isBusy(first)) return;
        to.varint(this.#levels.ruleOf(first));
        this.#levels.saveUnit(first, to);
      });
    };
    this.#changed.save(out, 'series', this.#context.series.count, write, out.series);
  }

  /** After `seriesAdded` was called for every series. States of rules that are still defined in the same way go on; the others start afresh. */
  restore(from: StateReader): void {
    const saved: { now: number; levels: number }[] = [];
    for (let left = from.count(); left > 0; left--) {
      const key = from.text();
      saved.push({ now: this.#levels.rules.findIndex((r) => r.key === key), levels: from.varint() });
    }
    const count = this.#context.series.count;
    for (let series = 0; series < count; series++) {
      this.#newest[series] = from.varint() - 1;
      if (this.#newest[series] < 0) continue;
      this.#value[series] = from.f64();
      for (let left = from.count(); left > 0; left--) {
        const { now, levels } = saved[from.below(saved.length, 'a rule')];
        let found = -1;
        this.#each(series, (first) => {
          if (this.#levels.ruleOf(first) === now) found = first;
        });
        this.#levels.restoreUnit(found, levels, from);
      }
    }
  }
}

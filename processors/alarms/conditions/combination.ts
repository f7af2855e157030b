import type { CombinationRule } from '../../../model/alarm.ts';
import { matcher } from '../../../model/pattern.ts';
import { withRoom } from '../../columns.ts';
import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { Condition, ConditionContext, Explanation } from '../condition.ts';
import { EVIDENCE_MAX } from '../turn.ts';
import { type IndexedRule, LevelStates } from './levels.ts';
import { Timers } from './timers.ts';

/**
 * Several rules at once: all of them, one of them, or so many. A combination is judged when one of its rules has turned and the
 * readings at hand are through. Since rules of all kinds can be in it, its `forMs` is of the partition's clock, and needs no reading to come to an end.
 */
export class CombinationConditions implements Condition {
  readonly #context: ConditionContext;
  readonly #rules: readonly Compiled[];
  readonly #levels: LevelStates;
  readonly #timers = new Timers();
  /** By device · rules + rule: its only level, which is the number of the unit as well; −1 before it was needed. */
  #first = new Int32Array(64).fill(-1);
  readonly #subjects: { r: number; device: number }[] = [];

  constructor(rules: readonly IndexedRule[], context: ConditionContext) {
    this.#context = context;
    this.#rules = rules.map(({ rule, index }) => ({
      rule: rule as CombinationRule,
      index,
      matches: matcher(rule.devices),
      parts: (rule as CombinationRule).of.map((name) => ({
        name: name.replace(/^!/, ''),
        holds: !name.startsWith('!'),
      })),
    }));
    this.#levels = new LevelStates(rules, context.place, context.onTurn, (unit) => {
      const { r, device } = this.#subjects[unit];
      const parts = this.#rules[r].parts.filter(({ holds }) => holds);
      const evidence = parts.flatMap(({ name }) => context.evidenceOf(name, device)).slice(-EVIDENCE_MAX);
      return { device, metric: '', watermarkMs: context.time.newest(device), shown: this.#count(r, device), evidence };
    });
  }

  /** A combination that asks for a rule that does not hold may be true from the start. */
  seriesAdded(series: number): void {
    const device = this.#context.series.deviceOf(series);
    if (this.#context.series.first(device) !== series) return;
    for (const { index, parts } of this.#rules) {
      if (parts.some(({ holds }) => !holds)) this.#context.touch(index, device);
    }
  }

  settle(r: number, device: number): void {
    const { rule, matches } = this.#rules[r];
    const name = this.#context.series.devices.name(device);
    if (!matches(name)) return;
    const unit = this.#unit(r, device);
    const { clockMs } = this.#context.place;
    this.#levels.judge(unit, unit, clockMs, this.#count(r, device) >= rule.atLeast ? 1 : 0);
    const due = this.#levels.due(unit);
    if (due !== Number.POSITIVE_INFINITY) this.#timers.set(unit, due);
  }

  #unit(r: number, device: number): number {
    const at = device * this.#rules.length + r;
    this.#first = withRoom(this.#first, at, -1);
    if (this.#first[at] >= 0) return this.#first[at];
    this.#first[at] = this.#levels.add(r, () => null);
    this.#subjects.push({ r, device });
    return this.#first[at];
  }

  /** How many of its parts are as the rule wants them. */
  #count(r: number, device: number): number {
    let count = 0;
    for (const { name, holds } of this.#rules[r].parts) if (this.#context.holds(name, device) === holds) count++;
    return count;
  }

  endFrame(): void {
    const due = this.#timers.take(this.#context.place.clockMs).map((unit) => this.#subjects[unit]);
    // Units have other numbers after a restore, and the order of what they decide is part of the result.
    for (const { r, device } of due.sort((a, b) => a.device - b.device || a.r - b.r)) this.settle(r, device);
  }

  explain(device: number): Explanation[] {
    const name = this.#context.series.devices.name(device);
    return this.#rules.flatMap(({ rule, matches, parts }, r) => {
      if (!matches(name)) return [];
      const count = this.#count(r, device);
      const missing = parts.filter((part) => this.#context.holds(part.name, device) !== part.holds);
      const unit = this.#unit(r, device);
      const due = this.#levels.due(unit);
      return [
        {
          rule: rule.name,
          kind: 'combination' as const,
          metric: '',
          lastMs: null,
          value: count,
          levels: this.#levels.explain(unit),
          ...(due === Number.POSITIVE_INFINITY ? {} : { deadlineMs: due }),
          note: `${count} of ${rule.atLeast} needed; ${missing
            .map((part) => `${part.name} ${part.holds ? 'does not hold' : 'holds'}`)
            .join(', ')}`,
        },
      ];
    });
  }

  *needed(): Generator<number> {
    for (let unit = 0; unit < this.#subjects.length; unit++)
      if (this.#levels.isBusy(unit) || this.#timers.isSet(unit)) yield this.#subjects[unit].device;
  }

  /** timers: seconds that have passed; units: count, then of each with something to remember: key, device, second of its timer, level */
  save(out: StateWriter): void {
    out.varint(this.#timers.from);
    const busy = [...this.#subjects.keys()].filter((unit) => this.#levels.isBusy(unit) || this.#timers.isSet(unit));
    busy.sort(
      (a, b) => this.#subjects[a].device - this.#subjects[b].device || this.#subjects[a].r - this.#subjects[b].r,
    );
    out.varint(busy.length);
    for (const unit of busy) {
      const { r, device } = this.#subjects[unit];
      out.text(this.#levels.rules[r].key);
      out.varint(out.devices.number(device));
      out.varint(this.#timers.secondOf(unit));
      this.#levels.saveUnit(unit, out);
    }
  }

  restore(from: StateReader): void {
    this.#timers.restoreFrom(from.varint());
    for (let left = from.count(); left > 0; left--) {
      const key = from.text();
      const r = this.#levels.rules.findIndex((rule) => rule.key === key);
      const device = from.below(this.#context.series.devices.count, 'a device');
      const second = from.varint();
      const unit = r < 0 ? -1 : this.#unit(r, device);
      if (unit >= 0) this.#timers.restoreUnit(unit, second);
      this.#levels.restoreUnit(unit, 1, from);
    }
  }
}

interface Compiled {
  rule: CombinationRule;
  index: number;
  matches: (device: string) => boolean;
  parts: { name: string; holds: boolean }[];
}

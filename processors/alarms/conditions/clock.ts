import type { ClockRule } from '../../../model/alarm.ts';
import { matcher } from '../../../model/pattern.ts';
import { withRoom } from '../../columns.ts';
import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { Condition, ConditionContext, Explanation } from '../condition.ts';
import { type IndexedRule, LevelStates } from './levels.ts';

/**
 * Devices whose clock is wrong: the newest ts of a message is further ahead of the time received, or further behind it, than the rule
 * allows. Readings that are too far ahead to count for anything else count here. Time is that of the partition's clock, for the
 * device's own is what is in doubt. Messages without a time of their own say nothing.
 *
 * A device that sends what it has buffered looks as if its clock were behind; `forMs` tells the two apart.
 */
export class ClockConditions implements Condition {
  readonly #context: ConditionContext;
  readonly #rules: readonly { rule: ClockRule; matches: (device: string) => boolean }[];
  readonly #levels: LevelStates;
  /** By device · rules + rule: its first level, −1 before it was needed, UNMATCHED when the rule is not for it. */
  #first = new Int32Array(64).fill(UNSEEN);
  /** By device: by how much its last message was ahead of the time received, and when that was. */
  #ahead = new Float64Array(64).fill(Number.NaN);
  #at = new Float64Array(64);

  constructor(rules: readonly IndexedRule[], context: ConditionContext) {
    this.#context = context;
    this.#rules = rules.map(({ rule }) => ({ rule: rule as ClockRule, matches: matcher(rule.devices) }));
    this.#levels = new LevelStates(rules, context.place, context.onTurn, (device) => ({
      device,
      metric: '',
      watermarkMs: context.time.newest(device),
      shown: this.#ahead[device] / 1000,
    }));
  }

  seriesAdded(): void {}

  messageEnd(device: number, aheadMs: number): void {
    if (Number.isNaN(aheadMs)) return;
    const { clockMs } = this.#context.place;
    this.#ahead = withRoom(this.#ahead, device, Number.NaN);
    this.#at = withRoom(this.#at, device, 0);
    this.#ahead[device] = aheadMs;
    this.#at[device] = clockMs;
    for (let r = 0; r < this.#rules.length; r++) {
      const first = this.#firstOf(device, r);
      if (first >= 0) this.#levels.judge(first, device, clockMs, aheadMs);
    }
  }

  #firstOf(device: number, r: number): number {
    const at = device * this.#rules.length + r;
    this.#first = withRoom(this.#first, at, UNSEEN);
    if (this.#first[at] !== UNSEEN) return this.#first[at];
    const matches = this.#rules[r].matches(this.#context.series.devices.name(device));
    this.#first[at] = matches ? this.#levels.add(r, () => null) : UNMATCHED;
    return this.#first[at];
  }

  explain(device: number): Explanation[] {
    if (device >= this.#ahead.length || Number.isNaN(this.#ahead[device])) return [];
    return this.#rules.flatMap(({ rule }, r) => {
      const first = this.#firstOf(device, r);
      if (first < 0) return [];
      const levels = this.#levels.explain(first);
      return [
        {
          rule: rule.name,
          kind: 'clock' as const,
          metric: '',
          lastMs: this.#at[device],
          value: this.#ahead[device],
          levels,
        },
      ];
    });
  }

  /**
   *     devices    count of those that were heard, then of each: device, ahead, when
   *     units      count, then of each: key of the rule, count of its levels, device, levels
   */
  save(out: StateWriter): void {
    const heard = [...this.#ahead.keys()].filter(
      (device) => !Number.isNaN(this.#ahead[device]) && out.devices.has(device),
    );
    out.varint(heard.length);
    for (const device of heard) {
      out.varint(out.devices.number(device));
      out.f64(this.#ahead[device]);
      out.varint(this.#at[device]);
    }
    const units = heard.flatMap((device) =>
      this.#rules.map((_, r) => ({ device, r, first: this.#firstOf(device, r) })).filter(({ first }) => first >= 0),
    );
    out.varint(units.length);
    for (const { device, r, first } of units) {
      out.text(this.#levels.rules[r].key);
      out.varint(this.#levels.count(first));
      out.varint(out.devices.number(device));
      this.#levels.saveUnit(first, out);
    }
  }

  restore(from: StateReader): void {
    const devices = this.#context.series.devices.count;
    for (let left = from.count(); left > 0; left--) {
      const device = from.below(devices, 'a device');
      this.#ahead = withRoom(this.#ahead, device, Number.NaN);
      this.#at = withRoom(this.#at, device, 0);
      this.#ahead[device] = from.f64();
      this.#at[device] = from.varint();
    }
    for (let left = from.count(); left > 0; left--) {
      const key = from.text();
      const r = this.#levels.rules.findIndex((rule) => rule.key === key);
      const levels = from.varint();
      const device = from.below(devices, 'a device');
      this.#levels.restoreUnit(r < 0 ? -1 : this.#firstOf(device, r), levels, from);
    }
  }
}

const UNSEEN = -1;
const UNMATCHED = -2;

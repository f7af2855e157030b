import type { Evidence, RepeatRule } from '../../../model/alarm.ts';
import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { ConditionContext } from '../condition.ts';
import { EVIDENCE_MAX } from '../turn.ts';
import type { Measure } from './measured.ts';

/**
 * How many times a value went beyond a level within (ts − withinMs, ts], or how many readings were beyond it. Only the last `times` of them are
 * kept, for more are never needed. Whether it has become fewer is known with the next reading.
 */
export class RepeatMeasure implements Measure {
  readonly #rule: RepeatRule;
  readonly #sign: number;
  #level = 0;
  #clear = 0;
  #beyond = false;
  #times: Occurrence[] = [];

  constructor(rule: RepeatRule, device: number, context: ConditionContext) {
    this.#rule = rule;
    this.#sign = rule.above !== null ? 1 : -1;
    this.relevel(context, device);
  }

  relevel({ facts }: ConditionContext, device: number): void {
    const { above, below, clear, fromDevice } = this.#rule;
    const lookup = facts.levelOf(device);
    const threshold = lookup(fromDevice?.threshold ?? null) ?? above ?? below ?? 0;
    this.#level = threshold * this.#sign;
    this.#clear = Math.min((lookup(fromDevice?.clear ?? null) ?? clear) * this.#sign, this.#level);
  }

  push(tsMs: number, value: number, offset: number, index: number): number {
    const { times, withinMs, counting } = this.#rule;
    const level = value * this.#sign;
    const counts = level > this.#level && (counting === 'readings' || !this.#beyond);
    if (level > this.#level) this.#beyond = true;
    else if (level <= this.#clear) this.#beyond = false;
    if (counts) this.#times.push({ tsMs, value, offset, index });
    const from = this.#times.findIndex((one) => one.tsMs > tsMs - withinMs);
    this.#times.splice(0, from < 0 ? this.#times.length : Math.max(from, this.#times.length - times));
    return this.#times.length;
  }

  evidence(metric: string, partition: number): Evidence[] {
    return this.#times
      .slice(-EVIDENCE_MAX)
      .map(({ tsMs, value, offset, index }) => ({ partition, offset, index, metric, value, tsMs }));
  }

  note(): string {
    return `${this.#times.length} of ${this.#rule.times} times`;
  }

  save(out: StateWriter): void {
    out.varint(this.#beyond ? 1 : 0);
    out.varint(this.#times.length);
    for (const { tsMs, value, offset, index } of this.#times) {
      out.varint(tsMs);
      out.f64(value);
      out.varint(offset);
      out.varint(index);
    }
  }

  restore(from: StateReader): void {
    this.#beyond = from.below(2, 'a flag') === 1;
    for (let left = from.count(); left > 0; left--) {
      const tsMs = from.varint();
      const value = from.f64();
      this.#times.push({ tsMs, value, offset: from.varint(), index: from.varint() });
    }
  }
}

interface Occurrence {
  tsMs: number;
  value: number;
  offset: number;
  index: number;
}

import type { AlarmEvent, ThresholdRule } from '../../../model/alarm.ts';
import { matcher } from '../../../model/pattern.ts';
import { withRoom } from '../../columns.ts';
import type { SeriesDictionary } from '../../series.ts';
import type { StateReader, StateWriter } from '../../state-bytes.ts';
import { definitionOf, type OnTurn } from '../turn.ts';

/**
 * Threshold conditions over the readings of one partition, in event time, each (rule, series) by itself:
 *
 *                 value beyond threshold                    held for forMs
 *     normal ───────────────────────────────▶ pending ─────────────────────▶ active ──┐
 *       ▲ ▲       (forMs 0: at once active)      │                                    │
 *       │ └──── a value that is not beyond ──────┘                                    │
 *       └──────────────── value at or beyond `clear` ◀────────────────────────────────┘
 *
 * Only what readings say counts: that the condition has held for forMs is known when a reading says so, not when a device falls
 * silent. A reading older than the newest one of its series changes nothing. Which rules a series has is found out
 * once, when the series first comes; so a rule that does not match costs nothing.
 */
export class ThresholdConditions {
  readonly #rules: readonly CompiledRule[];
  readonly #series: SeriesDictionary;
  readonly #onTurn: OnTurn;
  /** By series: its first slot and how many it has, and the ts of the newest reading that was looked at. */
  #first = new Int32Array(1024);
  #slots = new Int32Array(1024);
  #newest = new Float64Array(1024);
  /** By slot: a (rule, series). */
  #rule = new Int32Array(256);
  #phase = new Uint8Array(256);
  #since = new Float64Array(256);
  #slotCount = 0;

  /** `rules` with their index among all rules. */
  constructor(rules: readonly { rule: ThresholdRule; index: number }[], series: SeriesDictionary, onTurn: OnTurn) {
    this.#rules = rules.map(compile);
    this.#series = series;
    this.#onTurn = onTurn;
  }

  /** A new series; called once for each, in order. */
  seriesAdded(series: number): void {
    this.#first = withRoom(this.#first, series, 0);
    this.#slots = withRoom(this.#slots, series, 0);
    this.#newest = withRoom(this.#newest, series, 0);
    this.#first[series] = this.#slotCount;
    this.#slots[series] = 0;
    this.#newest[series] = -1;
    const metric = this.#series.metric(series);
    for (let r = 0; r < this.#rules.length; r++) {
      const { rule, matches } = this.#rules[r];
      if (rule.metric !== metric || !matches(this.#series.device(series))) continue;
      const slot = this.#slotCount++;
      this.#rule = withRoom(this.#rule, slot, 0);
      this.#phase = withRoom(this.#phase, slot, 0);
      this.#since = withRoom(this.#since, slot, 0);
      this.#rule[slot] = r;
      this.#phase[slot] = NORMAL;
      this.#slots[series]++;
    }
  }

  /** Looks at a numeric reading. `ordinal` is its number within the message. */
  push(
    series: number,
    tsMs: number,
    value: number,
    partition: number,
    offset: number,
    index: number,
    ordinal: number,
    emit: (event: AlarmEvent) => void,
  ): void {
    const slots = this.#slots[series];
    if (slots === 0 || tsMs < this.#newest[series]) return;
    this.#newest[series] = tsMs;
    const first = this.#first[series];
    for (let slot = first; slot < first + slots; slot++) {
      const rule = this.#rules[this.#rule[slot]];
      const phase = this.#phase[slot];
      const level = value * rule.sign;
      if (phase === NORMAL) {
        if (level <= rule.level) continue;
        this.#since[slot] = tsMs;
        this.#phase[slot] = PENDING;
      } else if (phase === PENDING) {
        if (level <= rule.level) {
          this.#phase[slot] = NORMAL;
          continue;
        }
      } else {
        if (level > rule.clear) continue;
        this.#phase[slot] = NORMAL;
        this.#turn(slot, series, false, tsMs, value, partition, offset, index, ordinal, emit);
        continue;
      }
      if (tsMs - this.#since[slot] < rule.rule.forMs) continue;
      this.#phase[slot] = ACTIVE;
      this.#turn(slot, series, true, tsMs, value, partition, offset, index, ordinal, emit);
    }
  }

  #turn(
    slot: number,
    series: number,
    active: boolean,
    tsMs: number,
    value: number,
    partition: number,
    offset: number,
    index: number,
    ordinal: number,
    emit: (event: AlarmEvent) => void,
  ): void {
    const { rule, index: number, level, sign } = this.#rules[this.#rule[slot]];
    const turn = {
      rule: number,
      device: this.#series.deviceOf(series),
      active,
      severity: rule.severity,
      metric: rule.metric,
      value,
      threshold: level * sign,
      atMs: tsMs,
      position: { partition, offset, index },
      ordinal,
    };
    this.#onTurn(turn, emit);
  }

  /**
   *     rules      count, then the definition of each
   *     newest     of each series, + 1
   *     slots      count of those that are not normal: series, rule, phase, since
   */
  save(out: StateWriter): void {
    out.varint(this.#rules.length);
    for (const { key } of this.#rules) out.text(key);
    const count = this.#series.count;
    for (let s = 0; s < count; s++) out.varint(this.#newest[s] + 1);
    let busy = 0;
    for (let slot = 0; slot < this.#slotCount; slot++) if (this.#phase[slot] !== NORMAL) busy++;
    out.varint(busy);
    for (let s = 0; s < count; s++) {
      for (let slot = this.#first[s]; slot < this.#first[s] + this.#slots[s]; slot++) {
        if (this.#phase[slot] === NORMAL) continue;
        out.varint(s);
        out.varint(this.#rule[slot]);
        out.varint(this.#phase[slot]);
        out.varint(this.#since[slot]);
      }
    }
  }

  /** After `seriesAdded` was called for every series. States of rules that are still defined in the same way go on; the others start afresh. */
  restore(from: StateReader): void {
    const now: number[] = [];
    for (let left = from.count(); left > 0; left--) {
      const key = from.text();
      now.push(this.#rules.findIndex((r) => r.key === key));
    }
    const count = this.#series.count;
    for (let s = 0; s < count; s++) this.#newest[s] = from.varint() - 1;
    for (let left = from.count(); left > 0; left--) {
      const series = from.below(count, 'a series');
      const before = from.below(now.length, 'a rule');
      const phase = from.below(ACTIVE + 1, 'a phase');
      const since = from.varint();
      const slot = this.#slotOf(series, now[before]);
      if (slot < 0) continue;
      this.#phase[slot] = phase;
      this.#since[slot] = since;
    }
  }

  #slotOf(series: number, rule: number): number {
    if (rule < 0) return -1;
    for (let slot = this.#first[series]; slot < this.#first[series] + this.#slots[series]; slot++) {
      if (this.#rule[slot] === rule) return slot;
    }
    return -1;
  }
}

const NORMAL = 0;
const PENDING = 1;
const ACTIVE = 2;

interface CompiledRule {
  rule: ThresholdRule;
  /** Among all rules. */
  index: number;
  matches: (device: string) => boolean;
  /** 1 for above, −1 for below, so that one comparison serves both: value · sign > level. */
  sign: number;
  level: number;
  clear: number;
  /** Name and definition. */
  key: string;
}

function compile({ rule, index }: { rule: ThresholdRule; index: number }): CompiledRule {
  const sign = rule.above !== null ? 1 : -1;
  const threshold = rule.above ?? rule.below ?? 0;
  return {
    rule,
    index,
    matches: matcher(rule.devices),
    sign,
    level: threshold * sign,
    clear: rule.clear * sign,
    key: JSON.stringify([rule.name, definitionOf(rule)]),
  };
}

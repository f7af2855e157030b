import type { AlarmRule, DeviceKeys, Evidence, Severity } from '../../../model/alarm.ts';
import { withRoom } from '../../columns.ts';
import type { StateReader, StateWriter } from '../../state-bytes.ts';
import { definitionOf, type OnTurn, type Place } from '../turn.ts';

/**
 * The levels at which conditions begin and cease to hold. Each condition makes a number of what it looks at (a value, a rate, a
 * count, 1 for true); here it is compared, for each (rule, unit) and each level of the rule by itself:
 *
 *                 value beyond the level                    held for forMs
 *     normal ───────────────────────────────▶ pending ─────────────────────▶ active ──┐
 *       ▲ ▲       (forMs 0: at once active)      │                                    │
 *       │ └──── a value that is not beyond ──────┘                                    │
 *       └──────────────── value at or beyond `clear` ◀────────────────────────────────┘
 *
 * The gravest active level is the severity. A unit is a series or a device, as the condition has it. The levels of one (rule, unit)
 * lie side by side in columns, the mildest first; `add` gives the first.
 */
export class LevelStates {
  readonly rules: readonly LevelledRule[];
  /** By slot. */
  phase = new Uint8Array(64);
  /** Times the sign, so that one comparison serves both directions. */
  level = new Float64Array(64);
  sign = new Int8Array(64);
  /** Which level of which rule: an index into #rungs. */
  #kind = new Int32Array(64);
  /** All levels of all rules; those of a rule stand together, its first at #kindOf. */
  readonly #rungs: readonly { rule: number; rung: number; level: CompiledLevel }[];
  readonly #kindOf: readonly number[];
  /** Where a slot's clear, times the sign, is not that of its rule: devices with levels of their own. */
  readonly #ownClear = new Map<number, number>();
  /** What began where the phase is not normal. Most slots are normal, so nothing is kept for each. */
  readonly #began = new Map<number, Began>();
  #slots = 0;
  readonly #place: Place;
  readonly #onTurn: OnTurn;
  readonly #describe: Describe;

  constructor(rules: readonly IndexedRule[], place: Place, onTurn: OnTurn, describe: Describe) {
    this.rules = rules.map(({ rule, index }) => ({
      rule,
      index,
      levels: levelsOf(rule),
      key: JSON.stringify([rule.name, definitionOf(rule)]),
    }));
    this.#rungs = this.rules.flatMap(({ levels }, r) => levels.map((level, rung) => ({ rule: r, rung, level })));
    this.#kindOf = this.rules.map((_, r) => this.#rungs.findIndex(({ rule }) => rule === r));
    this.#place = place;
    this.#onTurn = onTurn;
    this.#describe = describe;
  }

  /** Slots for all levels of a rule; returns the first. `r` is the index into `rules`. */
  add(r: number, lookup: DeviceLevel): number {
    const first = this.#slots;
    const { levels } = this.rules[r];
    for (let rung = 0; rung < levels.length; rung++) {
      const slot = this.#slots++;
      this.phase = withRoom(this.phase, slot, 0);
      this.level = withRoom(this.level, slot, 0);
      this.sign = withRoom(this.sign, slot, 0);
      this.#kind = withRoom(this.#kind, slot, 0);
      this.phase[slot] = NORMAL;
      this.#kind[slot] = this.#kindOf[r] + rung;
    }
    this.relevel(first, lookup);
    return first;
  }

  /** The levels of a unit from the numbers of the rule and those of the device's registry entry. */
  relevel(first: number, lookup: DeviceLevel): void {
    const { levels } = this.rules[this.ruleOf(first)];
    levels.forEach(({ sign, threshold, clear, fromDevice }, rung) => {
      const own = lookup(fromDevice?.threshold ?? null) ?? threshold;
      // Without a clear level for the device, its threshold itself, or the rule's clear where that is on the right side.
      const ownClear =
        lookup(fromDevice?.clear ?? null) ?? (own === threshold || clear * sign < own * sign ? clear : own);
      this.sign[first + rung] = sign;
      this.level[first + rung] = own * sign;
      if (own === threshold && ownClear === clear) this.#ownClear.delete(first + rung);
      else this.#ownClear.set(first + rung, Math.min(ownClear * sign, own * sign));
    });
  }

  /** At or below which a slot is normal again, times the sign. */
  #clear(slot: number): number {
    const own = this.#ownClear.get(slot);
    if (own !== undefined) return own;
    const { sign, threshold, clear } = this.#rungs[this.#kind[slot]].level;
    return Math.min(clear * sign, threshold * sign);
  }

  /** How many slots the unit at `first` has. */
  count(first: number): number {
    return this.rules[this.ruleOf(first)].levels.length;
  }

  /** The index into `rules`. */
  ruleOf(first: number): number {
    return this.#rungs[this.#kind[first]].rule;
  }

  /** Whether any level has something to remember. */
  isBusy(first: number): boolean {
    for (let slot = first; slot < first + this.count(first); slot++) if (this.phase[slot] !== NORMAL) return true;
    return false;
  }

  isActive(first: number): boolean {
    return this.#gravest(first) >= 0;
  }

  /** Judges a number for all levels of a unit. */
  judge(first: number, unit: number, tsMs: number, value: number): void {
    const count = this.count(first);
    for (let slot = first; slot < first + count; slot++) {
      if (this.phase[slot] === NORMAL && !(value * this.sign[slot] > this.level[slot])) continue;
      this.step(slot, unit, tsMs, value);
      return;
    }
  }

  /**
   * Judges a number from this slot of a unit on; those before it are normal, and stay so. Returns the last slot of the unit.
   */
  step(from: number, unit: number, tsMs: number, value: number): number {
    const first = from - this.#rungs[this.#kind[from]].rung;
    const last = first + this.count(first) - 1;
    const before = this.#gravest(first);
    for (let slot = from; slot <= last; slot++) this.#one(slot, tsMs, value);
    const after = this.#gravest(first);
    if (after !== before) this.#report(first, unit, before, after, tsMs, value);
    return last;
  }

  #one(slot: number, tsMs: number, value: number): void {
    const level = value * this.sign[slot];
    const phase = this.phase[slot];
    if (phase === ACTIVE) {
      if (level <= this.#clear(slot)) this.#end(slot);
      return;
    }
    if (!(level > this.level[slot])) {
      if (level <= this.level[slot]) this.#end(slot);
      return;
    }
    if (phase === NORMAL) {
      this.phase[slot] = PENDING;
      this.#began.set(slot, { sinceMs: tsMs, offset: this.#place.offset, index: this.#place.index, value });
    }
    if (tsMs - this.#since(slot) >= this.rules[this.ruleOf(slot)].rule.forMs) this.phase[slot] = ACTIVE;
  }

  #end(slot: number): void {
    if (this.phase[slot] === NORMAL) return;
    this.phase[slot] = NORMAL;
    this.#began.delete(slot);
  }

  /** Since when a slot that is not normal has been beyond. */
  #since(slot: number): number {
    return this.#began.get(slot)!.sinceMs;
  }

  /** The gravest level that is active, −1 for none. */
  #gravest(first: number): number {
    for (let rung = this.count(first) - 1; rung >= 0; rung--) if (this.phase[first + rung] === ACTIVE) return rung;
    return -1;
  }

  #report(first: number, unit: number, before: number, after: number, tsMs: number, value: number): void {
    const { levels, index } = this.rules[this.ruleOf(first)];
    const rung = after >= 0 ? after : before;
    const slot = first + rung;
    const place = this.#place;
    const { device, metric, watermarkMs, evidence, shown, limit } = this.#describe(unit, this.ruleOf(first));
    this.#onTurn(
      {
        rule: index,
        device,
        active: after >= 0,
        severity: levels[rung].severity,
        metric,
        value: shown ?? value,
        threshold: limit ?? (levels[rung].truth ? Number.NaN : this.level[slot] * this.sign[slot]),
        atMs: tsMs,
        position: place.position(),
        ordinal: place.ordinal,
        evidence: evidence ?? this.#evidence(slot, after >= 0, metric, tsMs, value),
        watermarkMs,
      },
      place.emit,
    );
  }

  /** The reading that began it, where that is another one, and the one that decided. */
  #evidence(slot: number, active: boolean, metric: string, tsMs: number, value: number): Evidence[] {
    const deciding = { ...this.#place.position(), metric, value, tsMs };
    if (!active || this.#since(slot) === tsMs) return [deciding];
    const { sinceMs, offset, index, value: began } = this.#began.get(slot)!;
    return [{ ...deciding, offset, index, value: began, tsMs: sinceMs }, deciding];
  }

  /** The earliest time at which a pending level is due, Infinity for never. */
  due(first: number): number {
    let due = Number.POSITIVE_INFINITY;
    for (let slot = first; slot < first + this.count(first); slot++) {
      if (this.phase[slot] === PENDING)
        due = Math.min(due, this.#since(slot) + this.rules[this.ruleOf(slot)].rule.forMs);
    }
    return due;
  }

  /** Where each level of a unit stands, for people. */
  explain(first: number): LevelState[] {
    const { levels, rule } = this.rules[this.ruleOf(first)];
    return levels.map(({ severity, sign }, rung) => {
      const slot = first + rung;
      const phase = PHASES[this.phase[slot]];
      return {
        severity,
        direction: sign > 0 ? 'above' : 'below',
        threshold: this.level[slot] * sign,
        clear: this.#clear(slot) * sign,
        phase,
        sinceMs: phase === 'normal' ? null : this.#since(slot),
        dueMs: phase === 'pending' ? this.#since(slot) + rule.forMs : null,
      };
    });
  }

  /** What the levels of a unit remember. */
  saveUnit(first: number, out: StateWriter): void {
    for (let slot = first; slot < first + this.count(first); slot++) {
      out.varint(this.phase[slot]);
      if (this.phase[slot] === NORMAL) continue;
      const { sinceMs, offset, index, value } = this.#began.get(slot)!;
      out.f64(sinceMs);
      out.f64(offset);
      out.f64(index);
      out.f64(value);
    }
  }

  /** Reads what `saveUnit` wrote; `first` −1 passes over `count` levels. */
  restoreUnit(first: number, count: number, from: StateReader): void {
    for (let rung = 0; rung < count; rung++) {
      const phase = from.below(ACTIVE + 1, 'a phase');
      if (first >= 0) this.phase[first + rung] = phase;
      if (phase === NORMAL) continue;
      const began = { sinceMs: from.f64(), offset: from.f64(), index: from.f64(), value: from.f64() };
      if (first >= 0) this.#began.set(first + rung, began);
    }
  }
}

/** When a level was passed, and by which reading. */
interface Began {
  sinceMs: number;
  offset: number;
  index: number;
  value: number;
}

export interface IndexedRule {
  rule: AlarmRule;
  /** Among all rules. */
  index: number;
}

interface LevelledRule extends IndexedRule {
  levels: readonly CompiledLevel[];
  /** Name and definition. */
  key: string;
}

interface CompiledLevel {
  severity: Severity;
  /** 1 for above, −1 for below. */
  sign: number;
  threshold: number;
  clear: number;
  fromDevice: DeviceKeys | undefined;
  /** It is true or false that is judged, so that there is no threshold to show. */
  truth: boolean;
}

/** A threshold of the device by its name, null where there is none. */
export type DeviceLevel = (name: string | null) => number | null;

/** Whom a turn is about, and what decided it: the reading at hand where `evidence` is left out. */
export type Describe = (
  unit: number,
  rule: number,
) => {
  device: number;
  metric: string;
  watermarkMs: number;
  evidence?: readonly Evidence[];
  /** What people are shown instead of what was compared. */
  shown?: number;
  limit?: number;
};

/** How near a level is. */
export interface LevelState {
  severity: Severity;
  direction: 'above' | 'below';
  threshold: number;
  clear: number;
  phase: 'normal' | 'pending' | 'active';
  /** Since when it has been beyond; null while it is not. */
  sinceMs: number | null;
  /** When a pending one becomes active if nothing changes. */
  dueMs: number | null;
}

export const NORMAL = 0;
const PENDING = 1;
const ACTIVE = 2;
const PHASES = ['normal', 'pending', 'active'] as const;

function levelsOf(rule: AlarmRule): CompiledLevel[] {
  const { severity } = rule;
  const truth = (threshold: number, sign = 1, isTruth = true): CompiledLevel => ({
    severity,
    sign,
    threshold: threshold * sign,
    clear: threshold * sign,
    fromDevice: undefined,
    truth: isTruth,
  });
  switch (rule.kind) {
    case 'repeat':
      return [{ ...truth(rule.times - 0.5), truth: true }];
    case 'clock':
      return [
        ...(rule.aheadMs !== null ? [truth(rule.aheadMs, 1, false)] : []),
        ...(rule.behindMs !== null ? [truth(rule.behindMs, -1, false)] : []),
      ];
    case 'silence':
    case 'combination':
      return [truth(0.5)];
    case 'expression':
      if (rule.above === null && rule.below === null) return [truth(0.5)];
  }
  const sign = rule.above !== null ? 1 : -1;
  const { fromDevice, levels = [] } = rule.kind === 'expression' ? {} : rule;
  const base = {
    severity,
    sign,
    threshold: rule.above ?? rule.below ?? 0,
    clear: rule.clear,
    fromDevice,
    truth: false,
  };
  const further = levels.map((level) => ({ ...level, sign, fromDevice: level.fromDevice, truth: false }));
  return [base, ...further.sort((a, b) => (a.threshold - b.threshold) * sign)];
}

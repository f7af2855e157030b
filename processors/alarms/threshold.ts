import { createHash } from 'node:crypto';
import type { Alarm, AlarmEvent, Position, ThresholdRule } from '../../model/alarm.ts';
import { matcher } from '../../model/pattern.ts';
import { withRoom } from '../columns.ts';
import type { SeriesDictionary } from '../series.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';

/**
 * Threshold rules over the readings of one partition, in event time, each (rule, device) by itself:
 *
 *                 value beyond threshold                    held for forMs
 *     normal ───────────────────────────────▶ pending ─────────────────────▶ raised ──┐
 *       ▲ ▲       (forMs 0: at once raised)      │                                    │
 *       │ └──── a value that is not beyond ──────┘                                    │
 *       └──────────────── value at or beyond `clear` ◀────────────────────────────────┘
 *
 * Only what readings say counts: that the condition has held for forMs is known when a reading says so, not when a device falls
 * silent. A reading older than the newest one of its series changes nothing. Which rules a series has is found out
 * once, when the series first comes; so a rule that does not match costs nothing.
 */
export class ThresholdAlarms {
  readonly #rules: readonly CompiledRule[];
  readonly #series: SeriesDictionary;
  /** By series: its first slot and how many it has, and the ts of the newest reading that was looked at. */
  #first = new Int32Array(1024);
  #slots = new Int32Array(1024);
  #newest = new Float64Array(1024);
  /** By slot: a (rule, series). */
  #rule = new Int32Array(256);
  #phase = new Uint8Array(256);
  #since = new Float64Array(256);
  #slotCount = 0;
  readonly #raised = new Map<number, Raised>();

  constructor(rules: readonly ThresholdRule[], series: SeriesDictionary) {
    this.#rules = rules.map(compile);
    this.#series = series;
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
        if (level <= rule.clear) emit(this.#clear(slot, series, tsMs, value, { partition, offset, index }));
        continue;
      }
      if (tsMs - this.#since[slot] >= rule.rule.forMs) {
        emit(this.#raise(slot, series, tsMs, value, { partition, offset, index }, ordinal));
      }
    }
  }

  #raise(slot: number, series: number, tsMs: number, value: number, position: Position, ordinal: number): AlarmEvent {
    const { rule } = this.#rules[this.#rule[slot]];
    const device = this.#series.device(series);
    const raised: Raised = {
      rule: rule.name,
      series,
      id: alarmId(rule.name, device, position, ordinal),
      raisedMs: tsMs,
      value,
      severity: rule.severity,
      message: messageOf(rule, device, value),
    };
    this.#phase[slot] = RAISED;
    this.#raised.set(slot, raised);
    return { alarm: this.#alarm(raised, 'raised', null, value, 1), atMs: tsMs, position };
  }

  #clear(slot: number, series: number, tsMs: number, value: number, position: Position): AlarmEvent {
    const raised = this.#raised.get(slot) as Raised;
    this.#phase[slot] = NORMAL;
    this.#raised.delete(slot);
    this.#newest[series] = tsMs;
    return { alarm: this.#alarm(raised, 'cleared', tsMs, value, 2), atMs: tsMs, position };
  }

  #alarm(raised: Raised, state: Alarm['state'], clearedMs: number | null, value: number, version: number): Alarm {
    return {
      id: raised.id,
      rule: raised.rule,
      device: this.#series.device(raised.series),
      metric: this.#series.metric(raised.series),
      severity: raised.severity as Alarm['severity'],
      state,
      raisedMs: raised.raisedMs,
      ackedMs: null,
      clearedMs,
      value,
      message: raised.message,
      version,
    };
  }

  /**
   *     rules      count, then name and definition of each
   *     newest     of each series, + 1
   *     slots      count of those that are not normal: series, rule, phase, since; when raised id, raisedMs, value, severity, message
   */
  save(out: StateWriter): void {
    out.varint(this.#rules.length);
    for (const { rule, definition } of this.#rules) {
      out.text(rule.name);
      out.text(definition);
    }
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
        if (this.#phase[slot] !== RAISED) continue;
        const raised = this.#raised.get(slot) as Raised;
        out.text(raised.id);
        out.varint(raised.raisedMs);
        out.f64(raised.value);
        out.text(raised.severity);
        out.text(raised.message);
      }
    }
  }

  /**
   * After `seriesAdded` was called for every series. States of rules that are still defined in the same way go on; the others
   * start afresh, and their raised alarms are given back, so that somebody clears them: no reading ever would.
   */
  restore(from: StateReader): Orphan[] {
    const now: number[] = [];
    const names: string[] = [];
    for (let left = from.count(); left > 0; left--) {
      const name = from.text();
      const definition = from.text();
      names.push(name);
      now.push(this.#rules.findIndex((r) => r.rule.name === name && r.definition === definition));
    }
    const count = this.#series.count;
    for (let s = 0; s < count; s++) this.#newest[s] = from.varint() - 1;
    const orphans: Orphan[] = [];
    for (let left = from.count(); left > 0; left--) {
      const series = from.below(count, 'a series');
      const before = from.below(names.length, 'a rule');
      const phase = from.below(RAISED + 1, 'a phase');
      const since = from.varint();
      let raised: Raised | null = null;
      if (phase === RAISED) {
        const id = from.text();
        const raisedMs = from.varint();
        const value = from.f64();
        raised = { rule: names[before], series, id, raisedMs, value, severity: from.text(), message: from.text() };
      }
      const slot = this.#slotOf(series, now[before]);
      if (slot >= 0) {
        this.#phase[slot] = phase;
        this.#since[slot] = since;
        if (raised !== null) this.#raised.set(slot, raised);
      } else if (raised !== null) {
        const open = raised;
        orphans.push((atMs, position) => ({
          alarm: this.#alarm(open, 'cleared', atMs, open.value, 2),
          atMs,
          position,
        }));
      }
    }
    return orphans;
  }

  #slotOf(series: number, rule: number): number {
    if (rule < 0) return -1;
    for (let slot = this.#first[series]; slot < this.#first[series] + this.#slots[series]; slot++) {
      if (this.#rule[slot] === rule) return slot;
    }
    return -1;
  }
}

/** A raised alarm whose rule is gone or defined in another way: makes the event that clears it. */
export type Orphan = (atMs: number, position: Position) => AlarmEvent;

const NORMAL = 0;
const PENDING = 1;
const RAISED = 2;

interface Raised {
  rule: string;
  series: number;
  id: string;
  raisedMs: number;
  value: number;
  severity: string;
  message: string;
}

interface CompiledRule {
  rule: ThresholdRule;
  matches: (device: string) => boolean;
  /** 1 for above, −1 for below, so that one comparison serves both: value · sign > level. */
  sign: number;
  level: number;
  clear: number;
  /** What the state of the rule depends on; text and severity do not. */
  definition: string;
}

function compile(rule: ThresholdRule): CompiledRule {
  const sign = rule.above !== null ? 1 : -1;
  const threshold = rule.above ?? rule.below ?? 0;
  return {
    rule,
    matches: matcher(rule.devices),
    sign,
    level: threshold * sign,
    clear: rule.clear * sign,
    definition: JSON.stringify([rule.kind, rule.metric, rule.devices, rule.above, rule.below, rule.clear, rule.forMs]),
  };
}

/** 80 bits of SHA-256 as 20 hexadecimal digits: the same after a replay, another for each raise. */
function alarmId(rule: string, device: string, position: Position, ordinal: number): string {
  const { partition, offset, index } = position;
  return createHash('sha256')
    .update(JSON.stringify([rule, device, partition, offset, index, ordinal]))
    .digest('hex')
    .slice(0, 20);
}

function messageOf(rule: ThresholdRule, device: string, value: number): string {
  const parts: Record<string, string> = {
    '{device}': device,
    '{metric}': rule.metric,
    '{value}': String(value),
    '{threshold}': String(rule.above ?? rule.below),
  };
  return rule.message.replace(/\{(?:device|metric|value|threshold)\}/g, (name) => parts[name]);
}

import { createHash } from 'node:crypto';
import type { Alarm, AlarmEvent, AlarmRule, Position } from '../../model/alarm.ts';
import type { SeriesDictionary } from '../series.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import { definitionOf, type Turn } from './turn.ts';

/**
 * The lives of alarms: what becomes of a condition's turns. At most one open alarm of a rule and device.
 *
 *     condition begins to hold ─▶ raised (a new id) ─▶ condition ceases ─▶ cleared
 */
export class AlarmLife {
  readonly #rules: readonly AlarmRule[];
  readonly #definitions: readonly string[];
  readonly #series: SeriesDictionary;
  /** By device, then by rule. */
  readonly #open = new Map<number, Map<number, Open>>();
  #count = 0;

  constructor(rules: readonly AlarmRule[], series: SeriesDictionary) {
    this.#rules = rules;
    this.#definitions = rules.map(definitionOf);
    this.#series = series;
  }

  turn(turn: Turn, emit: (event: AlarmEvent) => void): void {
    const { rule, device, atMs, position, value } = turn;
    const open = this.#open.get(device)?.get(rule);
    if (turn.active && open === undefined) {
      const raised = this.#raise(turn);
      emit({ alarm: this.#alarm(raised, 'raised', null, value, 1), atMs, position });
    } else if (!turn.active && open !== undefined) {
      this.#remove(device, rule);
      emit({ alarm: this.#alarm(open, 'cleared', atMs, value, 2), atMs, position });
    }
  }

  #raise(turn: Turn): Open {
    const rule = this.#rules[turn.rule];
    const device = this.#series.devices.name(turn.device);
    const open: Open = {
      rule: rule.name,
      device,
      metric: turn.metric,
      id: alarmId(rule.name, device, turn.position, turn.ordinal),
      raisedMs: turn.atMs,
      value: turn.value,
      severity: turn.severity,
      message: messageOf(rule.message, device, turn),
    };
    this.#keep(turn.device, turn.rule, open);
    return open;
  }

  #keep(device: number, rule: number, open: Open): void {
    let of = this.#open.get(device);
    if (of === undefined) {
      of = new Map();
      this.#open.set(device, of);
    }
    of.set(rule, open);
    this.#count++;
  }

  #remove(device: number, rule: number): void {
    const of = this.#open.get(device);
    of?.delete(rule);
    if (of?.size === 0) this.#open.delete(device);
    this.#count--;
  }

  #alarm(open: Open, state: Alarm['state'], clearedMs: number | null, value: number, version: number): Alarm {
    const { id, rule, device, metric, severity, raisedMs, message } = open;
    return { id, rule, device, metric, severity, state, raisedMs, ackedMs: null, clearedMs, value, message, version };
  }

  /**
   *     rules    count, then name and definition of each
   *     open     count, then for each: device, rule, id, metric, raisedMs, value, severity, message
   */
  save(out: StateWriter): void {
    out.varint(this.#rules.length);
    for (let r = 0; r < this.#rules.length; r++) {
      out.text(this.#rules[r].name);
      out.text(this.#definitions[r]);
    }
    out.varint(this.#count);
    for (const [device, of] of this.#open) {
      for (const [rule, open] of of) {
        out.varint(device);
        out.varint(rule);
        out.text(open.id);
        out.text(open.metric);
        out.varint(open.raisedMs);
        out.f64(open.value);
        out.text(open.severity);
        out.text(open.message);
      }
    }
  }

  /**
   * Alarms of rules that are still defined in the same way go on. The others are given back, so that somebody clears them: no
   * reading ever would.
   */
  restore(from: StateReader): Orphan[] {
    const rules: { name: string; now: number }[] = [];
    for (let left = from.count(); left > 0; left--) {
      const name = from.text();
      const definition = from.text();
      const now = this.#rules.findIndex((rule, r) => rule.name === name && this.#definitions[r] === definition);
      rules.push({ name, now });
    }
    const orphans: Orphan[] = [];
    for (let left = from.count(); left > 0; left--) {
      const device = from.below(this.#series.devices.count, 'a device');
      const rule = rules[from.below(rules.length, 'a rule')];
      const id = from.text();
      const metric = from.text();
      const raisedMs = from.varint();
      const value = from.f64();
      const severity = from.text() as Open['severity'];
      const open = {
        rule: rule.name,
        device: this.#series.devices.name(device),
        metric,
        id,
        raisedMs,
        value,
        severity,
        message: from.text(),
      };
      if (rule.now >= 0) this.#keep(device, rule.now, open);
      else {
        orphans.push((atMs, position) => ({
          alarm: this.#alarm(open, 'cleared', atMs, open.value, 2),
          atMs,
          position,
        }));
      }
    }
    return orphans;
  }
}

/** A raised alarm whose rule is gone or defined in another way: makes the event that clears it. */
export type Orphan = (atMs: number, position: Position) => AlarmEvent;

interface Open {
  rule: string;
  device: string;
  metric: string;
  id: string;
  raisedMs: number;
  value: number;
  severity: Alarm['severity'];
  message: string;
}

/** 80 bits of SHA-256 as 20 hexadecimal digits: the same after a replay, another for each raise. */
function alarmId(rule: string, device: string, position: Position, ordinal: number): string {
  const { partition, offset, index } = position;
  return createHash('sha256')
    .update(JSON.stringify([rule, device, partition, offset, index, ordinal]))
    .digest('hex')
    .slice(0, 20);
}

function messageOf(message: string, device: string, { metric, value, threshold }: Turn): string {
  const parts: Record<string, string> = {
    '{device}': device,
    '{metric}': metric,
    '{value}': String(value),
    '{threshold}': String(threshold),
  };
  return message.replace(/\{(?:device|metric|value|threshold)\}/g, (name) => parts[name]);
}

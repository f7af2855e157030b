import type { Alarm, AlarmRule } from '../../model/alarm.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import { type AlarmCase, restoreCase, saveCase } from './alarm-case.ts';
import { DueQueue } from './due-queue.ts';
import { definitionOf } from './turn.ts';

/** The cases of a partition, by device and rule, with their timers. */
export class CaseTable {
  readonly #rules: readonly AlarmRule[];
  readonly #definitions: readonly string[];
  /** By device, then by rule. */
  readonly #cases = new Map<number, Map<number, AlarmCase>>();
  readonly #due = new DueQueue();

  constructor(rules: readonly AlarmRule[]) {
    this.#rules = rules;
    this.#definitions = rules.map(definitionOf);
  }

  find(device: number, rule: number): AlarmCase | undefined {
    return this.#cases.get(device)?.get(rule);
  }

  add(c: AlarmCase): AlarmCase {
    let of = this.#cases.get(c.device);
    if (of === undefined) {
      of = new Map();
      this.#cases.set(c.device, of);
    }
    of.set(c.rule, c);
    return c;
  }

  remove(c: AlarmCase): void {
    const of = this.#cases.get(c.device);
    c.dueMs = Number.POSITIVE_INFINITY;
    if (of?.get(c.rule) !== c) return;
    of.delete(c.rule);
    if (of.size === 0) this.#cases.delete(c.device);
  }

  /** All of them in the order of device and rule, as they are now: what is removed meanwhile is still in it. */
  all(): AlarmCase[] {
    return [...this.#cases.values()]
      .flatMap((of) => [...of.values()])
      .sort((a, b) => a.device - b.device || a.rule - b.rule);
  }

  get isEmpty(): boolean {
    return this.#cases.size === 0;
  }

  /** Devices that have any. */
  devices(): Iterable<number> {
    return this.#cases.keys();
  }

  /** Sets the timer of a case; Infinity stops it. */
  schedule(c: AlarmCase, dueMs: number): void {
    if (dueMs === c.dueMs) return;
    c.dueMs = dueMs;
    if (dueMs !== Number.POSITIVE_INFINITY) this.#due.push({ dueMs, device: c.device, rule: c.rule });
  }

  /** A case whose time has come, its timer stopped; null when there is none. */
  takeDue(clockMs: number): AlarmCase | null {
    while (this.#due.nextMs <= clockMs) {
      const { device, rule, dueMs } = this.#due.pop();
      const c = this.find(device, rule);
      if (c === undefined || c.dueMs !== dueMs) continue;
      c.dueMs = Number.POSITIVE_INFINITY;
      return c;
    }
    return null;
  }

  /**
   *     rules    count, then name and definition of each
   *     cases    count, then for each: device, rule, and what saveCase says
   */
  save(out: StateWriter): void {
    out.varint(this.#rules.length);
    for (let r = 0; r < this.#rules.length; r++) {
      out.text(this.#rules[r].name);
      out.text(this.#definitions[r]);
    }
    const cases = this.all();
    out.varint(cases.length);
    for (const c of cases) {
      out.varint(out.devices.number(c.device));
      out.varint(c.rule);
      saveCase(c, out);
    }
  }

  /** Returns the alarms whose rule has gone, and what number a saved rule has now (−1: it has gone). Sets no timers. */
  restore(from: StateReader, devices: number): { orphans: Alarm[]; now: (rule: number) => number } {
    const rules: number[] = [];
    for (let left = from.count(); left > 0; left--) {
      const name = from.text();
      const definition = from.text();
      rules.push(this.#rules.findIndex((rule, r) => rule.name === name && this.#definitions[r] === definition));
    }
    const orphans: Alarm[] = [];
    for (let left = from.count(); left > 0; left--) {
      const device = from.below(devices, 'a device');
      const rule = rules[from.below(rules.length, 'a rule')];
      const c = restoreCase(rule, device, from);
      if (rule >= 0) this.add(c);
      else if (c.record !== null) orphans.push(c.record.alarm);
    }
    return { orphans, now: (rule) => rules[rule] ?? -1 };
  }
}

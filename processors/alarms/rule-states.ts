import { type AlarmRule, type Evidence, SEVERITIES } from '../../model/alarm.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import type { Explanation } from './condition.ts';
import { OpeningHours } from './schedule.ts';
import { definitionOf, type Place, type Turn } from './turn.ts';

/**
 * Which rules hold for which devices, after their schedules. A condition goes on while its schedule is closed: when it opens, what
 * holds then begins to count, and when it closes, what holds ceases to. Schedules go by the partition's clock, so that they close though
 * a device says nothing more.
 */
export class RuleStates {
  readonly #rules: readonly AlarmRule[];
  readonly #hours: readonly (OpeningHours | null)[];
  readonly #place: Place;
  /** By rule, what its condition said last for each device for which it holds. */
  readonly #held: readonly Map<number, Held>[];
  /** By rule, whether its schedule was open when the last frame ended, and whether something may have changed since. */
  readonly #wasOpen: boolean[];
  readonly #stale: boolean[];
  readonly #scheduled: readonly number[];

  constructor(rules: readonly AlarmRule[], place: Place) {
    this.#rules = rules;
    this.#place = place;
    this.#hours = rules.map(({ schedule }) => (schedule ? new OpeningHours(schedule) : null));
    this.#held = rules.map(() => new Map());
    this.#wasOpen = rules.map(() => false);
    this.#stale = rules.map(() => true);
    this.#scheduled = [...rules.keys()].filter((rule) => this.#hours[rule] !== null);
  }

  holds(rule: number, device: number): boolean {
    return this.#held[rule].get(device)?.counts === true;
  }

  evidenceOf(rule: number, device: number): readonly Evidence[] {
    const held = this.#held[rule].get(device);
    return held?.counts === true ? held.evidence : [];
  }

  /** Takes a turn of a condition; false when it is not to count, because the schedule is closed. */
  take(turn: Turn): boolean {
    const { rule, device, active, severity, metric, value, threshold, evidence } = turn;
    const hours = this.#hours[rule];
    const counts = hours === null || hours.isOpen(this.#place.clockMs);
    const before = this.#held[rule].get(device);
    if (!active) {
      this.#held[rule].delete(device);
      return before?.counts === true;
    }
    // What has begun to count goes on until the end of the frame in which the schedule closes.
    const goesOn = counts || before?.counts === true;
    this.#held[rule].set(device, { counts: goesOn, severity, metric, value, threshold, evidence });
    this.#stale[rule] = true;
    return goesOn;
  }

  /** Devices for which any rule holds. */
  *needed(): Generator<number> {
    for (const held of this.#held) yield* held.keys();
  }

  /** At the end of a frame: the turns of schedules that have opened or closed. */
  endFrame(turned: (turn: Turn) => void): void {
    for (const rule of this.#scheduled) {
      const open = this.#hours[rule]?.isOpen(this.#place.clockMs) === true;
      if (open === this.#wasOpen[rule] && !this.#stale[rule]) continue;
      this.#wasOpen[rule] = open;
      this.#stale[rule] = false;
      const devices = [...this.#held[rule].keys()].sort((a, b) => a - b);
      for (const device of devices) {
        const held = this.#held[rule].get(device);
        if (held === undefined || held.counts === open) continue;
        held.counts = open;
        turned(this.#turn(rule, device, open, held));
      }
    }
  }

  #turn(rule: number, device: number, active: boolean, held: Held): Turn {
    const { severity, metric, value, threshold } = held;
    const { clockMs, ordinal } = this.#place;
    return {
      rule,
      device,
      active,
      severity,
      metric,
      value,
      threshold,
      atMs: clockMs,
      position: this.#place.position(),
      ordinal,
      evidence: [],
      watermarkMs: -1,
    };
  }

  /** Whether the rule has a schedule that is closed at the moment. */
  isClosed(rule: number): boolean {
    return this.#hours[rule]?.isOpen(this.#place.clockMs) === false;
  }

  /** An explanation with what the schedule of its rule says at the moment. */
  withSchedule(found: Explanation, rule: number): Explanation {
    if (this.#hours[rule] === null) return found;
    const schedule = `its schedule is ${this.isClosed(rule) ? 'closed' : 'open'}`;
    return { ...found, note: found.note ? `${found.note}; ${schedule}` : schedule };
  }

  /**
   *     rules    count, then of each: name, definition, whether its schedule was open, and a part: count of devices, and for each
   *              device, counts, severity, metric, value, threshold, evidence
   */
  save(out: StateWriter, partOf: () => StateWriter): void {
    out.varint(this.#rules.length);
    this.#rules.forEach((rule, r) => {
      out.text(rule.name);
      out.text(definitionOf(rule));
      out.varint((this.#wasOpen[r] ? 1 : 0) + (this.#stale[r] ? 2 : 0));
      const part = partOf();
      part.varint(this.#held[r].size);
      for (const [device, held] of [...this.#held[r]].sort(([a], [b]) => a - b))
        saveHeld(part, out.devices.number(device), held);
      out.part(part);
    });
  }

  /** Returns whether every rule was there, defined in the same way. */
  restore(from: StateReader, devices: number): boolean {
    const found = new Set<number>();
    for (let left = from.count(); left > 0; left--) {
      const name = from.text();
      const definition = from.text();
      const flags = from.below(4, 'flags');
      const part = from.part();
      const r = this.#rules.findIndex((rule) => rule.name === name && definitionOf(rule) === definition);
      if (r < 0) continue;
      found.add(r);
      this.#wasOpen[r] = flags % 2 === 1;
      this.#stale[r] = flags >= 2;
      for (let count = part.count(); count > 0; count--) {
        const device = part.below(devices, 'a device');
        this.#held[r].set(device, restoreHeld(part));
      }
      part.end();
    }
    return found.size === this.#rules.length;
  }
}

interface Held {
  /** False while its schedule is closed. */
  counts: boolean;
  severity: Turn['severity'];
  metric: string;
  value: number;
  threshold: number;
  evidence: readonly Evidence[];
}

function saveHeld(out: StateWriter, device: number, held: Held): void {
  out.varint(device);
  out.varint(held.counts ? 1 : 0);
  out.varint(SEVERITIES.indexOf(held.severity));
  out.text(held.metric);
  out.f64(held.value);
  out.f64(held.threshold);
  out.varint(held.evidence.length);
  for (const { partition, offset, index, metric, value, tsMs } of held.evidence) {
    out.varint(partition);
    out.varint(offset);
    out.varint(index);
    out.text(metric);
    out.f64(value);
    out.varint(tsMs);
  }
}

function restoreHeld(from: StateReader): Held {
  const counts = from.below(2, 'a flag') === 1;
  const severity = SEVERITIES[from.below(SEVERITIES.length, 'a severity')];
  const metric = from.text();
  const value = from.f64();
  const threshold = from.f64();
  const evidence: Evidence[] = [];
  for (let left = from.count(); left > 0; left--) {
    const position = { partition: from.varint(), offset: from.varint(), index: from.varint() };
    evidence.push({ ...position, metric: from.text(), value: from.f64(), tsMs: from.varint() });
  }
  return { counts, severity, metric, value, threshold, evidence };
}

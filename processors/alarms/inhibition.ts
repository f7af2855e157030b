import type { AlarmRule } from '../../model/alarm.ts';
import { lifeSettingsOf } from '../../model/alarm-life.ts';
import type { Fact } from '../../model/fact.ts';
import type { FactSubject, SharedFacts } from './shared-facts.ts';

/**
 * Which alarms are suppressed by the raised alarm of another rule (`inhibitedBy`): those of the same device, and those of all devices of
 * its site where the site is known, in whatever partition they are: each tells the others while it has such an alarm at a site. Holds no
 * state of its own that has to be saved: it is told of every alarm that is up, and what others have told stands with the facts.
 */
export class Inhibition {
  /** By rule: the rules that inhibit it. */
  readonly #by: readonly (readonly number[])[];
  /** By rule: the rules that it inhibits. */
  readonly #inhibits: readonly (readonly number[])[];
  readonly #names: readonly string[];
  /** By rule: devices, and sites, of its raised alarms, with their number. */
  readonly #devices: Map<number, number>[];
  readonly #sites: Map<string, number>[];
  readonly #shared: SharedFacts;

  constructor(rules: readonly AlarmRule[], shared: SharedFacts) {
    this.#shared = shared;
    this.#names = rules.map((rule) => rule.name);
    this.#by = rules.map((rule) =>
      lifeSettingsOf(rule)
        .inhibitedBy.map((name) => this.#names.indexOf(name))
        .filter((r) => r >= 0),
    );
    this.#inhibits = rules.map((_, r) => rules.map((_rule, other) => other).filter((o) => this.#by[o].includes(r)));
    this.#devices = rules.map(() => new Map());
    this.#sites = rules.map(() => new Map());
  }

  /** The rules whose alarms this rule's alarm may suppress. */
  inhibits(rule: number): readonly number[] {
    return this.#inhibits[rule];
  }

  /** An alarm of the rule has come up (`by` 1) or gone (−1). */
  count(rule: number, device: number, site: string, by: 1 | -1): void {
    if (this.#inhibits[rule].length === 0) return;
    add(this.#devices[rule], device, by);
    if (site === '') return;
    add(this.#sites[rule], site, by);
    this.#shared.say(this.#subject(rule, site), [this.#sites[rule].has(site) ? 1 : 0]);
  }

  #subject(rule: number, site: string): FactSubject {
    return { kind: 'outage', rule: this.#names[rule], definition: '', group: site };
  }

  /** The rules whose alarms at the site (`group`) are to be looked at again, since another partition has told something. */
  heard({ kind, rule }: Fact): readonly number[] {
    const index = kind === 'outage' ? this.#names.indexOf(rule) : -1;
    return index < 0 ? [] : this.#inhibits[index];
  }

  /** After a restore, when all alarms that are up have been counted: what was said of sites whose alarm has gone with its rule. */
  restored(): void {
    for (const subject of [...this.#shared.said('outage')]) {
      const rule = this.#names.indexOf(subject.rule);
      if (rule >= 0) this.#shared.say(subject, [this.#sites[rule].has(subject.group) ? 1 : 0]);
    }
  }

  /** The name of the rule that suppresses alarms of `rule` for this device, or ''. */
  inhibitor(rule: number, device: number, site: string): string {
    for (const r of this.#by[rule]) {
      if (this.#devices[r].has(device) || (site !== '' && this.#isUp(r, site))) return this.#names[r];
    }
    return '';
  }

  #isUp(rule: number, site: string): boolean {
    if (this.#sites[rule].has(site)) return true;
    for (const { values } of this.#shared.heard(this.#subject(rule, site))) if (values[0] === 1) return true;
    return false;
  }
}

function add<K>(counts: Map<K, number>, key: K, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}

import type { AlarmRule } from '../../model/alarm.ts';
import { lifeSettingsOf } from '../../model/alarm-life.ts';

/**
 * Which alarms are suppressed by the raised alarm of another rule (`inhibitedBy`): those of the same device, and those of all devices of
 * its site where the site is known. Holds no state of its own that has to be saved: it is told of every alarm that is up.
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

  constructor(rules: readonly AlarmRule[]) {
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
    if (site !== '') add(this.#sites[rule], site, by);
  }

  /** The name of the rule that suppresses alarms of `rule` for this device, or ''. */
  inhibitor(rule: number, device: number, site: string): string {
    for (const r of this.#by[rule]) {
      if (this.#devices[r].has(device) || (site !== '' && this.#sites[r].has(site))) return this.#names[r];
    }
    return '';
  }
}

function add<K>(counts: Map<K, number>, key: K, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}

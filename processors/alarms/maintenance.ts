import type { Maintenance } from '../../model/alarm-life.ts';
import type { MaintenanceOperation } from '../../model/operation.ts';
import { matcher } from '../../model/pattern.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';

interface Compiled extends Maintenance {
  isFor: (device: string, site: string, rule: string) => boolean;
}

/**
 * Times of maintenance, by the partition's clock: those of the settings, and those that operators have begun, which are part of the
 * state until they end.
 */
export class MaintenanceTimes {
  readonly #configured: readonly Compiled[];
  #begun: Compiled[] = [];
  /** The clock of the last look. */
  #lookedMs = 0;

  constructor(configured: readonly Maintenance[]) {
    this.#configured = configured.map(compile);
  }

  /** One more, the same with other bounds, or its end. */
  apply({ window, removed, devices, sites, rules, fromMs, untilMs }: MaintenanceOperation): void {
    this.#begun = this.#begun.filter((m) => m.name !== window);
    if (!removed) this.#begun.push(compile({ name: window, devices, sites, rules, fromMs, untilMs }));
  }

  /** Whether one has begun or ended since the last look. */
  hasTurned(clockMs: number): boolean {
    const before = this.#lookedMs;
    this.#lookedMs = clockMs;
    const isIn = (m: Maintenance, ms: number) => m.fromMs <= ms && ms < m.untilMs;
    const turned = [...this.#configured, ...this.#begun].some((m) => isIn(m, before) !== isIn(m, clockMs));
    if (this.#begun.some((m) => m.untilMs <= clockMs)) this.#begun = this.#begun.filter((m) => m.untilMs > clockMs);
    return turned;
  }

  /** The name of the maintenance under way for a device and a rule, or ''. */
  current(clockMs: number, device: string, site: string, rule: string): string {
    for (const list of [this.#configured, this.#begun]) {
      for (const m of list)
        if (m.fromMs <= clockMs && clockMs < m.untilMs && m.isFor(device, site, rule)) return m.name;
    }
    return '';
  }

  save(out: StateWriter): void {
    out.varint(this.#lookedMs);
    out.varint(this.#begun.length);
    for (const { name, devices, sites, rules, fromMs, untilMs } of this.#begun) {
      out.text(JSON.stringify([name, devices, sites, rules]));
      out.varint(fromMs);
      out.varint(untilMs);
    }
  }

  restore(from: StateReader): void {
    this.#lookedMs = from.varint();
    for (let left = from.count(); left > 0; left--) {
      const text = from.text();
      const fromMs = from.varint();
      const untilMs = from.varint();
      try {
        const [name, devices, sites, rules] = JSON.parse(text) as [string, string[], string[], string[]];
        this.#begun.push(compile({ name, devices, sites, rules, fromMs, untilMs }));
      } catch {
        from.unreadable('a time of maintenance is not JSON');
      }
    }
  }
}

function compile(maintenance: Maintenance): Compiled {
  const devices = matcher(maintenance.devices);
  const sites = matcher(maintenance.sites);
  const rules = matcher(maintenance.rules);
  return { ...maintenance, isFor: (device, site, rule) => devices(device) && sites(site) && rules(rule) };
}

/**
 * Knows, cheaply, whether any subscription matches a device's telemetry topic, so that the express lane gives a message to
 * the broker only when somebody wants it. Counts filters; each `add` is undone by one `remove` of the same filter.
 *
 * A filter matches `devices/{device}/telemetry` when its levels do, one by one, and it has three of them, or ends earlier
 * (or one level later) in `#`. If the second level names a device it is counted for that device, otherwise for all.
 */
export class TelemetryFilters {
  #all = 0;
  readonly #devices = new Map<string, number>();

  /** True when a message of this device has to go to the broker. */
  matches(device: string): boolean {
    return this.#all > 0 || (this.#devices.size > 0 && this.#devices.has(device));
  }

  add(filter: string): void {
    this.#count(filter, 1);
  }

  remove(filter: string): void {
    this.#count(filter, -1);
  }

  #count(filter: string, by: 1 | -1): void {
    const device = deviceOfFilter(filter);
    if (device === null) return;
    if (device === '+') {
      this.#all += by;
      return;
    }
    const count = (this.#devices.get(device) ?? 0) + by;
    if (count > 0) this.#devices.set(device, count);
    else this.#devices.delete(device);
  }
}

/** The device whose telemetry a filter matches, '+' for every device, null for none. */
function deviceOfFilter(filter: string): string | null {
  const levels = filter.split('/');
  if (levels[0] === '#' && levels.length === 1) return '+';
  if (levels[0] !== 'devices' && levels[0] !== '+') return null;
  if (levels[1] === '#' && levels.length === 2) return '+';
  const device = levels[1];
  if (device === undefined || device === '') return null;
  if (levels[2] === '#' && levels.length === 3) return device;
  if (levels[2] !== 'telemetry' && levels[2] !== '+') return null;
  return levels.length === 3 || (levels.length === 4 && levels[3] === '#') ? device : null;
}

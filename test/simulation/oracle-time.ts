interface Device {
  name: string;
  newestMs: number;
  /** The clock when it was last heard. */
  activeMs: number;
  /** Event time at which something closes. */
  dueMs: number;
  /** The second of the clock at which it is looked at whether it has fallen silent; null when nothing is open. */
  lookAt: number | null;
}

/**
 * Event time of devices, as processors/windows/event-time.ts words it, by looking at all devices after each frame: a device is
 * due by its own newest reading, or, once silent for idleMs, by the clock; silence is looked for at whole seconds.
 */
export class OracleTime {
  clockMs = 0;
  readonly #idleMs: number;
  readonly #devices: Device[] = [];
  #lookedUpTo = 0;

  constructor(idleMs: number) {
    this.#idleMs = idleMs;
  }

  newest(name: string): number {
    return this.#find(name).newestMs;
  }

  message(name: string, receivedMs: number): void {
    this.clockMs = Math.max(this.clockMs, receivedMs);
    if (!this.#devices.some((d) => d.name === name)) {
      this.#devices.push({ name, newestMs: -1, activeMs: 0, dueMs: Number.POSITIVE_INFINITY, lookAt: null });
    }
    this.#find(name).activeMs = this.clockMs;
  }

  reading(name: string, ts: number): void {
    const device = this.#find(name);
    device.newestMs = Math.max(device.newestMs, ts);
  }

  wake(name: string, eventMs: number): void {
    const device = this.#find(name);
    if (eventMs >= device.dueMs) return;
    device.dueMs = eventMs;
    if (device.lookAt === null) this.#lookAt(device, device.activeMs + this.#idleMs);
  }

  endFrame(advance: (name: string, eventMs: number) => number): void {
    for (const device of this.#devices) {
      if (device.newestMs >= device.dueMs) device.dueMs = advance(device.name, device.newestMs);
    }
    const second = Math.floor(this.clockMs / 1000);
    if (second <= this.#lookedUpTo || this.#devices.every((d) => d.lookAt === null)) return;
    const passed = this.#devices.filter((d) => d.lookAt !== null && d.lookAt < second);
    this.#lookedUpTo = second;
    for (const device of passed) {
      device.lookAt = null;
      const silentMs = this.clockMs - device.activeMs;
      const eventMs = device.newestMs + silentMs;
      if (silentMs >= this.#idleMs && eventMs >= device.dueMs) device.dueMs = advance(device.name, eventMs);
      if (device.dueMs === Number.POSITIVE_INFINITY) continue;
      const inMs = Math.max(this.#idleMs - silentMs, device.dueMs - eventMs, 1000);
      this.#lookAt(device, this.clockMs + Math.min(inMs, this.#idleMs));
    }
  }

  #lookAt(device: Device, clockMs: number): void {
    device.lookAt = Math.max(Math.floor(clockMs / 1000), this.#lookedUpTo, 1);
  }

  #find(name: string): Device {
    return this.#devices.find((d) => d.name === name) as Device;
  }
}

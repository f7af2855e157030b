import type { Clock, TimerHandle } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { StoreGate } from './store-gate.ts';

/** A reading as the event stream carries it: metric, time, value, and its offset on the log (see series.ts). */
export interface LiveReading {
  m: string;
  t: number;
  v: number;
  o: number;
}

export interface Watcher {
  metrics: ReadonlySet<string>;
  /** The readings that came to the store since the last call, in the order of the log. */
  onReadings(readings: LiveReading[]): void;
  /** From now on nothing is missed: what a history asked for from here on lacks will come through onReadings. */
  onStarted(): void;
}

const EVERY_MS = 1_000;
/** Rows of one answer; what is above comes with the next. */
const ROWS_MAX = 20_000;
export const DEVICES_MAX = 64;

/**
 * Follows devices in the store for those who watch them: one query a second for each device, however many watch it.
 *
 * A device stays in one partition of the log and its readings enter the store in the order of the log, so that "offset ≥ the
 * highest seen" finds what is new. The newest frame may have been stored in parts (one block a day, one a batch), so that its offset is
 * asked for again and what was given already is left out. Right after the start the readings of the newest frame come once more:
 * the reader knows them by their offset or their time (dashboards/page/series-data.ts).
 */
export class WatchHub {
  readonly #devices = new Map<string, DeviceWatch>();
  readonly #store: StoreGate;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(store: StoreGate, clock: Clock, logger: Logger) {
    this.#store = store;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Devices that are watched now. */
  get size(): number {
    return this.#devices.size;
  }

  /** False when too many devices are watched already. */
  hasRoomFor(device: string): boolean {
    return this.#devices.has(device) || this.#devices.size < DEVICES_MAX;
  }

  /** Returns what ends the watch. */
  watch(device: string, watcher: Watcher): () => void {
    let watched = this.#devices.get(device);
    if (!watched) {
      watched = new DeviceWatch(device, this.#store, this.#clock, this.#logger);
      this.#devices.set(device, watched);
    }
    watched.add(watcher);
    const mine = watched;
    return () => {
      if (mine.remove(watcher) && this.#devices.get(device) === mine) this.#devices.delete(device);
    };
  }

  close(): void {
    for (const device of this.#devices.values()) device.stop();
    this.#devices.clear();
  }
}

class DeviceWatch {
  readonly #device: string;
  readonly #store: StoreGate;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #watchers = new Set<Watcher>();
  /** Highest offset seen, −1 for a device without readings, null before the first answer. */
  #cursor: number | null = null;
  /** What was given of the frame at the cursor. */
  #given = new Set<string>();
  #timer: TimerHandle | null = null;
  #stopped = false;
  #failing = false;

  constructor(device: string, store: StoreGate, clock: Clock, logger: Logger) {
    this.#device = device;
    this.#store = store;
    this.#clock = clock;
    this.#logger = logger;
    this.#timer = clock.after(0, () => void this.#tick());
  }

  add(watcher: Watcher): void {
    this.#watchers.add(watcher);
    if (this.#cursor !== null) watcher.onStarted();
  }

  /** True when nobody is left; the watch has stopped then. */
  remove(watcher: Watcher): boolean {
    this.#watchers.delete(watcher);
    if (this.#watchers.size > 0) return false;
    this.stop();
    return true;
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  async #tick(): Promise<void> {
    let full = false;
    try {
      if (this.#cursor === null) await this.#start();
      else full = await this.#poll(this.#cursor);
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) {
        this.#logger.warn('a watched device could not be read; trying on', {
          device: this.#device,
          reason: error instanceof Error ? error.message : String(error),
        });
      }
      this.#failing = true;
    }
    if (!this.#stopped) this.#timer = this.#clock.after(full ? 0 : EVERY_MS, () => void this.#tick());
  }

  async #start(): Promise<void> {
    const rows = await this.#store.query<{ o: number; n: number }>(
      'SELECT max(offset) AS o, count() AS n FROM readings WHERE device = {device:String}',
      { device: this.#device },
    );
    this.#cursor = Number(rows[0].n) === 0 ? -1 : Number(rows[0].o);
    for (const watcher of this.#watchers) watcher.onStarted();
  }

  /** True when there is more to read at once. */
  async #poll(cursor: number): Promise<boolean> {
    const metrics = [...new Set([...this.#watchers].flatMap((w) => [...w.metrics]))];
    if (metrics.length === 0) return false;
    const rows = await this.#store.query<{ m: string; t: number; v: number; o: number; i: number }>(
      `SELECT metric AS m, toUnixTimestamp64Milli(ts) AS t, value AS v, offset AS o, \`index\` AS i
       FROM readings
       WHERE device = {device:String} AND metric IN {metrics:Array(String)} AND text = '' AND offset >= {cursor:UInt64}
       ORDER BY o, i, m LIMIT {limit:UInt32}`,
      { device: this.#device, metrics, cursor: Math.max(0, cursor), limit: ROWS_MAX },
    );
    const fresh: LiveReading[] = [];
    let highest = cursor;
    for (const row of rows) {
      const reading = { m: row.m, t: Number(row.t), v: Number(row.v), o: Number(row.o) };
      const key = `${row.i} ${reading.t} ${row.m}`;
      if (reading.o > highest) {
        highest = reading.o;
        this.#given.clear();
      }
      if (this.#given.has(key)) continue;
      this.#given.add(key);
      if (row.v !== null) fresh.push(reading);
    }
    this.#cursor = highest;
    if (fresh.length > 0) this.#hand(fresh);
    return rows.length === ROWS_MAX && fresh.length > 0;
  }

  #hand(fresh: LiveReading[]): void {
    for (const watcher of this.#watchers) {
      const own = fresh.filter((r) => watcher.metrics.has(r.m));
      if (own.length > 0) watcher.onReadings(own);
    }
  }
}

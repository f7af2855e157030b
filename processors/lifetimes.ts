import { withRoom } from './columns.ts';
import { ChangedBlocks } from './state-blocks.ts';
import type { StateReader, StateWriter } from './state-bytes.ts';

/**
 * How long ago each series was heard, and what is remembered of devices that were forgotten (forgetting.ts).
 *
 * Time is the partition's clock, in steps of an eighth of the time to live. The age of a series is the number of steps that have begun since
 * its last reading, so a reading costs a comparison. One of more than eight steps has been silent for the time to live at least, and for an
 * eighth more at most.
 *
 *     a device is forgotten ──▶ a grave: hash of its id, and its floor        it comes back ──▶ floor
 *
 * What a device sends from before its floor is too late: it may be a redelivery of what had its place in windows that nobody remembers.
 * The GRAVES_MAX newest graves are kept. For devices that are not known at all the floor of the newest of the others holds.
 */
export class Lifetimes {
  /** The clock has come into another step in this frame. */
  isDue = false;
  readonly #ttlMs: number | null;
  readonly #stepMs: number;
  #step = 0;
  /** The clock at which the next step begins. */
  #nextMs: number;
  #age = new Uint8Array(1024);
  readonly #changed = new ChangedBlocks();
  /** By device, of those that came back. */
  #floors = new Map<number, number>();
  /** By hash of the id; the oldest first. */
  readonly #graves = new Map<number, number>();
  #gravesFloorMs = NEVER;

  constructor(ttlMs: number | null) {
    this.#ttlMs = ttlMs;
    this.#stepMs = Math.ceil((ttlMs ?? 0) / STEPS);
    this.#nextMs = ttlMs === null ? Number.POSITIVE_INFINITY : 0;
  }

  get ttlMs(): number | null {
    return this.#ttlMs;
  }

  /** A new series; called once for each, in order. */
  seriesAdded(series: number): void {
    this.#changed.mark(series);
    this.#age = withRoom(this.#age, series, 0);
    this.#age[series] = 0;
  }

  heard(series: number): void {
    if (this.#age[series] === 0) return;
    this.#changed.mark(series);
    this.#age[series] = 0;
  }

  /** The partition's clock, before the readings that it stands for. */
  clock(clockMs: number, seriesCount: number): void {
    if (clockMs < this.#nextMs) return;
    const step = Math.floor(clockMs / this.#stepMs);
    const passed = this.#step === 0 ? 0 : step - this.#step;
    this.#step = step;
    this.#nextMs = (step + 1) * this.#stepMs;
    if (passed === 0) return;
    this.isDue = true;
    for (let s = 0; s < seriesCount; s++) {
      if (this.#age[s] === AGE_MAX) continue;
      this.#changed.mark(s);
      this.#age[s] = Math.min(this.#age[s] + passed, AGE_MAX);
    }
  }

  /** Whether a series has been silent for the time to live. */
  isOld(series: number): boolean {
    return this.#age[series] > STEPS;
  }

  /** Readings of a device up to this ts are too late, whatever they are; −1 for none. */
  floorMs(device: number): number {
    return this.#floors.size === 0 ? NEVER : (this.#floors.get(device) ?? NEVER);
  }

  raiseFloor(device: number, floorMs: number): void {
    if (floorMs > this.floorMs(device)) this.#floors.set(device, floorMs);
  }

  /** The first message of a device since it is known. */
  begins(name: string, device: number): void {
    if (this.#graves.size === 0) return;
    const hash = hashOf(name);
    this.raiseFloor(device, this.#graves.get(hash) ?? this.#gravesFloorMs);
    this.#graves.delete(hash);
  }

  /** The device is forgotten; its readings up to `floorMs` will be too late. */
  bury(name: string, floorMs: number): void {
    if (floorMs < 0) return;
    const hash = hashOf(name);
    this.#graves.delete(hash);
    this.#graves.set(hash, floorMs);
    if (this.#graves.size <= GRAVES_MAX) return;
    const [[oldest, oldestMs]] = this.#graves;
    this.#graves.delete(oldest);
    this.#gravesFloorMs = Math.max(this.#gravesFloorMs, oldestMs);
  }

  /** step, then the age of each series */
  saveAges(out: StateWriter, seriesCount: number): void {
    out.varint(this.#step);
    this.#changed.save(out, 'age', seriesCount, (s, to) => to.varint(this.#age[s]), out.series);
  }

  /** After `seriesAdded` was called for every series. */
  restoreAges(from: StateReader, seriesCount: number): void {
    this.#step = from.varint();
    if (this.#ttlMs !== null && this.#step > 0) this.#nextMs = (this.#step + 1) * this.#stepMs;
    for (let s = 0; s < seriesCount; s++) this.#age[s] = from.below(AGE_MAX + 1, 'an age');
  }

  /** floors: count, then of each: device, ms; graves: the floor of the others + 1, count, then of each: hash, ms */
  saveForgotten(out: StateWriter): void {
    const floors = [...this.#floors].filter(([device]) => out.devices.has(device)).sort(([a], [b]) => a - b);
    out.varint(floors.length);
    for (const [device, ms] of floors) {
      out.varint(out.devices.number(device));
      out.varint(ms);
    }
    out.varint(this.#gravesFloorMs + 1);
    out.varint(this.#graves.size);
    for (const [hash, ms] of this.#graves) {
      out.varint(hash);
      out.varint(ms);
    }
  }

  restoreForgotten(from: StateReader, devices: number): void {
    for (let left = from.count(); left > 0; left--) {
      const device = from.below(devices, 'a device');
      this.#floors.set(device, from.varint());
    }
    this.#gravesFloorMs = from.varint() - 1;
    for (let left = from.count(); left > 0; left--) {
      const hash = from.varint();
      this.#graves.set(hash, from.varint());
    }
  }
}

/** Below every ts. */
const NEVER = -1;
/** The steps of a time to live. */
const STEPS = 8;
const AGE_MAX = 255;
/** 16 bytes of a checkpoint each. */
export const GRAVES_MAX = 65_536;

/** FNV-1a twice, 53 bits together. */
function hashOf(name: string): number {
  let high = 0x811c9dc5;
  let low = 0x2f0b4c47;
  for (const byte of Buffer.from(name)) {
    high = Math.imul(high ^ byte, 0x01000193);
    low = Math.imul(low ^ byte, 0x01000193) ^ (low >>> 13);
  }
  return (high >>> 0) * 2 ** 21 + (low >>> 11);
}

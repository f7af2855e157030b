import { withRoom } from '../columns.ts';
import { ChangedBlocks, type WriteItem } from '../state-blocks.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';

/**
 * How far time has come, for each device by itself, so that a device with a wild clock hurts nobody else.
 *
 * - *Newest*: the largest ts that a device has sent (readings too far in the future excepted). A window's watermark is newest −
 *   its outOfOrderMs.
 * - *Clock*: the largest time received in the partition, ticks included. It is the only wall clock here, and it is on the log.
 * - *Idle*: a device that was silent for idleMs of the clock is taken to have gone on at the clock's pace: its event time is
 *   newest + (clock − last active). So its windows close, and no earlier than they would have in time of the device. When it
 *   speaks again, its own newest counts again: a device that buffered while it was away is not late.
 *
 * Work that is due is found without looking at all devices: `due` holds for each device the event time of its next closing. A
 * message that reaches it puts the device on the list of this frame; silent devices are in a wheel of seconds of the clock:
 *
 *     wheel: second → devices      a device stands in at most one second, no later than it can become idle and due;
 *                                  when the second has passed it is looked at, and put further on if it is not yet due
 */
export class EventTime {
  clockMs = 0;
  readonly #idleMs: number;
  /**
   * Rows of ROW doubles, so that a message touches one cache line: newest ts, clock when last active, event time of the next
   * closing, and the second of the wheel in which the device stands, 0 for none.
   */
  #rows = new Float64Array(0);
  #wheel = new Map<number, number[]>();
  /** No second before this one has devices. */
  #wheelFrom = 0;
  #listed = new Uint8Array(256);
  #list: number[] = [];
  #devices = 0;
  readonly #changed = new ChangedBlocks();

  constructor(idleMs: number) {
    this.#idleMs = idleMs;
  }

  newest(device: number): number {
    return this.#rows[device * ROW + NEWEST];
  }

  /** The clock at the last message of a device; 0 when there was none since it is known. */
  active(device: number): number {
    return device < this.#devices ? this.#rows[device * ROW + ACTIVE] : 0;
  }

  /** Whether some window waits for the event time of a device. */
  isAwaited(device: number): boolean {
    return device < this.#devices && this.#rows[device * ROW + DUE] !== Number.POSITIVE_INFINITY;
  }

  /** A message of a device was received. Called before its readings, with a device number at most one above all before. */
  message(device: number, receivedMs: number): void {
    if (device >= this.#devices) this.#grow(device);
    if (receivedMs > this.clockMs) this.clockMs = receivedMs;
    this.#changed.mark(device);
    this.#rows[device * ROW + ACTIVE] = this.clockMs;
  }

  tick(receivedMs: number): void {
    if (receivedMs > this.clockMs) this.clockMs = receivedMs;
  }

  /** A reading's ts, which is not too far in the future. */
  reading(device: number, tsMs: number): void {
    if (tsMs <= this.#rows[device * ROW + NEWEST]) return;
    this.#rows[device * ROW + NEWEST] = tsMs;
    if (tsMs >= this.#rows[device * ROW + DUE]) this.#enlist(device);
  }

  /** There is something to do for the device when its event time reaches `eventMs`. */
  wake(device: number, eventMs: number): void {
    if (eventMs >= this.#rows[device * ROW + DUE]) return;
    this.#changed.mark(device);
    this.#rows[device * ROW + DUE] = eventMs;
    if (eventMs <= this.#rows[device * ROW + NEWEST]) this.#enlist(device);
    if (this.#rows[device * ROW + SCHEDULED] === 0)
      this.#schedule(device, this.#rows[device * ROW + ACTIVE] + this.#idleMs);
  }

  /** The frame has ended: gives every device that is due to `advance`, which returns when it is due next. */
  endFrame(advance: (device: number, eventMs: number) => number): void {
    if (this.#list.length > 0) {
      for (const device of this.#list) {
        this.#listed[device] = 0;
        this.#changed.mark(device);
        this.#rows[device * ROW + DUE] = advance(device, this.#rows[device * ROW + NEWEST]);
      }
      this.#list = [];
    }
    const second = Math.floor(this.clockMs / 1000);
    if (this.#wheel.size === 0 || second <= this.#wheelFrom) return;
    this.#turnWheel(second, advance);
  }

  #turnWheel(second: number, advance: (device: number, eventMs: number) => number): void {
    const passed: number[] = [];
    // After a long silence of the partition it is cheaper to look at the seconds that hold something.
    if (second - this.#wheelFrom > this.#wheel.size) {
      for (const [s, devices] of this.#wheel) if (s < second) this.#take(s, devices, passed);
    } else {
      for (let s = this.#wheelFrom; s < second; s++) {
        const devices = this.#wheel.get(s);
        if (devices !== undefined) this.#take(s, devices, passed);
      }
    }
    this.#wheelFrom = second;
    // By number, so that the order does not depend on how the wheel was filled (a restored one is filled otherwise).
    passed.sort((a, b) => a - b);
    for (const device of passed) {
      const silentMs = this.clockMs - this.#rows[device * ROW + ACTIVE];
      const eventMs = this.#rows[device * ROW + NEWEST] + silentMs;
      if (silentMs >= this.#idleMs && eventMs >= this.#rows[device * ROW + DUE])
        this.#rows[device * ROW + DUE] = advance(device, eventMs);
      if (this.#rows[device * ROW + DUE] === Number.POSITIVE_INFINITY) continue;
      // At the latest after another idleMs: a message that comes meanwhile cannot make it due before that.
      const inMs = Math.max(this.#idleMs - silentMs, this.#rows[device * ROW + DUE] - eventMs, 1000);
      this.#schedule(device, this.clockMs + Math.min(inMs, this.#idleMs));
    }
  }

  #take(second: number, devices: number[], into: number[]): void {
    this.#wheel.delete(second);
    for (const device of devices) {
      this.#changed.mark(device);
      this.#rows[device * ROW + SCHEDULED] = 0;
      into.push(device);
    }
  }

  #schedule(device: number, atMs: number): void {
    const second = Math.max(Math.floor(atMs / 1000), this.#wheelFrom, 1);
    this.#changed.mark(device);
    this.#rows[device * ROW + SCHEDULED] = second;
    const devices = this.#wheel.get(second);
    if (devices === undefined) this.#wheel.set(second, [device]);
    else devices.push(device);
  }

  #enlist(device: number): void {
    if (this.#listed[device] === 1) return;
    this.#listed[device] = 1;
    this.#list.push(device);
  }

  #grow(device: number): void {
    this.#rows = withRoom(this.#rows, (device + 1) * ROW - 1, 0);
    for (let d = this.#devices; d <= device; d++) {
      this.#rows[d * ROW + NEWEST] = NEVER;
      this.#rows[d * ROW + DUE] = Number.POSITIVE_INFINITY;
    }
    this.#listed = withRoom(this.#listed, device, 0);
    this.#devices = device + 1;
  }

  /** At the end of a frame. */
  save(out: StateWriter): void {
    out.varint(this.clockMs);
    out.varint(this.#wheelFrom);
    out.varint(out.devices.count(this.#devices));
    const write: WriteItem = (d, to) => {
      to.varint(this.#rows[d * ROW + NEWEST] + 1);
      to.varint(this.#rows[d * ROW + ACTIVE]);
      to.varint(this.#rows[d * ROW + DUE] === Number.POSITIVE_INFINITY ? 0 : this.#rows[d * ROW + DUE] + 1);
      to.varint(this.#rows[d * ROW + SCHEDULED]);
    };
    this.#changed.save(out, 'time', this.#devices, write, out.devices);
  }

  restore(from: StateReader, devicesMax: number): void {
    this.clockMs = from.varint();
    this.#wheelFrom = from.varint();
    const devices = from.below(devicesMax + 1, 'the count of devices');
    if (devices > 0) this.#grow(devices - 1);
    for (let d = 0; d < devices; d++) {
      this.#rows[d * ROW + NEWEST] = from.varint() - 1;
      this.#rows[d * ROW + ACTIVE] = from.varint();
      const due = from.varint();
      this.#rows[d * ROW + DUE] = due === 0 ? Number.POSITIVE_INFINITY : due - 1;
      const second = from.varint();
      if (second > 0) this.#schedule(d, second * 1000);
    }
  }
}

/** The newest ts of a device that has none: below every ts, which begin at 0. */
const NEVER = -1;

/** Where the parts of a row are. */
const NEWEST = 0;
const ACTIVE = 1;
const DUE = 2;
const SCHEDULED = 3;
const ROW = 4;

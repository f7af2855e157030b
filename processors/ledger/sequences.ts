import { withRoom } from '../columns.ts';
import { ChangedBlocks, type WriteItem } from '../state-blocks.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';

/** What a number says about those before it. `missing` of them were left out. */
export interface SequenceStep {
  kind: 'next' | 'gap' | 'found' | 'repeated' | 'restart' | 'ignored';
  missing: number;
}

const STEP: SequenceStep = { kind: 'ignored', missing: 0 };

/** How far behind the newest number one may come and still close its gap. */
const WINDOW = 64;
/** A larger step forward is a device that counts anew from somewhere, not that many lost messages. */
const GAP_MAX = 1_000_000;

// A row of doubles for each device.
const NEXT = 0;
/** A number far behind was seen: when the one after it comes, the device has begun anew there. 0 for none, else number + 2. */
const CANDIDATE = 1;
/** Which of the last 64 numbers have come: bit i of LOW is number NEXT − 1 − i, HIGH holds those before. */
const LOW = 2;
const HIGH = 3;
const ROW = 4;

/**
 * Gaps in the numbers that devices give their messages. A number is expected to be one above the last:
 *
 *     above it            the ones between are missing (unless it is more than a million: then the device counts anew)
 *     below, not yet had  a missing one that was late, while it is among the last 64
 *     below, already had  repeated; 0 or 1 is a device that was started again, and so is a run of two further back
 *
 * Whether the very reading was had before is known better by its time stamp; the caller leaves redeliveries out.
 */
export class Sequences {
  #rows = new Float64Array(0);
  #devices = 0;
  readonly #unsaved = new ChangedBlocks();

  /** The result is used again by the next call. */
  take(device: number, value: number): SequenceStep {
    if (!Number.isSafeInteger(value) || value < 0) return step('ignored', 0);
    this.#unsaved.mark(device);
    if (device >= this.#devices) this.#grow(device);
    const rows = this.#rows;
    const at = device * ROW;
    const next = rows[at + NEXT];
    if (next === 0 || value - next > GAP_MAX) return this.#begin(at, value, next === 0 ? 'next' : 'restart');
    const candidate = rows[at + CANDIDATE];
    rows[at + CANDIDATE] = 0;
    if (value >= next) {
      const missing = value - next;
      this.#shift(at, missing + 1);
      rows[at + NEXT] = value + 1;
      return missing === 0 ? step('next', 0) : step('gap', missing);
    }
    const behind = next - 1 - value;
    if (behind < WINDOW && this.#mark(at, behind)) return step('found', 0);
    if (behind === 0) return step('repeated', 0);
    if (value <= 1 || candidate === value + 1) return this.#begin(at, value, 'restart');
    rows[at + CANDIDATE] = value + 2;
    return step('repeated', 0);
  }

  #begin(at: number, value: number, kind: 'next' | 'restart'): SequenceStep {
    this.#rows[at + NEXT] = value + 1;
    this.#rows[at + CANDIDATE] = 0;
    // What came before is not known, and not missed.
    this.#rows[at + LOW] = 0xffffffff;
    this.#rows[at + HIGH] = 0xffffffff;
    return step(kind, 0);
  }

  /** Moves the bits on by `by` numbers; the last of them has come. */
  #shift(at: number, by: number): void {
    const rows = this.#rows;
    const low = rows[at + LOW];
    const high = rows[at + HIGH];
    let newLow = 0;
    let newHigh = 0;
    if (by < 32) {
      newLow = (low << by) >>> 0;
      newHigh = ((high << by) | (low >>> (32 - by))) >>> 0;
    } else if (by < 64) newHigh = (low << (by - 32)) >>> 0;
    rows[at + LOW] = (newLow | 1) >>> 0;
    rows[at + HIGH] = newHigh;
  }

  /** Notes that a number has come; false when it had come before. */
  #mark(at: number, behind: number): boolean {
    const word = behind < 32 ? at + LOW : at + HIGH;
    const bit = (1 << (behind & 31)) >>> 0;
    if ((this.#rows[word] & bit) >>> 0 !== 0) return false;
    this.#rows[word] = (this.#rows[word] | bit) >>> 0;
    return true;
  }

  #grow(device: number): void {
    this.#rows = withRoom(this.#rows, (device + 1) * ROW - 1, 0);
    this.#devices = device + 1;
  }

  /** The count of devices, and of each its row, of which 0 stands for one that has none. */
  save(out: StateWriter): void {
    out.varint(out.devices.count(this.#devices));
    const write: WriteItem = (device, to) => {
      const at = device * ROW;
      const parts = this.#rows[at + NEXT] === 0 ? 1 : ROW;
      for (let i = 0; i < parts; i++) to.varint(this.#rows[at + i]);
    };
    this.#unsaved.save(out, 'numbers', this.#devices, write, out.devices);
  }

  restore(from: StateReader, devicesMax: number): void {
    const devices = from.below(devicesMax + 1, 'the count of devices');
    if (devices > 0) this.#grow(devices - 1);
    for (let at = 0; at < devices * ROW; at += ROW) {
      this.#rows[at + NEXT] = from.varint();
      if (this.#rows[at + NEXT] !== 0) for (let i = 1; i < ROW; i++) this.#rows[at + i] = from.varint();
    }
  }
}

function step(kind: SequenceStep['kind'], missing: number): SequenceStep {
  STEP.kind = kind;
  STEP.missing = missing;
  return STEP;
}

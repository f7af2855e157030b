import { type Claim, LEDGER_COUNTS, type LedgerCount, type LedgerRow, MINUTE_MS } from '../../model/ledger.ts';
import { withRoom } from '../columns.ts';
import { ChangedBlocks } from '../state-blocks.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import { Sequences } from './sequences.ts';

// A row of doubles for each device and minute.
const START = 0;
const DEVICE = 1;
const OFFSET_FIRST = 2;
const OFFSET_NEXT = 3;
const DIRTY = 4;
/** The row of the same device's minute before that; −1 for none. */
const OLDER = 5;
const COUNTS = 6;
const ROW = COUNTS + LEDGER_COUNTS.length;

/** Where the counts of a row are, for who counts. */
const at = (name: LedgerCount): number => COUNTS + LEDGER_COUNTS.indexOf(name);
const RECEIVED = at('received');
const FAILED = at('failed');
const LOGGED = at('logged');
const QUARANTINED = at('quarantined');
const READINGS = at('readings');
const STORED = at('stored');
const DUPLICATES = at('duplicates');
const LATE = at('late');
const UNCHECKED = at('unchecked');
const SEQ_SEEN = at('seq_seen');
const SEQ_MISSING = at('seq_missing');
const SEQ_FOUND = at('seq_found');
const SEQ_RESTARTS = at('seq_restarts');

/** A minute is open for what comes late (the claims of a door, other doors' clocks) until the clock is this far behind its end. */
const GRACE_MS = 60_000;
/** Doors whose last claim is remembered; each restart of a door is another one. */
const DOORS_MAX = 256;
/** Where the clock stands still (a record with a time far ahead moved it), frames are counted at least this often. */
const FRAMES_MAX = 4096;
/** Stands for "no device" in the columns that are indexed by device number + 1. */
const NOBODY = -1;

/**
 * Counts by device and minute of the time received, for one partition. Part of the partition's state: what it emits, and when, is
 * a function of the frames alone. Rows of minutes that have changed are emitted whenever the clock of the partition passes a
 * multiple of `flushMs`, each time with all that the minute has so far; the newest of a key holds.
 */
export class Ledger {
  readonly #partition: number;
  readonly #flushMs: number;
  readonly #names: { name(device: number): string; add(name: string): number };
  readonly #sequences = new Sequences();
  #rows = new Float64Array(ROW * 64);
  #count = 0;
  /** Rows that the next checkpoint has to write. A row that is asked for (#row) is one of them. */
  readonly #unsaved = new ChangedBlocks();
  /** The newest row of each device + 1; −1 for none. */
  #current = new Int32Array(256).fill(-1);
  #flushedTo = 0;
  #frames = 0;
  /** By door the number of its last claim, the door heard last at the end. */
  readonly #claims = new Map<string, number>();
  #offset = 0;

  constructor(partition: number, flushMs: number, names: { name(device: number): string; add(name: string): number }) {
    this.#partition = partition;
    this.#flushMs = flushMs;
    this.#names = names;
  }

  beginFrame(offset: number): void {
    this.#offset = offset;
  }

  /** A message of a device is on the log. Returns the row that the other counts of the message go to. */
  message(device: number, receivedMs: number): number {
    const row = this.#row(device, receivedMs);
    this.#rows[row + LOGGED]++;
    this.#rows[row + OFFSET_NEXT] = this.#offset + 1;
    return row;
  }

  quarantined(row: number): void {
    this.#rows[row + QUARANTINED]++;
  }

  /** A message that names no device, or bytes that are no message, went to the quarantine. */
  nameless(receivedMs: number): void {
    this.quarantined(this.message(NOBODY, receivedMs));
  }

  readings(row: number, decoded: number, duplicates: number, late: number, unchecked: number): void {
    const rows = this.#rows;
    rows[row + READINGS] += decoded;
    rows[row + STORED] += decoded - duplicates;
    if (duplicates > 0) rows[row + DUPLICATES] += duplicates;
    if (late > 0) rows[row + LATE] += late;
    if (unchecked > 0) rows[row + UNCHECKED] += unchecked;
  }

  /** The number that a device gave its message. */
  sequence(row: number, device: number, value: number): void {
    const { kind, missing } = this.#sequences.take(device, value);
    if (kind === 'ignored' || kind === 'repeated') return;
    this.#rows[row + SEQ_SEEN]++;
    if (kind === 'gap') this.#rows[row + SEQ_MISSING] += missing;
    else if (kind === 'found') this.#rows[row + SEQ_FOUND]++;
    else if (kind === 'restart') this.#rows[row + SEQ_RESTARTS]++;
  }

  /** What a door says that it took. One that was had before (an append whose failure was told although it had landed) counts once. */
  claim(claim: Claim): void {
    if (claim.n <= (this.#claims.get(claim.door) ?? 0)) return;
    this.#claims.delete(claim.door);
    this.#claims.set(claim.door, claim.n);
    if (this.#claims.size > DOORS_MAX) {
      const [oldest] = this.#claims.keys();
      this.#claims.delete(oldest);
    }
    for (const [minute, device, received, failed] of claim.rows) {
      const row = this.#row(device === '' ? NOBODY : this.#names.add(device), minute * MINUTE_MS);
      this.#rows[row + RECEIVED] += received;
      this.#rows[row + FAILED] += failed;
    }
  }

  /** The frame has ended; `clockMs` is the partition's. Emits what is due. */
  endFrame(clockMs: number, emit: (row: LedgerRow) => void): void {
    this.#frames++;
    if (clockMs < this.#flushedTo + this.#flushMs && this.#frames < FRAMES_MAX) return;
    this.#frames = 0;
    this.#flushedTo = clockMs - (clockMs % this.#flushMs);
    // The row of nobody is always among them: it tells how far everything has been counted.
    this.#row(NOBODY, clockMs);
    let anyOver = false;
    for (let row = 0; row < this.#count * ROW; row += ROW) {
      if (this.#rows[row + DIRTY] === 1) {
        emit(this.#rowAt(row));
        this.#unsaved.mark((row / ROW) | 0);
        this.#rows[row + DIRTY] = 0;
      }
      if (isOver(this.#rows[row + START], clockMs)) anyOver = true;
    }
    if (anyOver) this.#forget(clockMs);
  }

  #rowAt(row: number): LedgerRow {
    const rows = this.#rows;
    const device = rows[row + DEVICE];
    // Written out, one field after another: built in a loop, such an object costs ten times as much.
    return {
      minuteMs: rows[row + START],
      partition: this.#partition,
      device: device === NOBODY ? '' : this.#names.name(device),
      offsetFirst: rows[row + OFFSET_FIRST],
      offsetNext: rows[row + OFFSET_NEXT],
      countedTo: this.#offset + 1,
      received: rows[row + RECEIVED],
      failed: rows[row + FAILED],
      logged: rows[row + LOGGED],
      quarantined: rows[row + QUARANTINED],
      readings: rows[row + READINGS],
      stored: rows[row + STORED],
      duplicates: rows[row + DUPLICATES],
      late: rows[row + LATE],
      unchecked: rows[row + UNCHECKED],
      seq_seen: rows[row + SEQ_SEEN],
      seq_missing: rows[row + SEQ_MISSING],
      seq_found: rows[row + SEQ_FOUND],
      seq_restarts: rows[row + SEQ_RESTARTS],
    };
  }

  /** The row of a device and the minute of `timeMs`, made when there is none. It will be emitted. */
  #row(device: number, timeMs: number): number {
    if (device + 1 >= this.#current.length) this.#current = withRoom(this.#current, device + 1, -1);
    const newest = this.#current[device + 1];
    let row = newest;
    while (row >= 0) {
      const since = timeMs - this.#rows[row + START];
      if (since >= 0 && since < MINUTE_MS) {
        this.#unsaved.mark((row / ROW) | 0);
        this.#rows[row + DIRTY] = 1;
        return row;
      }
      row = this.#rows[row + OLDER];
    }
    this.#unsaved.mark(this.#count);
    row = this.#count++ * ROW;
    this.#rows = withRoom(this.#rows, row + ROW - 1, 0);
    const rows = this.#rows.fill(0, row, row + ROW);
    rows[row + START] = timeMs - (timeMs % MINUTE_MS);
    rows[row + DEVICE] = device;
    rows[row + OFFSET_FIRST] = this.#offset;
    rows[row + OFFSET_NEXT] = this.#offset + 1;
    rows[row + DIRTY] = 1;
    rows[row + OLDER] = newest;
    this.#current[device + 1] = row;
    return row;
  }

  /** Takes out the rows of minutes that are over; the others keep their order. */
  #forget(clockMs: number): void {
    const rows = this.#rows;
    let kept = 0;
    this.#unsaved.markAll(this.#count);
    for (let row = 0; row < this.#count * ROW; row += ROW) this.#current[rows[row + DEVICE] + 1] = -1;
    for (let row = 0; row < this.#count * ROW; row += ROW) {
      if (isOver(rows[row + START], clockMs)) continue;
      rows.copyWithin(kept, row, row + ROW);
      const device = rows[kept + DEVICE] + 1;
      rows[kept + OLDER] = this.#current[device];
      this.#current[device] = kept;
      kept += ROW;
    }
    this.#count = kept / ROW;
  }

  /** Devices of which something has yet to be counted or told. */
  *needed(): Generator<number> {
    for (let row = 0; row < this.#count * ROW; row += ROW)
      if (this.#rows[row + DEVICE] !== NOBODY) yield this.#rows[row + DEVICE];
  }

  save(out: StateWriter): void {
    out.varint(this.#flushedTo);
    out.varint(this.#frames);
    out.varint(this.#claims.size);
    for (const [door, n] of this.#claims) {
      out.text(door);
      out.varint(n);
    }
    out.varint(this.#count);
    this.#unsaved.save(out, 'rows', this.#count, (row, to) => {
      for (let i = 0; i < ROW; i++) {
        const value = this.#rows[row * ROW + i];
        if (i === DEVICE) to.varint(value === NOBODY ? 0 : to.devices.number(value) + 1);
        else if (i !== OLDER) to.varint(value);
      }
    });
    this.#sequences.save(out);
  }

  restore(from: StateReader, devices: number): void {
    this.#flushedTo = from.varint();
    this.#frames = from.varint();
    for (let left = from.count(); left > 0; left--) {
      const door = from.text();
      this.#claims.set(door, from.varint());
    }
    this.#count = from.count();
    this.#rows = withRoom(this.#rows, Math.max(1, this.#count) * ROW - 1, 0);
    this.#current = withRoom(this.#current, devices, -1);
    for (let row = 0; row < this.#count * ROW; row += ROW) {
      for (let i = 0; i < ROW; i++) {
        if (i === OLDER) continue;
        this.#rows[row + i] = i === DEVICE ? from.below(devices + 1, 'a device') - 1 : from.varint();
      }
      const device = this.#rows[row + DEVICE] + 1;
      this.#rows[row + OLDER] = this.#current[device];
      this.#current[device] = row;
    }
    this.#sequences.restore(from, devices);
  }
}

function isOver(startMs: number, clockMs: number): boolean {
  return clockMs >= startMs + MINUTE_MS + GRACE_MS;
}

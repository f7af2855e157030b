import { withRoom } from './columns.ts';
import { ChangedBlocks, type WriteItem } from './state-blocks.ts';
import type { StateReader, StateWriter } from './state-bytes.ts';

/**
 * Which timestamps a series has had, over the time in which a window may still take them: a redelivery is the same device,
 * metric and ts. Devices send at a steady pace, so times are kept as runs:
 *
 *     current run   start, step, end   one per series; the newest time of the series is its end
 *     runs          closed runs of RUN_MIN times and more, as (start, step, end)
 *     singles       all other times, sorted
 *
 * A time newer than the newest is new without a look at anything else, and in the usual case only moves the run's end. Times
 * below the horizon are neither kept nor asked for: no window takes them, and the store's key makes them one.
 */
export class SeenTimes {
  /** Rows of ROW doubles, so that a reading touches one cache line: phase (0 no time yet, 1 one time, 2 a run), start, step, end. */
  #runs = new Float64Array(1024 * ROW);
  readonly #older = new Map<number, Older>();
  readonly #changed = new ChangedBlocks();

  /** Records a time at or above `horizonMs`. Returns false when the series has had it: it is a redelivery. */
  record(series: number, tsMs: number, horizonMs: number): boolean {
    const at = series * ROW;
    if (at + END >= this.#runs.length) this.#grow(series);
    this.#changed.mark(series);
    const runs = this.#runs;
    const phase = runs[at];
    if (phase === 2) {
      const end = runs[at + END];
      if (tsMs - end === runs[at + STEP]) {
        runs[at + END] = tsMs;
        return true;
      }
      if (tsMs <= end) return this.#recordOlder(series, tsMs, horizonMs);
      this.#closeRun(series, horizonMs);
    } else if (phase === 1) {
      const start = runs[at + START];
      if (tsMs <= start) return this.#recordOlder(series, tsMs, horizonMs);
      runs[at] = 2;
      runs[at + STEP] = tsMs - start;
      runs[at + END] = tsMs;
      return true;
    }
    runs[at] = 1;
    runs[at + START] = tsMs;
    runs[at + STEP] = 0;
    runs[at + END] = tsMs;
    return true;
  }

  #grow(series: number): void {
    this.#runs = withRoom(this.#runs, (series + 1) * ROW - 1, 0);
  }

  #recordOlder(series: number, tsMs: number, horizonMs: number): boolean {
    const at = series * ROW;
    const start = this.#runs[at + START];
    const phase = this.#runs[at];
    if (tsMs === start) return false;
    if (phase === 2 && tsMs > start && (tsMs - start) % this.#runs[at + STEP] === 0) return false;
    const older = this.#olderOf(series);
    if (older.has(tsMs)) return false;
    older.prune(horizonMs);
    older.add(tsMs);
    return true;
  }

  #closeRun(series: number, horizonMs: number): void {
    const at = series * ROW;
    const start = this.#runs[at + START];
    const step = this.#runs[at + STEP];
    const end = this.#runs[at + END];
    if (end < horizonMs) return;
    const older = this.#olderOf(series);
    older.prune(horizonMs);
    if ((end - start) / step + 1 >= RUN_MIN) older.runs.push(start, step, end);
    else for (let t = start; t <= end; t += step) if (t >= horizonMs) older.add(t);
  }

  #olderOf(series: number): Older {
    let older = this.#older.get(series);
    if (older === undefined) {
      older = new Older();
      this.#older.set(series, older);
    }
    return older;
  }

  save(out: StateWriter, seriesCount: number): void {
    const write: WriteItem = (s, to) => {
      const at = s * ROW;
      const phase = at < this.#runs.length ? this.#runs[at] : 0;
      const older = this.#older.get(s);
      to.varint(older === undefined ? phase : phase + HAS_OLDER);
      if (phase !== 0) {
        const start = this.#runs[at + START];
        to.varint(start);
        if (phase === 2) {
          const step = this.#runs[at + STEP];
          to.varint(step);
          to.varint(Math.round((this.#runs[at + END] - start) / step));
        }
      }
      older?.save(to);
    };
    this.#changed.save(out, 'seen', seriesCount, write, out.series);
  }

  restore(from: StateReader, seriesCount: number): void {
    if (seriesCount > 0) this.#grow(seriesCount - 1);
    for (let s = 0; s < seriesCount; s++) {
      const kind = from.below(2 * HAS_OLDER, 'a phase');
      const phase = kind % HAS_OLDER;
      const at = s * ROW;
      this.#runs[at] = phase;
      if (phase !== 0) {
        const start = from.varint();
        this.#runs[at + START] = start;
        this.#runs[at + END] = start;
        if (phase === 2) {
          const step = from.varint();
          if (step === 0) from.unreadable('a run does not move');
          this.#runs[at + STEP] = step;
          this.#runs[at + END] = start + step * from.varint();
        }
      }
      if (kind >= HAS_OLDER) this.#olderOf(s).restore(from);
    }
  }
}

/** Added to the phase of a series that has other times besides its run. */
const HAS_OLDER = 3;

/** Where the parts of a row are; the phase is the first. */
const START = 1;
const STEP = 2;
const END = 3;
const ROW = 4;

/** A shorter run costs more as a run than as single times. */
const RUN_MIN = 4;

/** Times of one series besides its current run. */
class Older {
  /** start, step, end of each closed run. */
  runs: number[] = [];
  #singles = new Float64Array(8);
  #count = 0;

  has(tsMs: number): boolean {
    const at = this.#position(tsMs);
    if (at < this.#count && this.#singles[at] === tsMs) return true;
    const runs = this.runs;
    for (let i = runs.length - 3; i >= 0; i -= 3) {
      if (tsMs >= runs[i] && tsMs <= runs[i + 2] && (tsMs - runs[i]) % runs[i + 1] === 0) return true;
    }
    return false;
  }

  add(tsMs: number): void {
    if (this.#count === this.#singles.length) this.#singles = withRoom(this.#singles, this.#count, 0);
    const at = this.#position(tsMs);
    if (at < this.#count) this.#singles.copyWithin(at + 1, at, this.#count);
    this.#singles[at] = tsMs;
    this.#count++;
  }

  /** Lets go of what is below the horizon, when that is worth the move. */
  prune(horizonMs: number): void {
    if (this.#count >= 8) {
      const gone = this.#position(horizonMs);
      if (gone * 2 >= this.#count) {
        this.#singles.copyWithin(0, gone, this.#count);
        this.#count -= gone;
        if (this.#count * 4 < this.#singles.length && this.#singles.length > 64) {
          this.#singles = this.#singles.slice(0, this.#count * 2);
        }
      }
    }
    const runs = this.runs;
    let gone = 0;
    while (gone < runs.length && runs[gone + 2] < horizonMs) gone += 3;
    if (gone > 0) this.runs = runs.slice(gone);
  }

  /** Index of the first single that is not below tsMs. */
  #position(tsMs: number): number {
    let low = 0;
    let high = this.#count;
    if (high > 0 && this.#singles[high - 1] < tsMs) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#singles[middle] < tsMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  save(out: StateWriter): void {
    out.varint(this.runs.length / 3);
    for (let i = 0; i < this.runs.length; i += 3) {
      out.varint(this.runs[i]);
      out.varint(this.runs[i + 1]);
      out.varint(Math.round((this.runs[i + 2] - this.runs[i]) / this.runs[i + 1]));
    }
    out.varint(this.#count);
    let before = 0;
    for (let i = 0; i < this.#count; i++) {
      out.varint(this.#singles[i] - before);
      before = this.#singles[i];
    }
  }

  restore(from: StateReader): void {
    for (let left = from.count(); left > 0; left--) {
      const start = from.varint();
      const step = from.varint();
      if (step === 0) from.unreadable('a run does not move');
      this.runs.push(start, step, start + step * from.varint());
    }
    let before = 0;
    for (let left = from.count(); left > 0; left--) {
      before += from.varint();
      this.add(before);
    }
  }
}

import { withRoom } from './columns.ts';
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
  /** 0: no time yet; 1: one time, no step yet; 2: a run. */
  #phase = new Uint8Array(1024);
  #start = new Float64Array(1024);
  #step = new Float64Array(1024);
  #end = new Float64Array(1024);
  readonly #older = new Map<number, Older>();

  /** Records a time at or above `horizonMs`. Returns false when the series has had it: it is a redelivery. */
  record(series: number, tsMs: number, horizonMs: number): boolean {
    if (series >= this.#phase.length) this.#grow(series);
    const phase = this.#phase[series];
    if (phase === 2) {
      const end = this.#end[series];
      if (tsMs - end === this.#step[series]) {
        this.#end[series] = tsMs;
        return true;
      }
      if (tsMs <= end) return this.#recordOlder(series, tsMs, horizonMs);
      this.#closeRun(series, horizonMs);
    } else if (phase === 1) {
      const start = this.#start[series];
      if (tsMs <= start) return this.#recordOlder(series, tsMs, horizonMs);
      this.#step[series] = tsMs - start;
      this.#end[series] = tsMs;
      this.#phase[series] = 2;
      return true;
    }
    this.#phase[series] = 1;
    this.#start[series] = tsMs;
    this.#end[series] = tsMs;
    this.#step[series] = 0;
    return true;
  }

  #grow(series: number): void {
    this.#phase = withRoom(this.#phase, series, 0);
    this.#start = withRoom(this.#start, series, 0);
    this.#step = withRoom(this.#step, series, 0);
    this.#end = withRoom(this.#end, series, 0);
  }

  #recordOlder(series: number, tsMs: number, horizonMs: number): boolean {
    const start = this.#start[series];
    const phase = this.#phase[series];
    if (tsMs === start) return false;
    if (phase === 2 && tsMs > start && (tsMs - start) % this.#step[series] === 0) return false;
    const older = this.#olderOf(series);
    if (older.has(tsMs)) return false;
    older.prune(horizonMs);
    older.add(tsMs);
    return true;
  }

  #closeRun(series: number, horizonMs: number): void {
    const start = this.#start[series];
    const step = this.#step[series];
    const end = this.#end[series];
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
    for (let s = 0; s < seriesCount; s++) {
      const phase = s < this.#phase.length ? this.#phase[s] : 0;
      out.varint(phase);
      if (phase === 0) continue;
      out.varint(this.#start[s]);
      if (phase === 2) {
        out.varint(this.#step[s]);
        out.varint(Math.round((this.#end[s] - this.#start[s]) / this.#step[s]));
      }
    }
    out.varint(this.#older.size);
    for (const [series, older] of this.#older) {
      out.varint(series);
      older.save(out);
    }
  }

  restore(from: StateReader, seriesCount: number): void {
    if (seriesCount > 0) this.#grow(seriesCount - 1);
    for (let s = 0; s < seriesCount; s++) {
      const phase = from.below(3, 'a phase');
      this.#phase[s] = phase;
      if (phase === 0) continue;
      const start = from.varint();
      this.#start[s] = start;
      this.#end[s] = start;
      if (phase === 2) {
        this.#step[s] = from.varint();
        this.#end[s] = start + this.#step[s] * from.varint();
        if (this.#step[s] === 0) from.unreadable('a run does not move');
      }
    }
    for (let left = from.count(); left > 0; left--) {
      const series = from.below(seriesCount, 'a series');
      this.#olderOf(series).restore(from);
    }
  }
}

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

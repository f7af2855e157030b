import { withRoom } from '../columns.ts';

/** No row; what a list ends with. */
export const NONE = -1;
/** In the place of a list's head: the window does not take this series. */
export const UNTAKEN = -2;

/**
 * Rows of doubles in one column, for the open windows of an operator, which grow and come back. A row belongs to one list; `next` is
 * the row after it. Rows that were given back are used again, so memory follows what is open at most at one time.
 */
export class WindowRows {
  readonly width: number;
  column: Float64Array;
  next = new Int32Array(64);
  /** Rows in use. */
  open = 0;
  #used = 0;
  #free = NONE;

  constructor(width: number) {
    this.width = width;
    this.column = new Float64Array(64 * width);
  }

  /** A row whose content is that of whoever had it before. `column` may be another one after this. */
  take(): number {
    this.open++;
    if (this.#free !== NONE) {
      const row = this.#free;
      this.#free = this.next[row];
      return row;
    }
    const row = this.#used++;
    this.column = withRoom(this.column, (row + 1) * this.width - 1, 0);
    this.next = withRoom(this.next, row, 0);
    return row;
  }

  give(row: number): void {
    this.next[row] = this.#free;
    this.#free = row;
    this.open--;
  }

  /** Puts a row at the end of the list of its series, whose ends are in `tails`. */
  append(heads: Int32Array, tails: Map<number, number>, series: number, row: number): void {
    const tail = tails.get(series);
    if (tail === undefined) heads[series] = row;
    else this.next[tail] = row;
    this.next[row] = NONE;
    tails.set(series, row);
  }
}

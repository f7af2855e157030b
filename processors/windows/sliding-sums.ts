import type { ReadingBuffer } from './reading-buffer.ts';

/**
 * Sum, minimum and maximum of the readings of one series over (end − size, end], for one end after another, in constant time each
 * (van Herk 1992, Gil & Werman 1993). Time is cut at the multiples of the size; one of them, the border, is in every window:
 *
 *     ──────────┬──────────── border ────────────┬────
 *         ( end − size   ◀── s ──│── p ──▶  end ]          window = s then p
 *
 * s is made from the border backwards, once for all windows over a border; p goes on with the windows. So the sum of a window
 * is (sum of s, last reading first) + (sum of p, first reading first): it depends on its readings alone, not on which windows were asked
 * for before, what came late, or where a checkpoint was taken. Nothing here is state; it is made again when it is missing.
 */
export class SlidingSums {
  sum = 0;
  min = 0;
  max = 0;
  #borderMs = Number.NaN;
  /** Of each reading from #from up to #to, the border: sum, min and max from it to the border. */
  #behind = new Float64Array(0);
  #from = 0;
  #to = 0;
  /** p: readings from #to up to #ahead, their sum, min and max. */
  #ahead = 0;
  #aheadSum = 0;
  #aheadMin = Number.POSITIVE_INFINITY;
  #aheadMax = Number.NEGATIVE_INFINITY;

  /** Readings have changed otherwise than by one more at the end, or fewer at the front. */
  reset(): void {
    this.#borderMs = Number.NaN;
  }

  /** The first readings of the buffer were dropped; also those of p, when there was no room for them. */
  dropped(count: number): void {
    if (count > this.#to) this.reset();
    this.#from -= count;
    this.#to -= count;
    this.#ahead -= count;
  }

  /** Computes sum, min and max of readings `begin` … `last`, which are those of the window that ends with the ts of `last`. */
  over(readings: ReadingBuffer, begin: number, last: number, sizeMs: number): void {
    const borderMs = Math.floor(readings.ts(last) / sizeMs) * sizeMs;
    if (borderMs !== this.#borderMs || last < this.#ahead - 1 || begin < this.#from)
      this.#begin(readings, begin, borderMs);
    for (; this.#ahead <= last; this.#ahead++) {
      const value = readings.value(this.#ahead);
      this.#aheadSum += value;
      if (value < this.#aheadMin) this.#aheadMin = value;
      if (value > this.#aheadMax) this.#aheadMax = value;
    }
    this.sum = this.#aheadSum;
    this.min = this.#aheadMin;
    this.max = this.#aheadMax;
    if (begin >= this.#to) return;
    const at = (begin - this.#from) * WIDTH;
    const behind = this.#behind;
    this.sum = behind[at] + this.#aheadSum;
    // Of equal values the earlier one, as when readings are taken one after another; it matters for −0.
    if (behind[at + 1] <= this.min) this.min = behind[at + 1];
    if (behind[at + 2] >= this.max) this.max = behind[at + 2];
  }

  #begin(readings: ReadingBuffer, begin: number, borderMs: number): void {
    this.#borderMs = borderMs;
    this.#to = readings.after(borderMs - 1);
    this.#from = Math.min(begin, this.#to);
    this.#ahead = this.#to;
    this.#aheadSum = 0;
    this.#aheadMin = Number.POSITIVE_INFINITY;
    this.#aheadMax = Number.NEGATIVE_INFINITY;
    const count = this.#to - this.#from;
    if (this.#behind.length < count * WIDTH) this.#behind = new Float64Array(count * WIDTH);
    let sum = 0;
    let min = Number.POSITIVE_INFINITY;
    let max = Number.NEGATIVE_INFINITY;
    for (let i = this.#to - 1; i >= this.#from; i--) {
      const value = readings.value(i);
      sum += value;
      if (value <= min) min = value;
      if (value >= max) max = value;
      const at = (i - this.#from) * WIDTH;
      this.#behind[at] = sum;
      this.#behind[at + 1] = min;
      this.#behind[at + 2] = max;
    }
  }
}

const WIDTH = 3;

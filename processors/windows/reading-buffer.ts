import type { StateReader, StateWriter } from '../state-bytes.ts';

/**
 * Readings that wait in order of their ts; of equal ts in the order in which they came. `key` is what an operator needs with each
 * besides its value. As a rule a reading goes to the end and leaves at the front, both without moving others.
 */
export class ReadingBuffer {
  #ts: number[] = [];
  #values: number[] = [];
  #keys: number[] = [];
  /** Entries before this one have left. */
  #from = 0;

  get count(): number {
    return this.#ts.length - this.#from;
  }

  ts(index: number): number {
    return this.#ts[this.#from + index];
  }

  value(index: number): number {
    return this.#values[this.#from + index];
  }

  key(index: number): number {
    return this.#keys[this.#from + index];
  }

  setKey(index: number, key: number): void {
    this.#keys[this.#from + index] = key;
  }

  add(tsMs: number, value: number, key: number): void {
    const last = this.#ts.length - 1;
    if (last < this.#from || this.#ts[last] <= tsMs) {
      this.#ts.push(tsMs);
      this.#values.push(value);
      this.#keys.push(key);
      return;
    }
    const at = this.#from + this.after(tsMs);
    this.#ts.splice(at, 0, tsMs);
    this.#values.splice(at, 0, value);
    this.#keys.splice(at, 0, key);
  }

  /** The index of the first entry whose ts is above this. */
  after(tsMs: number): number {
    let low = this.#from;
    let high = this.#ts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ts[middle] <= tsMs) low = middle + 1;
      else high = middle;
    }
    return low - this.#from;
  }

  /** Lets go of the first entries. */
  drop(count: number): void {
    this.#from += count;
    if (this.#from < 32 || this.#from * 2 < this.#ts.length) return;
    this.#ts = this.#ts.slice(this.#from);
    this.#values = this.#values.slice(this.#from);
    this.#keys = this.#keys.slice(this.#from);
    this.#from = 0;
  }

  /** `keyOf` gives what is written of a key, a whole number; null writes none. */
  save(out: StateWriter, keyOf: ((key: number) => number) | null): void {
    out.varint(this.count);
    let before = 0;
    for (let i = 0; i < this.count; i++) {
      out.varint(this.ts(i) - before);
      before = this.ts(i);
      out.f64(this.value(i));
      if (keyOf !== null) out.varint(keyOf(this.key(i)));
    }
  }

  /** Into a buffer that is empty. `keysEnd` bounds the keys; null where none were written. */
  restore(from: StateReader, keysEnd: number | null): void {
    let before = 0;
    for (let left = from.count(); left > 0; left--) {
      before += from.varint();
      const value = from.f64();
      this.add(before, value, keysEnd === null ? 0 : from.below(keysEnd, 'a key'));
    }
  }
}

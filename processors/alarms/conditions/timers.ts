import { withRoom } from '../../columns.ts';

/**
 * Units that something is due for, in a wheel of seconds: a unit stands in at most one second, no later than it can be due; when the
 * second has passed it is given back, to be put further on if it is not due yet. So a unit that is heard of all the time costs
 * nothing here but once in a while.
 */
export class Timers {
  readonly #wheel = new Map<number, number[]>();
  /** No second before this one has units. */
  #from = 0;
  /** By unit: the second in which it stands, + 1; 0 for none. */
  #second = new Float64Array(64);

  isSet(unit: number): boolean {
    return unit < this.#second.length && this.#second[unit] > 0;
  }

  /** To be given back when `atMs` has passed, by a second at most. A unit that is set already stays where it is. */
  set(unit: number, atMs: number): void {
    if (this.isSet(unit)) return;
    this.#put(unit, Math.max(Math.ceil(atMs / 1000), this.#from));
  }

  #put(unit: number, second: number): void {
    this.#second = withRoom(this.#second, unit, 0);
    this.#second[unit] = second + 1;
    const units = this.#wheel.get(second);
    if (units === undefined) this.#wheel.set(second, [unit]);
    else units.push(unit);
  }

  /** Those whose second has come, by number, so that the order does not depend on how the wheel was filled. */
  take(nowMs: number): number[] {
    const second = Math.floor(nowMs / 1000);
    if (second < this.#from) return [];
    const taken: number[] = [];
    // After a long leap it is cheaper to look at the seconds that hold something.
    const seconds = second - this.#from > this.#wheel.size ? [...this.#wheel.keys()].filter((s) => s <= second) : null;
    if (seconds !== null) for (const s of seconds) this.#empty(s, taken);
    else for (let s = this.#from; s <= second; s++) this.#empty(s, taken);
    this.#from = second + 1;
    return taken.sort((a, b) => a - b);
  }

  #empty(second: number, into: number[]): void {
    const units = this.#wheel.get(second);
    if (units === undefined) return;
    this.#wheel.delete(second);
    for (const unit of units) {
      this.#second[unit] = 0;
      into.push(unit);
    }
  }

  /** For a checkpoint: the second of a unit + 1, and the seconds that have passed. */
  secondOf(unit: number): number {
    return unit < this.#second.length ? this.#second[unit] : 0;
  }

  get from(): number {
    return this.#from;
  }

  restoreFrom(from: number): void {
    this.#from = from;
  }

  restoreUnit(unit: number, second: number): void {
    if (second > 0) this.#put(unit, second - 1);
  }
}

/**
 * Which numbers of a numbering (series, or devices) a state is written with, and what their numbers are there: all of them as they are, or
 * those that are kept when others are forgotten (forgetting.ts), moved up.
 */
export interface Roster {
  has(one: number): boolean;
  /** The number of one that is kept; throws for another. */
  number(one: number): number;
  /** How many of the first `count` are kept. */
  count(count: number): number;
  /** Those of the first `count` that are kept, in order. */
  each(count: number, visit: (one: number) => void): void;
}

export const ALL: Roster = {
  has: () => true,
  number: (one) => one,
  count: (count) => count,
  each: (count, visit) => {
    for (let one = 0; one < count; one++) visit(one);
  },
};

export class Kept implements Roster {
  readonly size: number;
  /** By old number the new one, −1 for what is left out. */
  readonly #numbers: Int32Array;

  /** `marks`: 1 for each that is kept. */
  constructor(marks: Uint8Array) {
    this.#numbers = new Int32Array(marks.length);
    let next = 0;
    for (let one = 0; one < marks.length; one++) this.#numbers[one] = marks[one] === 1 ? next++ : -1;
    this.size = next;
  }

  has(one: number): boolean {
    return this.#numbers[one] >= 0;
  }

  number(one: number): number {
    const number = this.#numbers[one];
    if (number < 0) throw new Error(`${one} is left out, and something that is kept refers to it`);
    return number;
  }

  count(count: number): number {
    let kept = 0;
    for (let one = 0; one < count; one++) if (this.#numbers[one] >= 0) kept++;
    return kept;
  }

  each(count: number, visit: (one: number) => void): void {
    for (let one = 0; one < count; one++) if (this.#numbers[one] >= 0) visit(one);
  }
}

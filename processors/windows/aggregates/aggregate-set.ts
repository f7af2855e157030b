import type { AggregateSpec } from '../../../model/window.ts';
import type { StateReader, StateWriter } from '../../state-bytes.ts';
import type { FurtherAggregate, StateColumn } from './aggregate.ts';
import { BlockPool } from './block-pool.ts';
import { Delta } from './delta.ts';
import { Distinct } from './distinct.ts';
import { Histogram } from './histogram.ts';
import { InOrder } from './in-order.ts';
import { Percentiles } from './percentiles.ts';
import { Stddev } from './stddev.ts';
import { begin, merge, push, result, WINDOW_STATE_WIDTH, type WindowResult } from './window-state.ts';

/**
 * All that a window computes over its readings, as one state in `width` doubles of a shared column at `at`. Window kinds know
 * aggregates by this interface alone.
 */
export interface AggregateSet {
  readonly width: number;
  /** Some of it goes along one series in order of time: a group needs a state for each series, and joins them. */
  readonly bySeries: boolean;
  /** Before the first reading. What the row held before has been released. */
  begin(state: StateColumn, at: number): void;
  push(state: StateColumn, at: number, value: number, tsMs: number): void;
  /**
   * Takes in all that another state of the same set holds, as if its readings had been pushed. `from` may be `state` itself, at
   * another row; it is left as it was, and has still to be released.
   */
  merge(state: StateColumn, at: number, from: StateColumn, fromAt: number): void;
  /**
   * The same for the state of another series, as windows of a group do. What goes along one series in order of time (delta, rate,
   * time_avg) is then computed for each series by itself: begin a state for the group, and join that of each series once, when it is complete.
   */
  join(state: StateColumn, at: number, from: StateColumn, fromAt: number): void;
  result(state: StateColumn, at: number): WindowResult;
  /** The row is not used any more: gives back what it holds outside of the column. */
  release(state: StateColumn, at: number): void;
  save(state: StateColumn, at: number, out: StateWriter): void;
  /** Into a row that has not begun. */
  restore(state: StateColumn, at: number, from: StateReader): void;
  /** Memory held outside of the columns. */
  readonly bytes: number;
}

/** The set for a window's declaration. What it holds outside of the columns is its own: no two windows share a set. */
export function aggregateSet(specs: readonly AggregateSpec[]): AggregateSet {
  return specs.length === 0 ? PLAIN : new ExtendedSet(specs);
}

/** Count, sum, min, max, avg, first and last, which every window has. */
const PLAIN: AggregateSet = {
  width: WINDOW_STATE_WIDTH,
  bySeries: false,
  begin,
  push,
  merge,
  join: merge,
  result,
  release: () => {},
  save: savePlain,
  restore: restorePlain,
  bytes: 0,
};

function savePlain(state: StateColumn, at: number, out: StateWriter): void {
  for (let i = 0; i < WINDOW_STATE_WIDTH; i++) out.f64(state[at + i]);
}

function restorePlain(state: StateColumn, at: number, from: StateReader): void {
  for (let i = 0; i < WINDOW_STATE_WIDTH; i++) state[at + i] = from.f64();
}

/** Further aggregates: which kinds one of them computes, and how it is made from their declarations. */
interface Row {
  kinds: readonly AggregateSpec['kind'][];
  /** It goes along one series in order of time. */
  bySeries?: true;
  open(specs: readonly AggregateSpec[], pool: BlockPool): FurtherAggregate;
}

const FURTHER: readonly Row[] = [
  { kinds: ['stddev'], open: () => new Stddev() },
  { kinds: ['delta'], bySeries: true, open: () => new Delta() },
  {
    kinds: ['rate', 'time_avg'],
    bySeries: true,
    open: (specs, pool) =>
      new InOrder(
        specs.map((spec) => spec.kind),
        pool,
      ),
  },
  { kinds: ['distinct'], open: (_specs, pool) => new Distinct(pool) },
  {
    kinds: ['percentile'],
    open: (specs, pool) =>
      new Percentiles(
        specs.flatMap((spec) => (spec.kind === 'percentile' ? [spec.percent] : [])),
        pool,
      ),
  },
  {
    kinds: ['histogram'],
    open: (specs) => new Histogram(specs.flatMap((spec) => (spec.kind === 'histogram' ? spec.bounds : []))),
  },
];

/** The plain aggregates, and behind them in the row those that the window names. */
class ExtendedSet implements AggregateSet {
  readonly width: number;
  readonly bySeries: boolean;
  readonly #pool = new BlockPool();
  readonly #further: FurtherAggregate[] = [];
  /** Where each begins in the row. */
  readonly #from: number[] = [];

  constructor(specs: readonly AggregateSpec[]) {
    let width = WINDOW_STATE_WIDTH;
    let bySeries = false;
    for (const { kinds, open, bySeries: goesAlong } of FURTHER) {
      const own = specs.filter((spec) => kinds.includes(spec.kind));
      if (own.length === 0) continue;
      const further = open(own, this.#pool);
      this.#further.push(further);
      this.#from.push(width);
      width += further.width;
      if (goesAlong) bySeries = true;
    }
    this.width = width;
    this.bySeries = bySeries;
  }

  get bytes(): number {
    return this.#pool.bytes;
  }

  begin(state: StateColumn, at: number): void {
    begin(state, at);
    for (let i = 0; i < this.#further.length; i++) this.#further[i].begin(state, at + this.#from[i]);
  }

  push(state: StateColumn, at: number, value: number, tsMs: number): void {
    push(state, at, value, tsMs);
    for (let i = 0; i < this.#further.length; i++) this.#further[i].push(state, at + this.#from[i], value, tsMs);
  }

  merge(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    merge(state, at, from, fromAt);
    for (let i = 0; i < this.#further.length; i++)
      this.#further[i].merge(state, at + this.#from[i], from, fromAt + this.#from[i]);
  }

  join(state: StateColumn, at: number, from: StateColumn, fromAt: number): void {
    merge(state, at, from, fromAt);
    for (let i = 0; i < this.#further.length; i++)
      this.#further[i].join(state, at + this.#from[i], from, fromAt + this.#from[i]);
  }

  result(state: StateColumn, at: number): WindowResult {
    const base = result(state, at);
    const extra = new Map<string, number>();
    for (let i = 0; i < this.#further.length; i++) this.#further[i].results(state, at + this.#from[i], base, extra);
    base.extra = extra;
    return base;
  }

  release(state: StateColumn, at: number): void {
    for (let i = 0; i < this.#further.length; i++) this.#further[i].release(state, at + this.#from[i]);
  }

  save(state: StateColumn, at: number, out: StateWriter): void {
    savePlain(state, at, out);
    for (let i = 0; i < this.#further.length; i++) this.#further[i].save(state, at + this.#from[i], out);
  }

  restore(state: StateColumn, at: number, from: StateReader): void {
    restorePlain(state, at, from);
    for (let i = 0; i < this.#further.length; i++) this.#further[i].restore(state, at + this.#from[i], from);
  }
}

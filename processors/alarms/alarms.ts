import type { AlarmEvent, AlarmRule, Position } from '../../model/alarm.ts';
import type { AlarmOperation, MaintenanceOperation } from '../../model/operation.ts';
import type { SeriesDictionary } from '../series.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import type { Orphan } from './alarm-case.ts';
import { ThresholdConditions } from './conditions/threshold.ts';
import { AlarmLife, type LifeSurroundings } from './life.ts';

export type { Orphan } from './alarm-case.ts';

/**
 * The alarm rules of one partition: conditions look at readings and say when they begin and cease to hold (turn.ts), lives make
 * alarms of that (life.ts).
 */
export class Alarms {
  readonly #thresholds: ThresholdConditions;
  readonly #life: AlarmLife;

  constructor(rules: readonly AlarmRule[], series: SeriesDictionary, around: LifeSurroundings) {
    this.#life = new AlarmLife(rules, series, around);
    const indexed = rules.map((rule, index) => ({ rule, index }));
    this.#thresholds = new ThresholdConditions(indexed, series, (turn, emit) => this.#life.turn(turn, emit));
  }

  /** A new series; called once for each, in order. */
  seriesAdded(series: number): void {
    this.#thresholds.seriesAdded(series);
  }

  /** Looks at a numeric reading. `ordinal` is its number within the message. */
  push(
    series: number,
    tsMs: number,
    value: number,
    partition: number,
    offset: number,
    index: number,
    ordinal: number,
    emit: (event: AlarmEvent) => void,
  ): void {
    this.#thresholds.push(series, tsMs, value, partition, offset, index, ordinal, emit);
  }

  /** What operators do with alarms, at its place on the log. */
  operate(
    operation: AlarmOperation | MaintenanceOperation,
    position: Position,
    emit: (event: AlarmEvent) => void,
  ): void {
    this.#life.operate(operation, position, emit);
  }

  /** The frame has ended: what the clock has brought about. */
  endFrame(position: Position, emit: (event: AlarmEvent) => void): void {
    this.#life.endFrame(position, emit);
  }

  save(out: StateWriter): void {
    this.#thresholds.save(out);
    this.#life.save(out);
  }

  /** After `seriesAdded` was called for every series. */
  restore(from: StateReader): Orphan[] {
    this.#thresholds.restore(from);
    return this.#life.restore(from);
  }
}

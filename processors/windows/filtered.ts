import { compileExpression, deviceValue, type Expression, type Value } from '../../model/expressions/expression.ts';
import type { Rollup } from '../../model/rollup.ts';
import { WHERE_PLACE, type WindowSpec } from '../../model/window.ts';
import type { Registry } from '../registry/registry.ts';
import type { SeriesDictionary } from '../series.ts';
import type { StateReader, StateWriter } from '../state-bytes.ts';
import type { WindowLimits } from './limits.ts';
import type { WindowOperator } from './window.ts';

/**
 * Stands before a window that has a `where`, and gives it only the readings for which that is true. Unknown, as where the registry
 * does not say what is asked for, is not true. The readings of a state window's own state always pass.
 */
export class FilteredWindow implements WindowOperator {
  readonly horizonMs: number;
  readonly limits: WindowLimits;
  readonly pushText: WindowOperator['pushText'];
  readonly #window: WindowOperator;
  readonly #state: string | null;
  readonly #where: Expression;
  readonly #values: (Value | null)[];
  readonly #series: SeriesDictionary;
  readonly #registry: Pick<Registry, 'entry'> | null;

  constructor(
    spec: WindowSpec,
    window: WindowOperator,
    series: SeriesDictionary,
    registry: Pick<Registry, 'entry'> | null,
  ) {
    this.#window = window;
    this.#state = spec.kind === 'state' ? spec.state : null;
    this.#where = compileExpression(spec.where, WHERE_PLACE);
    this.#values = this.#where.references.map(() => null);
    this.#series = series;
    this.#registry = registry;
    this.horizonMs = window.horizonMs;
    this.limits = window.limits;
    this.pushText = window.pushText?.bind(window);
  }

  get open(): number {
    return this.#window.open;
  }

  seriesAdded(series: number): void {
    this.#window.seriesAdded(series);
  }

  push(series: number, device: number, tsMs: number, value: number): boolean {
    const isState = this.#state !== null && this.#series.metric(series) === this.#state;
    if (!isState && !this.#isTrue(series, device, tsMs, value)) return true;
    return this.#window.push(series, device, tsMs, value);
  }

  #isTrue(series: number, device: number, tsMs: number, value: number): boolean {
    const { references } = this.#where;
    for (let i = 0; i < references.length; i++) {
      const reference = references[i];
      if (reference.kind === 'value') this.#values[i] = value;
      else if (reference.kind === 'ts') this.#values[i] = tsMs;
      else if (reference.kind === 'metric') this.#values[i] = this.#series.metric(series);
      else
        this.#values[i] = deviceValue(
          reference,
          this.#series.devices.name(device),
          this.#registry?.entry(device) ?? null,
        );
    }
    return this.#where.evaluate(this.#values) === true;
  }

  emitCorrections(emit: (rollup: Rollup) => void): void {
    this.#window.emitCorrections(emit);
  }

  advance(device: number, eventMs: number, emit: (rollup: Rollup) => void): number {
    return this.#window.advance(device, eventMs, emit);
  }

  unfinished(keep: (series: number) => void, isSilent: (device: number) => boolean): void {
    this.#window.unfinished(keep, isSilent);
  }

  end(series: number, emit: (rollup: Rollup) => void): void {
    this.#window.end?.(series, emit);
  }

  save(out: StateWriter): void {
    this.#window.save(out);
  }

  restore(from: StateReader): void {
    this.#window.restore(from);
  }
}

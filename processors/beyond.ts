import type { Blocks } from './batch-builder.ts';
import { SeriesDictionary } from './series.ts';

/**
 * Readings of series that are not known (processors.seriesMax), until the end of a batch. They have numbers and a block of their
 * own, and both go with the batch, so that names which never come again are kept nowhere.
 */
export class BeyondReadings {
  readonly #series = new SeriesDictionary();
  readonly #block: ReturnType<Blocks['readings']>;
  #open = 0;

  constructor(blocks: Blocks, partition: number) {
    this.#block = blocks.readings(this.#series, partition);
  }

  get rows(): number {
    return this.#block.rows;
  }

  /** The series that the next `add` is for. */
  of(device: string, metric: string): this {
    this.#open = this.#series.add(this.#series.devices.add(device), metric);
    return this;
  }

  add(
    tsMs: number,
    value: number,
    text: string,
    receivedMs: number,
    offset: number,
    index: number,
    untimed: boolean,
  ): void {
    this.#block.add(this.#open, tsMs, value, text, receivedMs, offset, index, untimed);
  }

  finish(): Uint8Array<ArrayBuffer>[] {
    return this.#block.finish();
  }
}

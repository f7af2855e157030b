import { LEDGER_COUNTS, type LedgerRow } from '../model/ledger.ts';
import { assertTimeMs, encodeBlock, fixedColumn, Int64Column, StringColumn } from './native.ts';

/** Counts of a row, and what was acknowledged of them. */
const WIDTH = LEDGER_COUNTS.length + 1;
const ACKNOWLEDGED = LEDGER_COUNTS.length;

/** Rows of `ledger`. As the other builders of blocks.ts. */
export class LedgerBlock {
  rows = 0;
  readonly #device = new StringColumn();
  readonly #minute = new Int64Column();
  readonly #offsetFirst = new Int64Column();
  readonly #offsetNext = new Int64Column();
  readonly #countedTo = new Int64Column();
  #partition: number[] = [];
  /** Row after row, each in the order of LEDGER_COUNTS. */
  #counts = new Uint32Array(WIDTH * 64);

  add(row: LedgerRow): void {
    assertTimeMs(row.minuteMs, 'minute');
    this.#device.push(row.device);
    this.#minute.push(row.minuteMs);
    this.#offsetFirst.push(row.offsetFirst);
    this.#offsetNext.push(row.offsetNext);
    this.#countedTo.push(row.countedTo);
    this.#partition.push(row.partition);
    const at = this.rows++ * WIDTH;
    if (at + WIDTH > this.#counts.length) {
      const larger = new Uint32Array(this.#counts.length * 2);
      larger.set(this.#counts);
      this.#counts = larger;
    }
    // Written out, since a loop over the names would look each one up anew.
    const counts = this.#counts;
    counts[at] = row.received;
    counts[at + 1] = row.failed;
    counts[at + 2] = row.logged;
    counts[at + 3] = row.quarantined;
    counts[at + 4] = row.readings;
    counts[at + 5] = row.stored;
    counts[at + 6] = row.duplicates;
    counts[at + 7] = row.late;
    counts[at + 8] = row.unchecked;
    counts[at + 9] = row.seq_seen;
    counts[at + 10] = row.seq_missing;
    counts[at + 11] = row.seq_found;
    counts[at + 12] = row.seq_restarts;
    counts[at + ACKNOWLEDGED] = row.received - row.failed;
  }

  finish(): Uint8Array<ArrayBuffer>[] {
    const n = this.rows;
    if (n === 0) return [];
    const column = (name: string, type: string, at: number) => {
      const values = new Uint32Array(n);
      for (let row = 0; row < n; row++) values[row] = this.#counts[row * WIDTH + at];
      return fixedColumn(name, type, values, n);
    };
    const block = encodeBlock(n, [
      this.#minute.take('minute', 'DateTime64(3)'),
      fixedColumn('partition', 'UInt16', Uint16Array.from(this.#partition), n),
      { name: 'device', type: 'String', data: [this.#device.take()] },
      this.#offsetFirst.take('offset_first', 'UInt64'),
      this.#offsetNext.take('offset_next', 'UInt64'),
      this.#countedTo.take('counted_to', 'UInt64'),
      column('acknowledged', 'Int32', ACKNOWLEDGED),
      ...LEDGER_COUNTS.map((name, at) => column(name, 'UInt32', at)),
    ]);
    this.rows = 0;
    this.#partition = [];
    this.#counts = new Uint32Array(WIDTH * 64);
    return [block];
  }
}

import { LEDGER_COUNTS, type LedgerRow } from '../model/ledger.ts';
import { assertTimeMs, encodeBlock, fixedColumn, Int64Column, StringColumn } from './native.ts';

/** Rows of `ledger`. As the other builders of blocks.ts. */
export class LedgerBlock {
  #rows: LedgerRow[] = [];

  get rows(): number {
    return this.#rows.length;
  }

  add(row: LedgerRow): void {
    assertTimeMs(row.minuteMs, 'minute');
    this.#rows.push(row);
  }

  finish(): Uint8Array<ArrayBuffer>[] {
    const rows = this.#rows;
    if (rows.length === 0) return [];
    this.#rows = [];
    const device = new StringColumn();
    const long = { minuteMs: new Int64Column(), offsetFirst: new Int64Column(), offsetNext: new Int64Column() };
    const countedTo = new Int64Column();
    for (const row of rows) {
      device.push(row.device);
      long.minuteMs.push(row.minuteMs);
      long.offsetFirst.push(row.offsetFirst);
      long.offsetNext.push(row.offsetNext);
      countedTo.push(row.countedTo);
    }
    const n = rows.length;
    const acknowledged = new Uint32Array(Int32Array.from(rows, (row) => row.received - row.failed).buffer);
    return [
      encodeBlock(n, [
        long.minuteMs.take('minute', 'DateTime64(3)'),
        fixedColumn(
          'partition',
          'UInt16',
          Uint16Array.from(rows, (row) => row.partition),
          n,
        ),
        { name: 'device', type: 'String', data: [device.take()] },
        long.offsetFirst.take('offset_first', 'UInt64'),
        long.offsetNext.take('offset_next', 'UInt64'),
        countedTo.take('counted_to', 'UInt64'),
        fixedColumn('acknowledged', 'Int32', acknowledged, n),
        ...LEDGER_COUNTS.map((name) =>
          fixedColumn(
            name,
            'UInt32',
            Uint32Array.from(rows, (row) => row[name]),
            n,
          ),
        ),
      ]),
    ];
  }
}

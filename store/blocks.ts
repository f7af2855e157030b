import type { Position } from '../model/alarm.ts';
import type { Rollup } from '../model/rollup.ts';
import {
  assertTimeMs,
  DictionaryColumn,
  encodeBlock,
  fixedColumn,
  Int64Column,
  MapColumn,
  StringColumn,
} from './native.ts';
import { DAY_MS } from './readings-block.ts';
import { dictionaryColumn, int64Column, positionColumns, stringColumn } from './row-columns.ts';

/**
 * Builders of the Native blocks that go into the tables of store/tables.ts. Workers fill them; `finish` hands out the encoded
 * blocks, each in an ArrayBuffer of its own that can be transferred, and starts the builder anew. No block spans two
 * partitions of its table, so that an insert of one block is one part: all of it or nothing.
 *
 * Times are ms since the epoch. A time outside of the years 1900 to 2299 throws INPUT_INVALID and leaves the block unchanged.
 */

export { AlarmEventsBlock, AlarmsBlock } from './alarms-block.ts';
export { DevicesBlock } from './devices-block.ts';
export { LedgerBlock } from './ledger-block.ts';
export { ReadingsBlock, type SeriesNames } from './readings-block.ts';
export { mergeReadings } from './readings-merge.ts';

/** Rows of `rollups`. */
export class RollupsBlock {
  rows = 0;
  #window = new DictionaryColumn();
  #device = new DictionaryColumn();
  #metric = new DictionaryColumn();
  #start = new Int64Column();
  #end = new Int64Column();
  #count = new Int64Column();
  #values: number[] = [];
  #revision: number[] = [];
  #partition: number[] = [];
  #phase = new DictionaryColumn();
  #grouping = new DictionaryColumn();
  #groupings = false;
  #extra = new MapColumn();
  #label = new StringColumn();
  /** Few windows have further aggregates or a label: without any, their columns are left out of the block. */
  #labels = false;

  add(r: Rollup, partition: number): void {
    assertTimeMs(r.startMs, 'start');
    assertTimeMs(r.endMs, 'end');
    this.rows++;
    this.#window.push(r.window);
    this.#device.push(r.device);
    this.#metric.push(r.metric);
    this.#start.push(r.startMs);
    this.#end.push(r.endMs);
    this.#count.push(r.count);
    this.#values.push(r.sum, r.min, r.max, r.avg, r.first, r.last);
    this.#revision.push(r.revision);
    this.#partition.push(partition);
    this.#phase.push(r.phase);
    this.#grouping.push(r.grouping ?? '');
    if (r.grouping !== undefined) this.#groupings = true;
    this.#extra.push(r.extra);
    this.#label.push(r.label);
    if (r.label !== '') this.#labels = true;
  }

  finish(): Uint8Array<ArrayBuffer>[] {
    const rows = this.rows;
    if (rows === 0) return [];
    const extra = this.#extra.take('extra');
    const grouping = this.#grouping.take('grouping');
    const label = { name: 'label', type: 'String', data: [this.#label.take()] };
    const value = (at: number) => Float64Array.from({ length: rows }, (_, row) => this.#values[row * 6 + at]);
    const block = encodeBlock(rows, [
      this.#window.take('window'),
      this.#device.take('device'),
      this.#metric.take('metric'),
      this.#start.take('start', 'DateTime64(3)'),
      this.#end.take('end', 'DateTime64(3)'),
      this.#count.take('count', 'UInt64'),
      ...['sum', 'min', 'max', 'avg', 'first', 'last'].map((name, at) => fixedColumn(name, 'Float64', value(at), rows)),
      fixedColumn('revision', 'UInt32', Uint32Array.from(this.#revision), rows),
      fixedColumn('partition', 'UInt16', Uint16Array.from(this.#partition), rows),
      this.#phase.take('phase'),
      ...(this.#groupings ? [grouping] : []),
      ...(extra === null ? [] : [extra]),
      ...(this.#labels ? [label] : []),
    ]);
    this.#labels = false;
    this.#groupings = false;
    this.#values = [];
    this.#revision = [];
    this.#partition = [];
    this.rows = 0;
    return [block];
  }
}

/** A message that could not be decoded. */
export interface QuarantineRow extends Position {
  device: string;
  topic: string;
  receivedMs: number;
  reason: string;
  /** The original bytes; copied. */
  payload: Uint8Array;
}

/** Rows of `quarantine`. */
export class QuarantineBlock {
  rows = 0;
  #days = new Map<number, QuarantineRow[]>();

  add(q: QuarantineRow): void {
    assertTimeMs(q.receivedMs, 'received');
    this.rows++;
    const day = Math.floor(q.receivedMs / DAY_MS);
    const rows = this.#days.get(day);
    const row = { ...q, payload: q.payload.slice() };
    if (rows) rows.push(row);
    else this.#days.set(day, [row]);
  }

  finish(): Uint8Array<ArrayBuffer>[] {
    const days = [...this.#days.values()];
    this.#days.clear();
    this.rows = 0;
    return days.map((rows) => {
      const payload = new StringColumn();
      for (const row of rows) payload.pushBytes(row.payload);
      return encodeBlock(rows.length, [
        dictionaryColumn(
          'device',
          rows.map((r) => r.device),
        ),
        stringColumn(
          'topic',
          rows.map((r) => r.topic),
        ),
        int64Column(
          'received',
          'DateTime64(3)',
          rows.map((r) => r.receivedMs),
        ),
        stringColumn(
          'reason',
          rows.map((r) => r.reason),
        ),
        { name: 'payload', type: 'String', data: [payload.take()] },
        ...positionColumns(rows),
      ]);
    });
  }
}

import type { DeviceRow } from '../model/device.ts';
import {
  assertTimeMs,
  DictionaryColumn,
  encodeBlock,
  fixedColumn,
  Int64Column,
  mapColumn,
  StringColumn,
} from './native.ts';

/** Rows of `devices`. As the other builders of blocks.ts. */
export class DevicesBlock {
  #rows: DeviceRow[] = [];

  get rows(): number {
    return this.#rows.length;
  }

  add(row: DeviceRow): void {
    if (row.firstSeenMs !== null) assertTimeMs(row.firstSeenMs, 'first_seen');
    assertTimeMs(row.changedMs, 'changed_at');
    this.#rows.push(row);
  }

  finish(): Uint8Array<ArrayBuffer>[] {
    const rows = this.#rows;
    if (rows.length === 0) return [];
    this.#rows = [];
    const n = rows.length;
    const text = { id: new StringColumn(), name: new StringColumn() };
    const few = { site: new DictionaryColumn(), model: new DictionaryColumn(), source: new DictionaryColumn() };
    const times = { first: new Int64Column(), changed: new Int64Column() };
    const numbers = { version: new Int64Column(), revision: new Int64Column(), offset: new Int64Column() };
    for (const row of rows) {
      text.id.push(row.id);
      text.name.push(row.name);
      few.site.push(row.site);
      few.model.push(row.model);
      few.source.push(row.source);
      times.first.push(row.firstSeenMs ?? 0);
      times.changed.push(row.changedMs);
      numbers.version.push(row.version);
      numbers.revision.push(row.revision);
      numbers.offset.push(row.offset);
    }
    const neverSeen = Uint8Array.from(rows, (row) => (row.firstSeenMs === null ? 1 : 0));
    return [
      encodeBlock(n, [
        { name: 'id', type: 'String', data: [text.id.take()] },
        { name: 'name', type: 'String', data: [text.name.take()] },
        few.site.take('site'),
        few.model.take('model'),
        mapColumn(
          'tags',
          'String',
          rows.map((row) => row.tags),
        ),
        mapColumn(
          'thresholds',
          'Float64',
          rows.map((row) => row.thresholds),
        ),
        few.source.take('source'),
        {
          name: 'first_seen',
          type: 'Nullable(DateTime64(3))',
          data: [neverSeen, ...times.first.take('first_seen', 'DateTime64(3)').data],
        },
        times.changed.take('changed_at', 'DateTime64(3)'),
        fixedColumn(
          'removed',
          'UInt8',
          Uint8Array.from(rows, (row) => (row.removed ? 1 : 0)),
          n,
        ),
        numbers.version.take('version', 'UInt64'),
        numbers.revision.take('revision', 'UInt64'),
        fixedColumn(
          'partition',
          'UInt16',
          Uint16Array.from(rows, (row) => row.partition),
          n,
        ),
        numbers.offset.take('offset', 'UInt64'),
      ]),
    ];
  }
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReadingsBlock, RollupsBlock } from './blocks.ts';
import {
  DictionaryColumn,
  encodeBlock,
  encodeBlockInTurns,
  fixedColumn,
  Int64Column,
  indexArray,
  StringColumn,
  TIME_MS_MAX,
  TIME_MS_MIN,
} from './native.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const text = (value: string) => Buffer.from(value).toString('hex');

describe('Native', () => {
  it('has the documented bytes', () => {
    const names = new DictionaryColumn();
    for (const name of ['b', 'a', 'b']) names.push(name);
    const times = new Int64Column();
    for (const time of [1, -1, 1_700_000_000_123]) times.push(time);
    const strings = new StringColumn();
    strings.push('é');
    strings.pushEmpty(1);
    strings.pushBytes(Uint8Array.of(0, 255));
    const block = encodeBlock(3, [
      names.take('k'),
      times.take('t', 'DateTime64(3)'),
      fixedColumn('v', 'Float64', Float64Array.of(1, Number.NaN, -0.5), 3),
      { name: 's', type: 'String', data: [strings.take()] },
      { name: 'n', type: 'Nullable(UInt8)', data: [Uint8Array.of(0, 1, 0), Uint8Array.of(7, 0, 9)] },
    ]);
    expect(hex(block)).toBe(
      [
        '05', // columns
        '03', // rows
        `01${text('k')}16${text('LowCardinality(String)')}`,
        '0100000000000000', // version of the keys
        '0006000000000000', // own keys that follow, UInt8 indexes
        `0200000000000000${'01'}${text('b')}${'01'}${text('a')}`,
        '0300000000000000000100',
        `01${text('t')}0d${text('DateTime64(3)')}`,
        '0100000000000000ffffffffffffffff7b68e5cf8b010000',
        `01${text('v')}07${text('Float64')}`,
        '000000000000f03f000000000000f87f000000000000e0bf',
        `01${text('s')}06${text('String')}`,
        '02c3a9000200ff',
        `01${text('n')}0f${text('Nullable(UInt8)')}`,
        '000100070009',
      ].join(''),
    );
  });

  it('is the same where other work takes turns with a large block', async () => {
    const rows = 500_000;
    const values = Float64Array.from({ length: rows }, (_, i) => i / 8);
    const columns = [
      fixedColumn('v', 'Float64', values, rows),
      { name: 'n', type: 'UInt8', data: [new Uint8Array(100_000).fill(1), new Uint8Array(rows - 100_000).fill(2)] },
      fixedColumn('w', 'Float64', values.toReversed(), rows),
    ];
    let turns = 0;
    const other = () => {
      turns++;
      again = setImmediate(other);
    };
    let again = setImmediate(other);
    const block = await encodeBlockInTurns(rows, columns);
    clearImmediate(again);
    expect(turns).toBeGreaterThan(1);
    expect(Buffer.compare(block, encodeBlock(rows, columns))).toBe(0);
  });

  it('writes no data for no rows', () => {
    expect(hex(encodeBlock(0, [fixedColumn('v', 'UInt8', new Uint8Array(4), 4)]))).toBe(
      `010001${text('v')}05${text('UInt8')}`,
    );
  });

  it('writes strings of any length with their length in bytes', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string({ unit: 'binary' }),
            fc.string({ minLength: 120, maxLength: 140 }),
            fc.integer({ min: 16_000, max: 17_000 }).map((n) => 'é'.repeat(n)),
          ),
        ),
        (values) => {
          const column = new StringColumn();
          for (const value of values) column.push(value);
          expect(column.count).toBe(values.length);
          const bytes = column.take();
          const seen: string[] = [];
          for (let at = 0; at < bytes.length; ) {
            let length = 0;
            for (let shift = 0; ; shift += 7) {
              const byte = bytes[at++];
              length |= (byte & 0x7f) << shift;
              if (byte < 0x80) break;
            }
            seen.push(Buffer.from(bytes.subarray(at, at + length)).toString());
            at += length;
          }
          expect(seen).toEqual(values.map((value) => Buffer.from(value).toString()));
        },
      ),
    );
  });

  it('writes 64-bit integers as BigInt would', () => {
    fc.assert(
      fc.property(fc.array(fc.maxSafeInteger(), { maxLength: 600 }), (values) => {
        const column = new Int64Column();
        for (const value of values) column.push(value);
        const bytes = column.take('a', 'Int64').data[0];
        const back = new BigInt64Array(bytes.slice().buffer);
        expect([...back]).toEqual(values.map(BigInt));
      }),
    );
  });

  it('chooses the narrowest indexes', () => {
    expect(indexArray(256, 1)).toBeInstanceOf(Uint8Array);
    expect(indexArray(257, 1)).toBeInstanceOf(Uint16Array);
    expect(indexArray(65_537, 1)).toBeInstanceOf(Uint32Array);
  });
});

describe('blocks', () => {
  const names = { device: (s: number) => `d${s}`, metric: () => 'm' };

  it('refuse times that the table cannot hold, and stay as they were', () => {
    const block = new ReadingsBlock(names, 0);
    for (const bad of [TIME_MS_MIN - 1, TIME_MS_MAX + 1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => block.add(0, bad, 1, '', 0, 0, 0, false)).toThrow(/1900 to 2299/);
      expect(() => block.add(0, 0, 1, '', bad, 0, 0, false)).toThrow(/1900 to 2299/);
    }
    expect(block.rows).toBe(0);
    expect(block.finish()).toEqual([]);
    const rollups = new RollupsBlock();
    const rollup = {
      window: 'w',
      device: 'd',
      metric: 'm',
      count: 1,
      sum: 1,
      min: 1,
      max: 1,
      avg: 1,
      first: 1,
      last: 1,
      extra: null,
      label: '',
      revision: 1,
      phase: 'final' as const,
    };
    expect(() => rollups.add({ ...rollup, startMs: Number.NaN, endMs: 1 }, 0)).toThrow(/1900 to 2299/);
    expect(rollups.finish()).toEqual([]);
  });

  it('hand out buffers of their own, and start anew', () => {
    const block = new ReadingsBlock(names, 0);
    block.add(3, 1, 1, 'x', 1, 0, 0, false);
    const [first] = block.finish();
    const copy = hex(first);
    expect(first.byteLength).toBe(first.buffer.byteLength);
    block.add(9, 2, 2, '', 1, 0, 0, true);
    const [second] = block.finish();
    expect(hex(first)).toBe(copy);
    block.add(3, 1, 1, 'x', 1, 0, 0, false);
    expect(hex(block.finish()[0])).toBe(copy);
    expect(hex(second)).not.toBe(copy);
  });

  it('sort by device, metric, time and arrival, a block for each day', () => {
    const series = fc.integer({ min: 0, max: 30 });
    const row = fc.tuple(series, fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 3 }), fc.boolean());
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 200 }), (rows) => {
        const block = new ReadingsBlock({ device: (s) => `d${s % 7}`, metric: (s) => `m${Math.floor(s / 7)}` }, 0);
        for (const [i, [s, ts, day, untimed]] of rows.entries())
          block.add(s, ts, i, '', day * 86_400_000, i, 0, untimed);
        const blocks = block.finish();
        const days = [...new Set(rows.map((r) => r[2]))].sort();
        expect(blocks.length).toBe(days.length);
        for (const [at, day] of days.entries()) {
          const key = ([s, ts, , untimed]: (typeof rows)[number], i: number) =>
            [`d${s % 7}`, `m${Math.floor(s / 7)}`, ts + 1e6, (untimed ? i + 1 : 0) + 1e6, i + 1e6].join();
          const expected = rows
            .map((r, i) => ({ i, day: r[2], key: key(r, i) }))
            .filter((r) => r.day === day)
            .sort((a, b) => (a.key < b.key ? -1 : 1))
            .map((r) => r.i);
          expect(valuesOf(blocks[at], expected.length)).toEqual(expected);
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** The column `value` of a readings block: it stands behind its name and type. */
function valuesOf(block: Uint8Array, rows: number): number[] {
  const head = Buffer.from('\x05value\x07Float64', 'latin1');
  const at = Buffer.from(block).indexOf(head) + head.length;
  return [...new Float64Array(block.slice(at, at + rows * 8).buffer)];
}

import type { Position } from '../model/alarm.ts';
import { DictionaryColumn, fixedColumn, Int64Column, type NativeColumn, StringColumn } from './native.ts';

/** Columns of rows that are kept as objects until their block is finished: those of tables with few rows. */

export function stringColumn(name: string, values: readonly string[]): NativeColumn {
  const column = new StringColumn();
  for (const value of values) column.push(value);
  return { name, type: 'String', data: [column.take()] };
}

export function dictionaryColumn(name: string, values: readonly string[]): NativeColumn {
  const column = new DictionaryColumn();
  for (const value of values) column.push(value);
  return column.take(name);
}

export function int64Column(name: string, type: 'UInt64' | 'DateTime64(3)', values: readonly number[]): NativeColumn {
  const column = new Int64Column();
  for (const value of values) column.push(value);
  return column.take(name, type);
}

export function nullableTimeColumn(name: string, values: readonly (number | null)[]): NativeColumn {
  const nulls = Uint8Array.from(values, (value) => (value === null ? 1 : 0));
  const times = int64Column(
    name,
    'DateTime64(3)',
    values.map((value) => value ?? 0),
  );
  return { name, type: 'Nullable(DateTime64(3))', data: [nulls, ...times.data] };
}

export function positionColumns(positions: readonly Position[]): NativeColumn[] {
  const rows = positions.length;
  return [
    fixedColumn(
      'partition',
      'UInt16',
      Uint16Array.from(positions, (p) => p.partition),
      rows,
    ),
    int64Column(
      'offset',
      'UInt64',
      positions.map((p) => p.offset),
    ),
    fixedColumn(
      'index',
      'UInt32',
      Uint32Array.from(positions, (p) => p.index),
      rows,
    ),
  ];
}

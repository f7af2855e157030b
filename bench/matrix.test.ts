import { describe, expect, it } from 'vitest';
import { cellsOf, nameOf } from './matrix.ts';

describe('the matrix', () => {
  it('has a cell for each combination, each with a name that finds it', () => {
    const all = cellsOf('all');
    expect(all).toHaveLength(4 * 3 * 4 * 2 * 2);
    expect(new Set(all.map(nameOf)).size).toBe(all.length);
    for (const cell of all) expect(cellsOf(nameOf(cell))).toEqual([cell]);
  });

  it('takes patterns and the names of its sides', () => {
    expect(cellsOf('payloads').map(({ payload }) => payload)).toEqual(['object', 'array10', 'single', 'strings']);
    expect(cellsOf('stores').map(({ log, store }) => `${log} ${store}`)).toEqual([
      'lmdb embedded',
      'lmdb none',
      'kafka embedded',
      'kafka none',
    ]);
    expect(cellsOf('object/*/1/kafka/none').map(({ qos }) => qos)).toEqual([0, 1, 2]);
  });

  it.each(['', 'object', 'object/1/50/lmdb', 'object/3/50/lmdb/none', 'object/1/50/lmdb/none/x', 'constructor'])(
    'knows no %j',
    (name) => expect(() => cellsOf(name)).toThrow(/no cell/),
  );
});

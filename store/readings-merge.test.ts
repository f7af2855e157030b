import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readNative } from '../processors/testing/native-rows.ts';
import { mergeReadings, ReadingsBlock } from './blocks.ts';

const T0 = 1_700_000_000_000;

interface Row {
  series: number;
  tsMs: number;
  value: number;
  text: string;
  untimed: boolean;
}

/** Series of which some share a device; the names are different in bytes and sorted by nothing. */
const names = fc
  .uniqueArray(fc.string({ unit: fc.constantFrom('a', 'b', 'é', 'ß', '東', 'z'), maxLength: 40 }), {
    minLength: 1,
    maxLength: 8,
  })
  .chain((devices) =>
    fc.uniqueArray(fc.tuple(fc.constantFrom(...devices), fc.constantFrom('m', 'n', 'm2', '温', '')), {
      minLength: 1,
      maxLength: 12,
      selector: ([device, metric]) => `${device}\0${metric}`,
    }),
  );

const row = fc.record<Row>({
  series: fc.nat(11),
  tsMs: fc.integer({ min: T0, max: T0 + 1000 }),
  value: fc.double({ noNaN: true }),
  text: fc.oneof({ weight: 6, arbitrary: fc.constant('') }, fc.string({ maxLength: 200 })),
  untimed: fc.oneof({ weight: 6, arbitrary: fc.constant(false) }, fc.boolean()),
});

function blockOf(series: readonly (readonly [string, string])[], rows: readonly Row[], partition: number) {
  const block = new ReadingsBlock({ device: (s) => series[s][0], metric: (s) => series[s][1] }, partition);
  rows.forEach((r, i) => {
    block.add(r.series % series.length, r.tsMs, r.value, r.text, T0 + i, i >> 2, i & 3, r.untimed);
  });
  return block.finish();
}

describe('blocks of readings, merged', () => {
  it('are their rows by device and metric, and of each series those of the earlier block first', async () => {
    let ofSeveral = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(names, fc.array(row, { minLength: 1, maxLength: 60 }), fc.nat(70_000)), {
          minLength: 1,
          maxLength: 5,
        }),
        async (given) => {
          const blocks = given.flatMap(([series, rows, partition]) => blockOf(series, rows, partition & 0xffff));
          const expected = blocks
            .flatMap((block) => readNative(block))
            .map((r) => ({ r, device: latin1(r.device), metric: latin1(r.metric) }))
            .sort((a, b) => compare(a.device, b.device) || compare(a.metric, b.metric))
            .map(({ r }) => r);
          const merged = await mergeReadings(blocks, 0);
          expect(merged.length).toBe(1);
          if (blocks.length > 1) ofSeveral++;
          expect(readNative(merged[0])).toEqual(expected);
        },
      ),
    );
    expect(ofSeveral).toBeGreaterThan(0);
  });

  it('are sorted by the key as a whole where blocks follow one another in time', async () => {
    const devices = Array.from({ length: 300 }, (_, i) => `d-${i}`);
    const series = devices.map((device) => [device, 'm'] as const);
    const rows = (fromMs: number): Row[] =>
      Array.from({ length: 3000 }, (_, i) => ({ series: i, tsMs: fromMs + i, value: i, text: '', untimed: false }));
    const blocks = [
      ...blockOf(series.slice(0, 290), rows(T0), 0),
      ...blockOf(series.slice(290), rows(T0), 1),
      ...blockOf(series.slice(0, 290), rows(T0 + 3000), 0),
    ];
    const merged = readNative((await mergeReadings(blocks, 4))[0]);
    expect(merged.length).toBe(9000);
    for (let i = 1; i < merged.length; i++) {
      const [a, b] = [merged[i - 1], merged[i]];
      expect(compare(latin1(a.device), latin1(b.device)) || Number(a.ts) - Number(b.ts)).toBeLessThan(0);
    }
  });

  it('stay apart where runs are short, and where one is not what was expected', async () => {
    const [a] = blockOf([['a', 'm']], [{ series: 0, tsMs: T0, value: 1, text: '', untimed: false }], 0);
    const [b] = blockOf([['b', 'm']], [{ series: 0, tsMs: T0, value: 1, text: '', untimed: false }], 1);
    expect(await mergeReadings([a, b])).toEqual([a, b]);
    expect((await mergeReadings([a, new Uint8Array([...b, 0])], 0)).length).toBe(2);
    expect((await mergeReadings([a, b], 0)).length).toBe(1);
  });
});

function latin1(value: unknown): string {
  return Buffer.from(String(value)).toString('latin1');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

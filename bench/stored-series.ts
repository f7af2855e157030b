import { type BlastResult, blastDevice } from '../device-sim/blast.ts';

/** Runs a query, gives its rows: `query` of clickhouse.ts with the address filled in. */
export type Ask = <Row>(sql: string, settings?: Readonly<Record<string, string>>) => Promise<Row[]>;

/** Counted of a part of what is stored: rows, distinct (device, ts) among them, and the sum of the values. */
export interface Stored {
  rows: number;
  distinct: number;
  sum: number;
}

/** Devices by their place, from one to before another, and the range of the table's key that they lie in. */
export interface Slice {
  from: number;
  to: number;
  /** The ranges of all slices together hold every name that begins with the prefix, also of devices that there never were. */
  where: string;
}

export function slicesOf({ devicePrefix, connections, expected }: BlastResult, sliceReadings: number): Slice[] {
  const number = Math.min(connections, Math.max(1, Math.ceil(expected.readings / sliceReadings)));
  const place = (slice: number) => Math.floor((slice * connections) / number);
  // '.' is the character after '-'.
  const border = (slice: number) => {
    if (slice === 0) return `${devicePrefix}-`;
    return slice === number ? `${devicePrefix}.` : blastDevice(devicePrefix, place(slice), connections);
  };
  return Array.from({ length: number }, (_, i) => ({
    from: place(i),
    to: place(i + 1),
    where: `device >= '${border(i)}' AND device < '${border(i + 1)}'`,
  }));
}

/** One device and metric; of a metric of texts, one for each text. */
export interface Series extends Stored {
  device: string;
  metric: string;
  word: string;
  /** The last ts from baseMs on, ms. */
  last: number;
}

/** All of a slice: series of numbers with more rows than times are read with FINAL. */
export async function seriesOf(ask: Ask, result: BlastResult, { where }: Slice): Promise<Series[]> {
  const found = await readSeries(ask, result, where, false);
  const { numbers } = result.expected;
  const doubled = found.filter((one) => one.rows !== one.distinct && Object.hasOwn(numbers, one.metric));
  if (doubled.length === 0) return found;
  const list = (names: readonly string[]) => [...new Set(names)].map((name) => `'${name}'`).join(', ');
  const some = `device IN (${list(doubled.map((one) => one.device))}) AND metric IN (${list(doubled.map((one) => one.metric))})`;
  const again = await readSeries(ask, result, some, true);
  const finals = new Map(again.map((one) => [keyOf(one), one]));
  return found.map((one) => finals.get(keyOf(one)) ?? one);
}

function keyOf({ device, metric, word }: Series): string {
  return JSON.stringify([device, metric, word]);
}

/**
 * `optimize_aggregation_in_order`: the table is in the order of what is grouped by, so a group is over when the next begins, and no row
 * needs its key looked up, which halves the time. A bitmap of numbers that follow each other takes a bit for each.
 */
async function readSeries(ask: Ask, result: BlastResult, where: string, final: boolean): Promise<Series[]> {
  const { baseMs, expected } = result;
  const metrics = Object.keys(expected.texts).map((metric) => `'${metric}'`);
  const word = metrics.length === 0 ? "''" : `if(metric IN (${metrics.join(', ')}), text, '')`;
  const at = `toUnixTimestamp64Milli(ts) - ${baseMs}`;
  const rows = await ask<Series>(
    `SELECT device, metric, ${word} AS word, count() AS rows, groupBitmap(toUInt64(${at})) AS distinct, sum(value) AS sum, max(${at}) AS last
     FROM sluice.readings ${final ? 'FINAL' : ''}
     WHERE ${where} AND ts >= fromUnixTimestamp64Milli(${baseMs})
     GROUP BY device, metric, word`,
    { optimize_aggregation_in_order: '1' },
  );
  return rows.map(({ device, metric, word, rows, distinct, sum, last }) => ({
    ...{ device, metric, word, rows: Number(rows), distinct: Number(distinct), sum: Number(sum), last: Number(last) },
  }));
}

import type { BlastResult } from '../device-sim/blast.ts';

/** Runs a query, gives its rows: `query` of clickhouse.ts with the address filled in. */
export type Ask = <Row>(sql: string) => Promise<Row[]>;

interface Stored {
  rows: number;
  distinct: number;
  sum: number;
}

/**
 * Compares what is stored with what was acknowledged: for each metric the number of rows, of distinct (device, ts), and the sum
 * of the values, which is exact because the values are multiples of 0.25. What is sent and never acknowledged may be stored or not.
 * Returns what is wrong, in words; an empty list when all is well.
 *
 * Rows are counted as they lie; only where there are too many is the table read with FINAL, which is what promises each once.
 */
export async function verifyStored(ask: Ask, result: BlastResult): Promise<string[]> {
  const problems: string[] = [];
  const { expected, unacknowledged } = result;
  for (const [metric, { count, sum }] of Object.entries(expected.numbers)) {
    let stored = await storedOf(ask, result, metric, false);
    if (stored.rows !== stored.distinct) stored = await storedOf(ask, result, metric, true);
    problems.push(...compare(metric, { rows: count, distinct: count, sum }, stored, unacknowledged > 0));
  }
  for (const [metric, texts] of Object.entries(expected.texts)) {
    const found = await textsOf(ask, result, metric);
    problems.push(...compareTexts(metric, texts, found, unacknowledged > 0));
  }
  const quarantined = await ask<{ n: number }>(
    `SELECT count() AS n FROM sluice.quarantine WHERE startsWith(device, '${result.devicePrefix}-')`,
  );
  if (Number(quarantined[0].n) > 0) problems.push(`${quarantined[0].n} messages in quarantine, none was broken`);
  return problems;
}

/** A query of the table counts the devices of one part only: all times of all devices at once would be more than a reader may hold. */
const PARTS_MIN = 8;
const PART_READINGS_MAX = 1_000_000;

function partsOf({ expected }: BlastResult): number {
  return Math.max(PARTS_MIN, Math.ceil(expected.messages / PART_READINGS_MAX));
}

async function textsOf(ask: Ask, result: BlastResult, metric: string): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  const parts = partsOf(result);
  for (let part = 0; part < parts; part++) {
    const rows = await ask<{ text: string; n: number }>(
      `SELECT text, uniqExact(device, ts) AS n FROM sluice.readings
       WHERE ${where(result, metric)} AND cityHash64(device) % ${parts} = ${part} GROUP BY text`,
    );
    for (const { text, n } of rows) found.set(text, (found.get(text) ?? 0) + Number(n));
  }
  return found;
}

async function storedOf(ask: Ask, result: BlastResult, metric: string, final: boolean): Promise<Stored> {
  const all: Stored = { rows: 0, distinct: 0, sum: 0 };
  const parts = partsOf(result);
  for (let part = 0; part < parts; part++) {
    const [row] = await ask<{ rows: number; distinct: number; sum: number }>(
      `SELECT count() AS rows, uniqExact(device, ts) AS distinct, sum(value) AS sum
       FROM sluice.readings ${final ? 'FINAL' : ''}
       WHERE ${where(result, metric)} AND cityHash64(device) % ${parts} = ${part}`,
    );
    all.rows += Number(row.rows);
    all.distinct += Number(row.distinct);
    all.sum += Number(row.sum);
  }
  return all;
}

function where({ devicePrefix, baseMs }: BlastResult, metric: string): string {
  return `startsWith(device, '${devicePrefix}-') AND metric = '${metric}' AND ts >= fromUnixTimestamp64Milli(${baseMs})`;
}

/** `open`: some messages were not acknowledged, so that more than expected may be stored. */
export function compare(metric: string, expected: Stored, stored: Stored, open: boolean): string[] {
  const problems: string[] = [];
  if (stored.rows !== stored.distinct)
    problems.push(`${metric}: ${stored.rows - stored.distinct} readings are stored twice`);
  if (stored.distinct < expected.distinct)
    problems.push(`${metric}: ${expected.distinct - stored.distinct} readings are missing`);
  if (open) return problems;
  if (stored.distinct > expected.distinct) {
    problems.push(`${metric}: ${stored.distinct - expected.distinct} readings are stored that were never sent`);
  }
  if (stored.sum !== expected.sum) problems.push(`${metric}: the sum is ${stored.sum} instead of ${expected.sum}`);
  return problems;
}

/** The same for a metric of texts: how often each was acknowledged and how often it was found. */
export function compareTexts(
  metric: string,
  expected: Readonly<Record<string, number>>,
  stored: ReadonlyMap<string, number>,
  open: boolean,
): string[] {
  const problems: string[] = [];
  for (const [text, count] of Object.entries(expected)) {
    const n = stored.get(text) ?? 0;
    if (n < count || (n > count && !open)) problems.push(`${metric} = '${text}': ${count} acknowledged, ${n} stored`);
  }
  for (const [text, n] of stored)
    if (!(text in expected)) problems.push(`${metric} = '${text}': ${n} stored, none was sent`);
  return problems;
}

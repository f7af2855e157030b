import { expect } from 'vitest';
import type { BlastResult } from '../device-sim/blast.ts';
import { eventually, type Program } from './program.ts';

/** The tables against what was acknowledged: by count, by distinct keys, by sum of each metric, and the same in the windows. */
export async function expectExactly(p: Program, result: BlastResult): Promise<void> {
  const { expected } = result;
  await eventually(
    'all readings and all windows',
    async () => {
      const [row] = await p.query<{ n: string; rolled: string }>(
        `SELECT (SELECT count() FROM sluice.readings FINAL) AS n, (SELECT sum(count) FROM sluice.rollups FINAL) AS rolled`,
      );
      return Number(row.n) >= expected.readings && Number(row.rolled) >= expected.readings;
    },
    60_000,
  );
  const sums = await p.query<{ metric: string; n: string; keys: string; total: number }>(
    `SELECT metric, count() AS n, uniqExact(device, metric, ts) AS keys, sum(value) AS total
     FROM sluice.readings FINAL GROUP BY metric ORDER BY metric`,
  );
  const rolled = await p.query<{ metric: string; n: string; total: number }>(
    'SELECT metric, sum(count) AS n, sum(sum) AS total FROM sluice.rollups FINAL GROUP BY metric ORDER BY metric',
  );
  const wanted = Object.entries(expected.numbers)
    .map(([metric, { count, sum }]) => ({ metric, n: count, total: sum }))
    .sort((a, b) => (a.metric < b.metric ? -1 : 1));
  expect(sums.map((s) => ({ metric: s.metric, n: Number(s.n), total: s.total }))).toEqual(wanted);
  expect(sums.map((s) => Number(s.keys))).toEqual(wanted.map((w) => w.n));
  expect(rolled.map((s) => ({ metric: s.metric, n: Number(s.n), total: s.total }))).toEqual(wanted);
  // Not even before merges: what is replayed after a kill is not inserted a second time, and a redelivery is told before it is.
  const [plain] = await p.query<{ n: string }>('SELECT count() AS n FROM sluice.readings');
  expect(Number(plain.n)).toBe(expected.readings);
  expect(await p.query('SELECT reason FROM sluice.quarantine FINAL')).toEqual([]);
}

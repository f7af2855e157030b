import { SluiceError } from '../model/errors.ts';
import type { TierSpec } from '../model/tier.ts';
import type { Store } from './store.ts';

/**
 * Tiers of rollups, made by SQL in the store (model/tier.ts). A period of a tier is made from the final rows below it, whole, every time
 * that one of them has changed; so a run that is repeated, broken off or doubled by another processor does no harm.
 *
 * - *What has changed* is told by the column `written`: rows written since the run before, and for MARGIN_MS before that, since a row's
 *   time of writing is some time before others can see it.
 * - *The version* of a tier's row is the sum of the versions of the rows below it. Rows below only come, or go up in their version; so of two
 *   rows of a period the one that knew more has the higher version, and equal versions say the same. That holds for any order of
 *   runs; and once retention has taken some of the rows below, what is left can never replace the whole.
 * - *Early* rows (phase) never enter, nor do rows of no readings.
 */
export const TIER_COLUMNS =
  'window, device, metric, start, end, count, sum, min, max, avg, first, last, revision, partition, phase';

/** How much longer than from one run to the next is looked back: longer than any insert takes. */
export const MARGIN_MS = 600_000;
/** About how many changed rows one INSERT looks after; bounds the memory of each. */
const ROWS_MAX = 500_000;
const DAY_MS = 86_400_000;

export type TierStore = Pick<Store, 'query' | 'command'>;

export interface RefreshOptions {
  rowsMax?: number;
  marginMs?: number;
  signal?: AbortSignal;
}

/** What a run found: rows below that had changed, and how many statements that took. */
export interface RefreshResult {
  changed: number;
  statements: number;
}

const ms = (column: string) => `toUnixTimestamp64Milli(${column})`;
const at = (name: string) => `fromUnixTimestamp64Milli({${name}:Int64})`;

/** Rows below that were written since; not FINAL, which changes nothing here and costs. */
const CHANGED = `window = {from:String} AND written >= ${at('sinceMs')}`;

/**
 * Makes the periods of a tier of which rows below have changed since the last run that ended. Rejects with the errors of the store,
 * and with STORE_UNAVAILABLE when `signal` is aborted; what was made by then stays, and will be made again.
 */
export async function refreshTier(
  store: TierStore,
  tier: TierSpec,
  options: RefreshOptions = {},
): Promise<RefreshResult> {
  const { rowsMax = ROWS_MAX, marginMs = MARGIN_MS, signal } = options;
  const { name, from, sizeMs } = tier;
  const definition = `${from}/${sizeMs}`;
  const [last] = await store.query<{ definition: string; throughMs: number; run: number; nowMs: number }>(
    `SELECT argMax(r.definition, r.run) AS definition, argMax(${ms('r.through')}, r.run) AS throughMs, max(r.run) AS run,
            ${ms('now64(3)')} AS nowMs
     FROM tier_runs AS r WHERE r.tier = {name:String}`,
    { name },
  );
  const isFirst = Number(last.run) === 0 || last.definition !== definition;
  if (isFirst) await dropOthers(store, tier);
  const nowMs = Number(last.nowMs);
  // A clock of the store that was set back must not leave out what was written since.
  const sinceMs = isFirst ? 0 : Math.max(0, Math.min(Number(last.throughMs), nowMs) - marginMs);
  const chunkMs = Math.ceil(DAY_MS / sizeMs) * sizeMs;
  const chunks = await store.query<{ chunk: number; rows: number }>(
    `SELECT intDiv(${ms('start')}, {chunkMs:Int64}) * {chunkMs:Int64} AS chunk, count() AS rows
     FROM rollups WHERE ${CHANGED} GROUP BY chunk ORDER BY chunk`,
    { from, sinceMs, chunkMs },
  );
  let statements = 0;
  let changed = 0;
  for (const range of rangesOf(chunks, chunkMs, rowsMax)) {
    changed += range.rows;
    const slices = Math.ceil(range.rows / rowsMax);
    for (let slice = 0; slice < slices; slice++) {
      if (signal?.aborted) throw new SluiceError('STORE_UNAVAILABLE', `tier ${name}: stopped`, { remedy: '' });
      await store.command(MAKE, { name, from, sizeMs, sinceMs, ...range, slice, slices });
      statements++;
    }
  }
  await store.command(`INSERT INTO tier_runs SELECT {name:String}, {definition:String}, ${at('nowMs')}, {run:UInt64}`, {
    name,
    definition,
    nowMs,
    run: Number(last.run) + 1,
  });
  return { changed, statements };
}

/** Neighbouring chunks together, as long as they are not too many rows. */
function* rangesOf(
  chunks: readonly { chunk: number; rows: number }[],
  chunkMs: number,
  rowsMax: number,
): Generator<{ fromMs: number; toMs: number; rows: number }> {
  let range: { fromMs: number; toMs: number; rows: number } | null = null;
  for (const { chunk, rows } of chunks) {
    const fromMs = Number(chunk);
    if (range !== null && range.rows + Number(rows) > rowsMax) {
      yield range;
      range = null;
    }
    range ??= { fromMs, toMs: fromMs, rows: 0 };
    range.toMs = fromMs + chunkMs;
    range.rows += Number(rows);
  }
  if (range !== null) yield range;
}

/** Rows of another definition of the tier would be taken for its own: their periods begin and end otherwise. */
async function dropOthers(store: TierStore, { name, sizeMs }: TierSpec): Promise<void> {
  const others = `window = {name:String} AND (${ms('end')} - ${ms('start')} != {sizeMs:Int64} OR ${ms('start')} % {sizeMs:Int64} != 0)`;
  const [found] = await store.query<{ rows: number }>(`SELECT count() AS rows FROM rollups WHERE ${others}`, {
    name,
    sizeMs,
  });
  if (Number(found.rows) === 0) return;
  await store.command(`ALTER TABLE rollups DELETE WHERE ${others} SETTINGS mutations_sync = 1`, { name, sizeMs });
}

const IN_RANGE = `start >= ${at('fromMs')} AND start < ${at('toMs')} AND cityHash64(device) % {slices:UInt32} = {slice:UInt32}`;
const PERIOD = `intDiv(${ms('start')}, {sizeMs:Int64}) * {sizeMs:Int64}`;

/** Sums are compensated, so that the order in which the store adds does not show. */
const MAKE = `INSERT INTO rollups (${TIER_COLUMNS})
SELECT {name:String}, device, metric, fromUnixTimestamp64Milli(period), fromUnixTimestamp64Milli(period + {sizeMs:Int64}),
  sum(n), sumKahan(total), min(least), max(greatest), sumKahan(total) / sum(n),
  argMin(earliest, begin), argMax(latest, begin), toUInt32(least(sum(version), 4294967295)), max(p), 'final'
FROM (
  SELECT device, metric, start AS begin, ${PERIOD} AS period, count AS n, sum AS total, min AS least, max AS greatest,
    first AS earliest, last AS latest, revision AS version, partition AS p
  FROM rollups FINAL
  WHERE window = {from:String} AND ${IN_RANGE} AND phase != 'early' AND count > 0
    AND (device, metric) IN (SELECT device, metric FROM rollups WHERE ${CHANGED} AND ${IN_RANGE})
    AND (device, metric, ${PERIOD}) IN (SELECT device, metric, ${PERIOD} FROM rollups WHERE ${CHANGED} AND ${IN_RANGE})
)
GROUP BY device, metric, period`;

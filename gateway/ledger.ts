import type { Clock } from '../model/clock.ts';
import { LEDGER_COUNTS, type LedgerCount, MINUTE_MS } from '../model/ledger.ts';
import { IN_ORDER, type StoreGate } from './store-gate.ts';

/** The balance as the page shows it: the last 24 hours of the ledger. `sluice audit` holds it against the tables as well. */
export interface LedgerBalance {
  atMs: number;
  fromMs: number;
  /** Start of the newest minute that has been counted; null when nothing has. */
  countedMs: number | null;
  messages: {
    /** On the log, or said by a door to be: what was promised. */
    acknowledged: number;
    decoded: number;
    quarantined: number;
    /** Acknowledged, and not on the log. */
    missing: number;
    /** On the log without a door's count. */
    unclaimed: number;
    failed: number;
  };
  readings: { decoded: number; stored: number; duplicates: number; late: number };
  /** Those whose readings came too late for a window most often; they are stored, and in no rollup. */
  lateDevices: { device: string; late: number }[];
  /** Numbers that devices left out, in all and of the devices that left out the most. */
  gaps: { seen: number; missing: number; devices: { device: string; missing: number }[] };
}

type Minute = Record<LedgerCount | 'missing' | 'unclaimed', number>;

const HOUR_MS = 3_600_000;
const SPAN_MS = 24 * HOUR_MS;
/** Minutes that every partition's clock has passed by this much do not change any more; they are read once. */
const CLOSED_MS = 5 * MINUTE_MS;
const FRESH_MS = 5_000;
const DEVICES_FRESH_MS = 60_000;
const DEVICES_MAX = 5;
const at = (name: string): string => `fromUnixTimestamp64Milli({${name}:Int64})`;

/** Keeps the sums of each minute, so that a page that asks again costs the store a few minutes and not a day. */
export class LedgerBoard {
  readonly #gate: StoreGate;
  readonly #clock: Clock;
  readonly #minutes = new Map<number, Minute>();
  /** Minutes before this one have been read for good. */
  #closedMs = 0;
  #askedMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | null = null;
  #devicesMs = Number.NEGATIVE_INFINITY;
  #gapDevices: { device: string; missing: number }[] = [];
  #lateDevices: { device: string; late: number }[] = [];

  constructor(gate: StoreGate, clock: Clock) {
    this.#gate = gate;
    this.#clock = clock;
  }

  async balance(): Promise<LedgerBalance> {
    if (this.#clock.nowMs() - this.#askedMs >= FRESH_MS) {
      this.#asking ??= this.#refresh().finally(() => {
        this.#asking = null;
      });
      await this.#asking;
    }
    return this.#answer();
  }

  async #refresh(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const thisMinuteMs = nowMs - (nowMs % MINUTE_MS);
    const firstMs = thisMinuteMs - SPAN_MS;
    for (const minuteMs of this.#minutes.keys()) if (minuteMs < firstMs) this.#minutes.delete(minuteMs);
    const endMs = thisMinuteMs + CLOSED_MS;
    for (let fromMs = Math.max(firstMs, this.#closedMs); fromMs < endMs; fromMs += HOUR_MS) {
      await this.#read(fromMs, Math.min(endMs, fromMs + HOUR_MS));
    }
    this.#closedMs = Math.min(thisMinuteMs, await this.#countedByAllMs(firstMs)) - CLOSED_MS;
    await this.#readDevices(nowMs, firstMs);
    this.#askedMs = nowMs;
  }

  /** The devices behind what is out of order, when something is: at once when it begins, and then seldom. */
  async #readDevices(nowMs: number, firstMs: number): Promise<void> {
    const { gaps, readings } = this.#answer();
    const isDue = nowMs - this.#devicesMs >= DEVICES_FRESH_MS;
    const hasGaps = gaps.missing > 0;
    const isLate = readings.late > 0;
    if (hasGaps && (isDue || this.#gapDevices.length === 0)) this.#gapDevices = await this.#readGaps(firstMs);
    if (isLate && (isDue || this.#lateDevices.length === 0)) this.#lateDevices = await this.#readLate(firstMs);
    if (!hasGaps) this.#gapDevices = [];
    if (!isLate) this.#lateDevices = [];
    if (isDue) this.#devicesMs = nowMs;
  }

  async #read(fromMs: number, toMs: number): Promise<void> {
    const sums = LEDGER_COUNTS.map((name) => `sum(${name}) AS s_${name}`).join(', ');
    const sumsOfSums = LEDGER_COUNTS.map((name) => `sum(s_${name}) AS t_${name}`).join(', ');
    const rows = await this.#gate.query<Record<string, number | string>>(
      `SELECT toUnixTimestamp64Milli(m) AS minute_ms, ${sumsOfSums},
         sum(greatest(s_acknowledged - toInt64(s_logged), 0)) AS missing,
         sum(greatest(toInt64(s_logged) - s_acknowledged, 0)) AS unclaimed
       FROM (
         SELECT minute AS m, ${sums}, sum(acknowledged) AS s_acknowledged FROM ledger FINAL
         WHERE minute >= ${at('fromMs')} AND minute < ${at('toMs')} GROUP BY minute, \`partition\`, device
       ) GROUP BY m`,
      { fromMs, toMs },
      IN_ORDER,
    );
    for (const row of rows) {
      const counts = Object.fromEntries(LEDGER_COUNTS.map((name) => [name, Number(row[`t_${name}`])]));
      const minute = { ...counts, missing: Number(row.missing), unclaimed: Number(row.unclaimed) } as Minute;
      this.#minutes.set(Number(row.minute_ms), minute);
    }
  }

  /** The minute that the partition furthest behind has come to; 0 when that is not known. */
  async #countedByAllMs(fromMs: number): Promise<number> {
    const [row] = await this.#gate.query<{ counted_ms: number | string }>(
      `SELECT toUnixTimestamp64Milli(min(newest)) AS counted_ms FROM (
         SELECT max(minute) AS newest FROM ledger WHERE minute >= ${at('fromMs')} AND device = '' GROUP BY \`partition\`)`,
      { fromMs },
    );
    return Number(row?.counted_ms ?? 0);
  }

  async #readGaps(fromMs: number): Promise<{ device: string; missing: number }[]> {
    const rows = await this.#gate.query<{ d: string; left_out: number | string }>(
      `SELECT device AS d, toInt64(sum(seq_missing)) - toInt64(sum(seq_found)) AS left_out FROM ledger FINAL
       WHERE minute >= ${at('fromMs')} GROUP BY d HAVING left_out > 0 ORDER BY left_out DESC, d LIMIT {limit:UInt32}`,
      { fromMs, limit: DEVICES_MAX },
    );
    return rows.map((row) => ({ device: row.d, missing: Number(row.left_out) }));
  }

  async #readLate(fromMs: number): Promise<{ device: string; late: number }[]> {
    const rows = await this.#gate.query<{ d: string; n: number | string }>(
      `SELECT device AS d, sum(late) AS n FROM ledger FINAL
       WHERE minute >= ${at('fromMs')} AND device != '' GROUP BY d HAVING n > 0 ORDER BY n DESC, d LIMIT {limit:UInt32}`,
      { fromMs, limit: DEVICES_MAX },
    );
    return rows.map((row) => ({ device: row.d, late: Number(row.n) }));
  }

  #answer(): LedgerBalance {
    const nowMs = this.#clock.nowMs();
    const sum = (name: keyof Minute): number => {
      let total = 0;
      for (const minute of this.#minutes.values()) total += minute[name];
      return total;
    };
    const logged = sum('logged');
    const quarantined = sum('quarantined');
    const missing = sum('missing');
    return {
      atMs: nowMs,
      fromMs: nowMs - (nowMs % MINUTE_MS) - SPAN_MS,
      countedMs: this.#minutes.size === 0 ? null : Math.max(...this.#minutes.keys()),
      messages: {
        acknowledged: logged + missing,
        decoded: logged - quarantined,
        quarantined,
        missing,
        unclaimed: sum('unclaimed'),
        failed: sum('failed'),
      },
      readings: {
        decoded: sum('readings'),
        stored: sum('stored'),
        duplicates: sum('duplicates'),
        late: sum('late'),
      },
      lateDevices: this.#lateDevices,
      gaps: { seen: sum('seq_seen'), missing: sum('seq_missing') - sum('seq_found'), devices: this.#gapDevices },
    };
  }
}

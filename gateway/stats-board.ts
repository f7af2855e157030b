import type { DoorStats, ProcessorStats, RoleStats, StoreStats } from '../model/stats.ts';

/** Rates of one second, per second, summed over the instances of a role. */
export interface Rates {
  received: number;
  acknowledged: number;
  bytes: number;
  processed: number;
  decoded: number;
  stored: number;
  quarantined: number;
  late: number;
  duplicate: number;
}

export type RateName = keyof Rates;

const DOOR_RATES = {
  received: 'messagesReceived',
  acknowledged: 'messagesAcknowledged',
  bytes: 'bytesReceived',
} as const;
const PROCESSOR_RATES = {
  processed: 'messagesProcessed',
  decoded: 'readingsDecoded',
  stored: 'readingsStored',
  quarantined: 'messagesQuarantined',
  late: 'readingsLate',
  duplicate: 'readingsDuplicate',
} as const;
export const RATE_NAMES = [...Object.keys(DOOR_RATES), ...Object.keys(PROCESSOR_RATES)] as RateName[];

/** Seconds that are kept for the sparklines. */
export const HISTORY_SECONDS_MAX = 300;
/** A record this old says nothing about now. */
export const FRESH_MS_MAX = 5_000;
/** After this long without a word an instance is taken to be gone for good, and is listed no more (the last of a role stays). */
const FORGET_MS = 60_000;
/** Records come about once a second; a second without one takes the one before it, for so long. */
const HOLD_SECONDS = 2;
/** Seconds that the figures of the overview are taken over. */
const RATE_SECONDS = 5;

interface Second {
  /** Whole second since the epoch that the record was written in; −1 when the slot is unused. */
  second: number;
  rates: Partial<Rates>;
  lagMs: number;
  lagFrames: number;
}

interface Instance {
  latest: RoleStats;
  /** Ring by second % HISTORY_SECONDS_MAX. */
  seconds: Second[];
}

/**
 * Keeps the newest record of each instance and the rates of the last minutes. A rate is the difference of two counters of
 * one process life over the time between their records; the first record of a life gives none.
 */
export class StatsBoard {
  readonly #instances = new Map<string, Instance>();

  /** Takes a record; those that came before the newest of their instance are passed over. */
  add(record: RoleStats): void {
    const key = `${record.role}/${record.instance}`;
    const known = this.#instances.get(key);
    if (!known) {
      this.#instances.set(key, { latest: record, seconds: [] });
      return;
    }
    const before = known.latest;
    if (record.atMs <= before.atMs) return;
    known.latest = record;
    if (record.startedMs !== before.startedMs) return;
    const second = Math.floor(record.atMs / 1000);
    const slot: Second = { second, rates: ratesBetween(before, record), lagMs: 0, lagFrames: 0 };
    if (record.role === 'processor') {
      slot.lagMs = record.lagMs;
      slot.lagFrames = record.lagFrames;
    }
    known.seconds[second % HISTORY_SECONDS_MAX] = slot;
  }

  /**
   * Newest record of each instance of a role that has been heard of lately; at least the last one heard, however old. An instance
   * that fell silent before another one started is taken to be replaced by it, and is left out: one for each that started.
   */
  latest(role: 'door', nowMs: number): DoorStats[];
  latest(role: 'processor', nowMs: number): ProcessorStats[];
  latest(role: 'store', nowMs: number): StoreStats[];
  latest(role: RoleStats['role'], nowMs: number): RoleStats[] {
    const all = [...this.#instances.values()].map((i) => i.latest).filter((r) => r.role === role);
    const recent = all.filter((r) => nowMs - r.atMs < FORGET_MS);
    if (recent.length > 0) return withoutReplaced(recent, nowMs).sort((a, b) => (a.instance < b.instance ? -1 : 1));
    return all.sort((a, b) => b.atMs - a.atMs).slice(0, 1);
  }

  /** Drops what has not been heard of for long, so that instance names that change with each start do not pile up. */
  forget(nowMs: number): void {
    for (const [key, instance] of this.#instances) {
      if (nowMs - instance.latest.atMs > HISTORY_SECONDS_MAX * 1000) this.#instances.delete(key);
    }
  }

  /**
   * Rates of the last whole seconds, null where no instance that counts them has spoken in the last of them. They are taken over some
   * seconds since the roles speak at different moments: second by second, equal hops would seem to differ.
   */
  rates(nowMs: number): { [K in RateName]: number | null } {
    const second = lastWholeSecond(nowMs);
    const out = {} as { [K in RateName]: number | null };
    for (const name of RATE_NAMES)
      out[name] = this.#rateAt(name, second) === null ? null : this.#meanRate(name, second);
    return out;
  }

  /** One value a second up to the last whole second, oldest first; null where there was no record. */
  history(nowMs: number, seconds: number): StatsHistory {
    const end = lastWholeSecond(nowMs);
    const count = Math.min(seconds, HISTORY_SECONDS_MAX - HOLD_SECONDS - 1);
    const out = { endMs: end * 1000, stepMs: 1000, lagMs: [] as (number | null)[] } as StatsHistory;
    for (const name of RATE_NAMES) out[name] = [];
    for (let s = end - count + 1; s <= end; s++) {
      for (const name of RATE_NAMES) out[name].push(this.#rateAt(name, s));
      out.lagMs.push(this.#lagAt(s));
    }
    return out;
  }

  #meanRate(name: RateName, second: number): number {
    const values: number[] = [];
    for (let back = 0; back < RATE_SECONDS; back++) {
      const rate = this.#rateAt(name, second - back);
      if (rate !== null) values.push(rate);
    }
    return values.reduce((a, b) => a + b, 0) / values.length;
  }

  #rateAt(name: RateName, second: number): number | null {
    let sum: number | null = null;
    for (const instance of this.#instances.values()) {
      const rate = slotAt(instance, second)?.rates[name];
      if (rate !== undefined) sum = (sum ?? 0) + rate;
    }
    return sum;
  }

  #lagAt(second: number): number | null {
    let lag: number | null = null;
    for (const instance of this.#instances.values()) {
      if (instance.latest.role !== 'processor') continue;
      const slot = slotAt(instance, second);
      if (slot) lag = Math.max(lag ?? 0, slot.lagMs);
    }
    return lag;
  }
}

export type StatsHistory = { [K in RateName]: (number | null)[] } & {
  /** Start of the newest second of the arrays, ms. */
  endMs: number;
  stepMs: number;
  lagMs: (number | null)[];
};

function withoutReplaced(records: RoleStats[], nowMs: number): RoleStats[] {
  const silent = records.filter((r) => nowMs - r.atMs >= FRESH_MS_MAX).sort((a, b) => b.atMs - a.atMs);
  const replaced = new Set<RoleStats>();
  for (const fresh of records) {
    if (silent.includes(fresh)) continue;
    const predecessor = silent.find((s) => s.atMs < fresh.startedMs && !replaced.has(s));
    if (predecessor) replaced.add(predecessor);
  }
  return records.filter((r) => !replaced.has(r));
}

/** The second before the one that is running: its records have been written and have had time to arrive. */
function lastWholeSecond(nowMs: number): number {
  return Math.floor(nowMs / 1000) - 1;
}

function slotAt(instance: Instance, second: number): Second | null {
  for (let back = 0; back <= HOLD_SECONDS; back++) {
    const slot = instance.seconds[(second - back) % HISTORY_SECONDS_MAX];
    if (slot && slot.second === second - back) return slot;
  }
  return null;
}

function ratesBetween(before: RoleStats, after: RoleStats): Partial<Rates> {
  const seconds = (after.atMs - before.atMs) / 1000;
  const out: Partial<Rates> = {};
  if (before.role === 'door' && after.role === 'door') {
    for (const [name, counter] of entries(DOOR_RATES)) out[name] = perSecond(after[counter] - before[counter], seconds);
  } else if (before.role === 'processor' && after.role === 'processor') {
    for (const [name, counter] of entries(PROCESSOR_RATES)) {
      out[name] = perSecond(after[counter] - before[counter], seconds);
    }
  }
  return out;
}

function perSecond(difference: number, seconds: number): number {
  return Math.max(0, difference / seconds);
}

function entries<K extends string, V>(of: { readonly [P in K]: V }): [K, V][] {
  return Object.entries(of) as [K, V][];
}

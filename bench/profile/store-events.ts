import { query } from '../clickhouse.ts';

/** What the engine has done so far, by its own counters (system.events). */
export type StoreEvents = ReadonlyMap<string, number>;

export async function storeEvents(url: string): Promise<StoreEvents> {
  const rows = await query<{ event: string; value: number }>(url, 'SELECT event, value FROM system.events');
  return new Map(rows.map(({ event, value }) => [event, Number(value)]));
}

/** The difference of two looks. */
export function eventsBetween(before: StoreEvents, after: StoreEvents): StoreEvents {
  return new Map([...after].map(([event, value]) => [event, value - (before.get(event) ?? 0)]));
}

import type { TierSpec } from '../model/tier.ts';
import { checkedText, duration, list, section } from './fields.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

const named = (description: string) =>
  checkedText(description, (text) =>
    text === '' ? { what: 'an empty name', remedy: 'name it after its size, as 1h' } : null,
  );

/** How long rollups are kept, for windows and tiers alike. */
export function keepMs(of: string) {
  return duration(
    `How long the rollups of this ${of} are kept, counted from when they were written; null keeps them for ever.`,
    { min: HOUR_MS },
  )
    .nullable()
    .prefault(null);
}

const tierItem = section('One tier: its rows have its name in the column `window`.', {
  name: named('Unique among windows and tiers; stands in the column `window` of the table rollups.'),
  from: named('The tumbling window, or the tier above in this list, that it is made from.'),
  sizeMs: duration(
    'Length of its periods: a multiple of those it is made from, which divides a day or is a whole number of days.',
    { min: 60_000, max: 366 * DAY_MS },
  ),
  keepMs: keepMs('tier'),
});

export const tiersSection = list(
  'Coarser rollups made in the store from those of a window, so that a year is read as quickly as an hour: count, sum, min, max, avg, first and last of each device and metric. They follow when late readings correct what they were made from; `extra` (percentiles and the like) is not carried over. Charts take the coarsest that suits their width.',
  tierItem,
)
  .transform((tiers): TierSpec[] => tiers)
  .prefault([]);

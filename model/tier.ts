/**
 * A tier: coarser rollups that are made in the store from the finest rows of a window, or from those of the tier below
 * (1 m → 1 h → 1 d). Its rows stand in the table rollups as well, under its own name.
 */
export interface TierSpec {
  /** Unique among windows and tiers; stands in the column `window` of the rollups. */
  name: string;
  /** The window or tier that it is made from. */
  from: string;
  /** Length of its periods, which begin at multiples of it; a multiple of those it is made from. */
  sizeMs: number;
  /** How long its rows are kept after they were written; null keeps them for ever. */
  keepMs: number | null;
}

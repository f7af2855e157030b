import type { SilenceRule } from '../../../model/alarm.ts';
import type { Explanation } from '../condition.ts';
import type { LevelState } from './levels.ts';
import type { LivedClock } from './lived-clock.ts';

/**
 * The row of a unit of silence-watch.ts: lived time when first and last heard, the clock then, the usual gap, how many gaps, place of the last
 * message, members of a group.
 */
export const FIRST = 0;
export const LAST = 1;
export const HEARD_MS = 2;
export const USUAL = 3;
export const GAPS = 4;
export const OFFSET = 5;
export const INDEX = 6;
export const MEMBERS = 7;
export const ROW = 8;

/** In FIRST. */
export const NEVER = -1;

/** How near a unit is to silence; nothing for one that nobody expects. */
export function explainSilence(
  rule: SilenceRule,
  row: Float64Array,
  afterMs: number,
  lived: LivedClock,
  levels: LevelState[],
): Explanation[] {
  const lastMs = row[LAST];
  if (lastMs === Number.POSITIVE_INFINITY) return [];
  const learned = rule.afterMs === null ? ', learned from its own cadence' : '';
  const known = afterMs !== Number.POSITIVE_INFINITY;
  return [
    {
      rule: rule.name,
      kind: 'silence',
      metric: rule.metric,
      lastMs: row[HEARD_MS],
      value: (lived.livedMs - lastMs) / 1000,
      levels,
      ...(known ? { deadlineMs: lived.clockAt(lastMs + afterMs) } : {}),
      note: known
        ? `silent after ${Math.round(afterMs)} ms${learned}`
        : `its cadence is not known yet: ${row[GAPS]} gaps`,
    },
  ];
}

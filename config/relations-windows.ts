import type { Path } from './problem.ts';
import { clip, formatQuantity } from './quantity.ts';
import type { Relation } from './relations.ts';
import type { DraftConfig } from './schema.ts';

const DAY_MS = 86_400_000;
/** A hopping window is made of at most so many panes; more would cost too much to merge. */
const PANES_MAX = 1000;
const time = (ms: number): string => formatQuantity(ms, 'duration');

/** Relations of windows. */
export function windowRelations({ windows, processors }: DraftConfig): Relation[] {
  const found: Relation[] = [];
  const names = new Set<string>();
  for (const [i, window] of windows.entries()) {
    const at = (key: string): Path => ['windows', i, key];
    const add = (key: string, what: string, remedy: string, uses: Path[] = []): void => {
      found.push({ path: at(key), of: 'value', what, remedy, uses });
    };
    if (names.has(window.name)) add('name', `"${clip(window.name)}" is given to two windows`, 'choose another name');
    names.add(window.name);
    if (window.outOfOrderMs > processors.idleMs) {
      add(
        'outOfOrderMs',
        `${time(window.outOfOrderMs)} is more than processors.idleMs ${time(processors.idleMs)}, which would close the window before`,
        `write ${time(processors.idleMs)} or less, or raise processors.idleMs`,
        [['processors', 'idleMs']],
      );
    }
    if (window.by.kind !== 'device') {
      if (window.kind !== 'tumbling' && window.kind !== 'hopping')
        add('by', `a ${window.kind} window is of one device`, 'write `by: device`, or a tumbling or hopping window', [
          at('kind'),
        ]);
      else if (window.everyMs !== null) add('everyMs', 'windows of groups have no early results', 'leave it out');
    }
    if (window.kind === 'tumbling' && !fitsDay(window.sizeMs)) {
      add(
        'sizeMs',
        `${time(window.sizeMs)} does not divide a day, so that windows would begin at other times each day`,
        `write ${neighbours(window.sizeMs)}`,
      );
    }
    if (window.kind === 'hopping') {
      const { sizeMs, hopMs } = window;
      const paneMs = greatestCommonDivisor(sizeMs, hopMs);
      if (hopMs > sizeMs) {
        const what = `${time(hopMs)} is more than sizeMs ${time(sizeMs)}: readings between two windows would be in none`;
        add('hopMs', what, `write ${time(sizeMs)} or less`, [at('sizeMs')]);
      } else if (!fitsDay(hopMs)) {
        const what = `${time(hopMs)} does not divide a day, so that windows would begin at other times each day`;
        add('hopMs', what, `write ${neighbours(hopMs)}`);
      } else if (sizeMs / paneMs > PANES_MAX) {
        const what = `a window of ${time(sizeMs)} each ${time(hopMs)} is made of ${sizeMs / paneMs} panes of ${time(paneMs)}, and at most ${PANES_MAX} are kept`;
        add('hopMs', what, 'write a longer hop, best one that divides sizeMs', [at('sizeMs')]);
      }
    }
    if (window.kind === 'session' && window.sizeMaxMs < window.gapMs) {
      const what = `${time(window.gapMs)} is more than sizeMaxMs ${time(window.sizeMaxMs)}, which would end each session before`;
      add('gapMs', what, `write ${time(window.sizeMaxMs)} or less, or raise sizeMaxMs`, [at('sizeMaxMs')]);
    }
  }
  return found;
}

function fitsDay(ms: number): boolean {
  return ms < DAY_MS ? DAY_MS % ms === 0 : ms % DAY_MS === 0;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** The nearest sizes that fit a day, in the unit that the size was most likely written in. */
function neighbours(sizeMs: number): string {
  if (sizeMs >= DAY_MS) {
    const days = Math.floor(sizeMs / DAY_MS);
    return `${days}d or ${days + 1}d`;
  }
  const unitMs = [3_600_000, 60_000, 1_000].find((unit) => sizeMs % unit === 0) ?? null;
  if (unitMs === null) return 'a size in whole seconds, such as 1s, 10s or 1m';
  let less = sizeMs;
  while (DAY_MS % less !== 0) less -= unitMs;
  let more = sizeMs;
  while (DAY_MS % more !== 0) more += unitMs;
  return `${time(less)} or ${time(more)}`;
}

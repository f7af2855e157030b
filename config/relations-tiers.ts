import type { Path } from './problem.ts';
import { clip, formatQuantity } from './quantity.ts';
import type { Relation } from './relations.ts';
import type { DraftConfig } from './schema.ts';

const DAY_MS = 86_400_000;
const time = (ms: number): string => formatQuantity(ms, 'duration');

/** What a tier is made from: the size of its rows, and for how long after its end a period may still change. */
interface Source {
  sizeMs: number;
  lateMs: number;
  keepMs: number | null;
  path: Path;
}

/**
 * Relations of tiers. What a tier is made from must be kept until the tier has it for good: for two of its periods (the one that is
 * filling, and one in which it may be made), and as long as late readings may correct the window below all of them.
 */
export function tierRelations({ windows, tiers }: DraftConfig): Relation[] {
  const found: Relation[] = [];
  const sources = new Map<string, Source | null>();
  for (const [i, window] of windows.entries()) {
    if (window.kind !== 'tumbling') {
      sources.set(window.name, null);
      continue;
    }
    const { sizeMs, keepMs } = window;
    sources.set(window.name, {
      sizeMs,
      keepMs,
      lateMs: window.outOfOrderMs + window.allowedLatenessMs,
      path: ['windows', i],
    });
  }
  for (const [i, tier] of tiers.entries()) {
    const at = (key: string): Path => ['tiers', i, key];
    const add = (key: string, what: string, remedy: string, uses: Path[] = []): void => {
      found.push({ path: at(key), of: 'value', what, remedy, uses });
    };
    const { name, sizeMs, keepMs } = tier;
    const taken = sources.has(name);
    if (taken) add('name', `"${clip(name)}" is the name of a window or of another tier`, 'choose another name');
    if (sizeMs < DAY_MS ? DAY_MS % sizeMs !== 0 : sizeMs % DAY_MS !== 0) {
      add('sizeMs', `${time(sizeMs)} does not divide a day`, 'write a size such as 10m, 1h, 6h, 1d or 7d');
    }
    const source = sources.get(tier.from);
    if (source === undefined) {
      const from = `there is no window, and no tier above, with the name "${clip(tier.from)}"`;
      add('from', from, 'name a window, or a tier that stands before this one', [at('name')]);
    } else if (source === null) {
      add(
        'from',
        `"${clip(tier.from)}" is not a tumbling window`,
        'name a tumbling window: others overlap or differ in size',
      );
    } else {
      if (sizeMs <= source.sizeMs || sizeMs % source.sizeMs !== 0) {
        const what = `${time(sizeMs)} is not a multiple of the ${time(source.sizeMs)} of "${clip(tier.from)}"`;
        add('sizeMs', what, `write ${time(source.sizeMs * 2)} or another multiple`, [[...source.path, 'sizeMs']]);
      }
      const neededMs = 2 * sizeMs + source.lateMs;
      if (source.keepMs !== null && source.keepMs < neededMs) {
        found.push({
          path: [...source.path, 'keepMs'],
          of: 'value',
          what: `${time(source.keepMs)} is too short for the tier "${clip(name)}", which is made from it`,
          remedy: `write ${time(neededMs)} or more: two of its periods, and the time in which late readings are taken`,
          uses: [at('sizeMs'), [...source.path, 'sizeMs']],
        });
      }
    }
    if (!taken) sources.set(name, { sizeMs, keepMs, lateMs: source?.lateMs ?? 0, path: ['tiers', i] });
  }
  return found;
}

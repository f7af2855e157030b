import { formatPath, type Path } from './problem.ts';

/**
 * Settings without the parts that were found wrong, so that the relations of the rest can be checked in the same run:
 * a wrong value is left away, and its default stands in.
 */
export interface Salvaged {
  value: unknown;
  /** Turns a path inside the salvaged settings into the path inside the file. */
  original(path: Path): Path;
}

export function salvage(raw: unknown, wrong: readonly Path[]): Salvaged {
  const kept = new Map<string, number[]>();
  const isWrong = new Set(wrong.map(formatPath));
  const leadsToWrong = new Set(wrong.flatMap((path) => path.map((_, i) => formatPath(path.slice(0, i + 1)))));

  function keep(value: unknown, path: Path): unknown {
    if (value === null || typeof value !== 'object' || (path.length > 0 && !leadsToWrong.has(formatPath(path))))
      return value;
    if (Array.isArray(value)) {
      const indexes = value.map((_, i) => i).filter((i) => !isWrong.has(formatPath([...path, i])));
      kept.set(formatPath(path), indexes);
      return indexes.map((i) => keep(value[i], [...path, i]));
    }
    const entries = Object.entries(value)
      .filter(([key]) => !isWrong.has(formatPath([...path, key])))
      .map(([key, child]) => [key, keep(child, [...path, key])]);
    return Object.fromEntries(entries);
  }

  return {
    value: keep(raw, []),
    original(path) {
      const out: (string | number)[] = [];
      for (const part of path) {
        const indexes = typeof part === 'number' ? kept.get(formatPath(out)) : undefined;
        out.push(typeof part === 'number' ? (indexes?.[part] ?? part) : part);
      }
      return out;
    },
  };
}

import { formatPath, type Path } from './problem.ts';
import type { SchemaNode } from './schema.ts';

/** The node of the schema for a path of the settings, or null when the path leads out of it. */
export function nodeAt(schema: SchemaNode, path: Path): SchemaNode | null {
  const nodes = nodesAt(schema, path);
  return nodes.find((node) => node.properties !== undefined) ?? nodes[0] ?? null;
}

/** The mappings that may stand at a path: several where `kind` tells them apart. */
export function sectionsAt(schema: SchemaNode, path: Path): SchemaNode[] {
  return nodesAt(schema, path).filter((node) => node.properties !== undefined);
}

function nodesAt(schema: SchemaNode, path: Path): SchemaNode[] {
  let nodes: SchemaNode[] = alternatives(schema);
  for (const part of path) {
    const next = nodes.flatMap((node) => {
      const child = typeof part === 'number' ? node.items : own(node.properties, part);
      return child === undefined ? [] : alternatives(child);
    });
    if (next.length === 0) return [];
    nodes = next;
  }
  return nodes;
}

function alternatives(node: SchemaNode): SchemaNode[] {
  return [node, ...(node.anyOf ?? []).flatMap(alternatives)];
}

function own<T>(record: Record<string, T> | undefined, key: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined;
}

/** What an unknown key was most likely meant to be: a key of the same mapping, or a setting that stands elsewhere. */
export function suggestKey(schema: SchemaNode, path: Path, key: string, kind?: unknown): string {
  const sections = sectionsAt(schema, path);
  const own = sections.find((node) => node.properties?.kind?.enum?.includes(kind)) ?? sections[0];
  const known = Object.keys(own?.properties ?? {});
  const near = nearest(key, known);
  if (near !== null) return `did you mean \`${near}\`?`;
  const elsewhere = pathsOf(schema, []).filter((p) => p.at(-1) === key);
  if (elsewhere.length > 0) return `did you mean ${elsewhere.map((p) => `\`${formatPath(p)}\``).join(' or ')}?`;
  return known.length > 0 ? `known here: ${known.join(', ')}` : 'remove it';
}

/** Paths of all settings that stand in mappings (not in lists). */
function pathsOf(node: SchemaNode, path: Path): Path[] {
  return Object.entries(node.properties ?? {}).flatMap(([key, child]) => [
    [...path, key],
    ...pathsOf(child, [...path, key]),
  ]);
}

/** The most similar candidate, or null when none is similar: close by edits, or the same but for the unit at its end. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  const bare = withoutUnit(word);
  for (const candidate of candidates) {
    const distance = Math.min(
      editDistance(word.toLowerCase(), candidate.toLowerCase()),
      bare.length >= 3 && bare === withoutUnit(candidate) ? 1 : Number.POSITIVE_INFINITY,
    );
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  const allowed = word.length <= 3 ? 1 : word.length <= 6 ? 2 : 3;
  return bestDistance <= allowed ? best : null;
}

function withoutUnit(name: string): string {
  return name
    .replace(/[-_]/g, '')
    .replace(/(max|limit)$/i, '')
    .replace(/(ms|millis|milliseconds|seconds|secs?|minutes?|mins?|hours?|days?|bytes|kib|mib|gib|kb|mb|gb)$/i, '')
    .toLowerCase();
}

/**
 * Optimal string alignment distance: insertions, deletions, substitutions, and exchanges of neighbours each count 1.
 * Long inputs are cut: nobody misspells a name of a hundred letters.
 */
export function editDistance(a: string, b: string): number {
  const s = a.slice(0, 64);
  const t = b.slice(0, 64);
  let beforeLast: number[] = [];
  let last = Array.from({ length: t.length + 1 }, (_, j) => j);
  for (let i = 1; i <= s.length; i++) {
    const row = [i];
    for (let j = 1; j <= t.length; j++) {
      const same = s[i - 1] === t[j - 1];
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1));
      if (i > 1 && j > 1 && s[i - 1] === t[j - 2] && s[i - 2] === t[j - 1])
        row[j] = Math.min(row[j], beforeLast[j - 2] + 1);
    }
    beforeLast = last;
    last = row;
  }
  return last[t.length];
}

import type { z } from 'zod';
import type { Path } from './problem.ts';
import { clip, describe } from './quantity.ts';
import { type SchemaNode, VERSION } from './schema.ts';
import { nearest, nodeAt, sectionsAt, suggestKey } from './suggest.ts';

/** A problem by its path; the loader adds where that stands in the file. */
export interface Finding {
  path: Path;
  /** Whether the name of the setting or its value is to blame. */
  of: 'key' | 'value';
  what: string;
  remedy: string;
  /** Where in the value, when that is a text of some length. */
  within?: { start: number; end: number };
  /** Other settings that the finding is about. */
  uses?: Path[];
}

type Issue = z.core.$ZodIssue;

/** Says in plain words what the schema found. `raw` is the whole of the settings as given. */
export function explainIssues(issues: readonly Issue[], raw: unknown, schema: SchemaNode): Finding[] {
  return issues.flatMap((issue) => explain(issue, [], raw, schema));
}

function explain(issue: Issue, above: Path, raw: unknown, schema: SchemaNode): Finding[] {
  const path: Path = [...above, ...issue.path.map((part) => (typeof part === 'number' ? part : String(part)))];
  const value = valueAt(raw, path);
  const at = (what: string, remedy: string, of: Finding['of'] = 'value'): Finding[] => [{ path, of, what, remedy }];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: [...path, key],
        of: 'key',
        what: 'unknown setting',
        remedy: suggestKey(schema, path, key, kindOf(value)),
      }));
    case 'custom': {
      if (!exists(raw, path)) return at('is missing', `add \`${String(path.at(-1))}\``);
      const remedy: unknown = issue.params?.remedy;
      const within = issue.params?.within as Finding['within'];
      return at(issue.message, typeof remedy === 'string' ? remedy : '').map((finding) => ({ ...finding, within }));
    }
    case 'invalid_value':
      return explainChoice(issue.values, path, raw, schema);
    case 'invalid_union': {
      if (issue.errors.length === 0) return explainChoice(kindsAt(schema, path), path, raw, schema);
      // Only devices.payload is one: a list, or a mapping. The branch of the same shape knows what is wrong.
      const branch = issue.errors[Array.isArray(value) || issue.errors.length < 2 ? 0 : 1] ?? [];
      if (value === null || typeof value !== 'object') {
        return at(
          `${describe(value)} is not a mapping or a list`,
          'write {format: json}, or a list of {match, format}',
        );
      }
      return branch.flatMap((inner) => explain(inner, path, raw, schema));
    }
    case 'too_small':
      return at(`${describe(value)} is too little`, `write ${issue.minimum} or more`);
    case 'too_big':
      return at(`${describe(value)} is too much`, `write ${issue.maximum} or less`);
    case 'invalid_type':
      return explainType(issue.expected, path, raw, schema);
    default:
      return at(clip(issue.message), 'see docs/configuration.md');
  }
}

function explainChoice(values: readonly unknown[], path: Path, raw: unknown, schema: SchemaNode): Finding[] {
  const value = valueAt(raw, path);
  const at = (what: string, remedy: string): Finding[] => [{ path, of: 'value', what, remedy }];
  if (path.length === 1 && path[0] === 'version') {
    const first = `write \`version: ${VERSION}\``;
    if (!exists(raw, path)) return at('is missing', `${first} as the first setting`);
    if (value === String(VERSION)) return at(`${describe(value)} is a text`, `${first}, without quotes`);
    return at(
      `${describe(value)} is not a version that this Sluice reads`,
      `${first}, or run the Sluice that the file is for`,
    );
  }
  const choices = values.map(String);
  if (!exists(raw, path)) return at('is missing', `add \`${String(path.at(-1))}\`: ${choices.join(', ')}`);
  const near = typeof value === 'string' ? nearest(value, choices) : null;
  const remedy =
    near === null ? `write one of ${choices.join(', ')}${orDefault(path, schema)}` : `did you mean ${near}?`;
  return at(`${describe(value)} is not one of the choices`, remedy);
}

const NOUNS: Record<string, { noun: string; write: string }> = {
  string: { noun: 'a text', write: 'write a text' },
  number: { noun: 'a number', write: 'write a number, as 35 or 7.1' },
  int: { noun: 'a whole number', write: 'write a whole number' },
  boolean: { noun: 'true or false', write: 'write true or false' },
  object: { noun: 'a mapping', write: 'write settings as NAME: VALUE below it' },
  array: { noun: 'a list', write: 'write a list, as [a, b], or one entry a line, each after "- "' },
};

function explainType(expected: string, path: Path, raw: unknown, schema: SchemaNode): Finding[] {
  const value = valueAt(raw, path);
  const at = (what: string, remedy: string): Finding[] => [{ path, of: 'value', what, remedy }];
  if (path.length === 0) return at(`${describe(value)} where settings should be`, 'begin the file with `version: 1`');
  if (!exists(raw, path)) return at('is missing', `add \`${String(path.at(-1))}\``);
  const whole = expected === 'number' && nodeAt(schema, path)?.type === 'integer';
  const { noun, write } = NOUNS[whole ? 'int' : expected] ?? { noun: expected, write: `write ${expected}` };
  if (value === null) return at('has no value', `${write}${orDefault(path, schema)}`);
  if (expected === 'boolean' && typeof value === 'string' && /^(yes|no|on|off|true|false|y|n)$/i.test(value)) {
    const meant = /^(yes|on|true|y)$/i.test(value);
    return at(`${describe(value)} is a text in YAML 1.2`, `write ${meant}`);
  }
  if (
    (expected === 'number' || expected === 'int') &&
    typeof value === 'string' &&
    /^-?\d+(\.\d+)?$/.test(value.trim())
  ) {
    return at(`${describe(value)} is a text`, `write ${value.trim()} without quotes`);
  }
  if (expected === 'string' && value !== null && typeof value !== 'object') {
    return at(`${describe(value)} is not a text`, `put it in quotes: "${clip(String(value))}"`);
  }
  return at(`${describe(value)} is not ${noun}`, `${write}${orDefault(path, schema)}`);
}

/** For a setting that has one: that leaving the line away is right as well. */
function orDefault(path: Path, schema: SchemaNode): string {
  const node = nodeAt(schema, path);
  if (node === null || node.default === undefined || typeof node.default === 'object') return '';
  return `, or leave the line away for ${String(node.default)}`;
}

/** The kinds that a section can be of, where its setting `kind` says which. */
function kindsAt(schema: SchemaNode, path: Path): unknown[] {
  return sectionsAt(schema, path.slice(0, -1)).flatMap((node) => node.properties?.kind?.enum ?? []);
}

function kindOf(value: unknown): unknown {
  return value !== null && typeof value === 'object' && 'kind' in value ? value.kind : undefined;
}

export function valueAt(raw: unknown, path: Path): unknown {
  let value = raw;
  for (const part of path) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}

function exists(raw: unknown, path: Path): boolean {
  const parent = valueAt(raw, path.slice(0, -1));
  return (
    path.length === 0 || (parent !== null && typeof parent === 'object' && Object.hasOwn(parent, path.at(-1) as string))
  );
}

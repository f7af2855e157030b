import type { Path } from '../../config/problem.ts';
import { describe } from '../../config/quantity.ts';
import { noCounts } from '../../processors/batch-output.ts';
import { KINDS, type Kind } from './results.ts';
import { cannotBeRead, type FieldMatch, fieldMatchOf } from './value-match.ts';
import type { Place, YamlReader } from './yaml-reader.ts';

/** A result that is expected: these fields, whatever the others are. */
export interface Expected {
  place: Place;
  fields: ReadonlyMap<string, FieldMatch>;
}

/** What is expected of the results of one kind. */
export interface Expectation {
  kind: Kind;
  place: Place;
  /** These and no others; null where others may be. */
  exactly: readonly Expected[] | null;
  /** Each of them once, beside whatever else. */
  include: readonly Expected[];
  /** Nothing like these. */
  exclude: readonly Expected[];
}

export interface ExpectedCount {
  name: string;
  place: Place;
  match: FieldMatch;
}

export interface Expectations {
  results: readonly Expectation[];
  counts: readonly ExpectedCount[];
}

const FORMS = ['exactly', 'include', 'exclude'];

/**
 *     expect:
 *       alarms: none | [ … ] | { exactly: [ … ], include: [ … ], exclude: [ … ] }
 *       rollups, quarantine: the same
 *       counts: { readingsLate: 2 }
 */
export function readExpectations(reader: YamlReader, value: unknown, path: Path, dateMs: number): Expectations {
  const map = reader.mapping(value, path, [...KINDS, 'counts']);
  if (map === null) return { results: [], counts: [] };
  if (map.size === 0) reader.wrong(path, 'expects nothing', `write some of ${[...KINDS, 'counts'].join(', ')}`);
  const results: Expectation[] = [];
  for (const kind of KINDS) {
    if (!map.has(kind)) continue;
    const found = readExpectation(reader, kind, map.get(kind), [...path, kind], dateMs);
    if (found !== null) results.push(found);
  }
  const counts = map.has('counts') ? readCounts(reader, map.get('counts'), [...path, 'counts'], dateMs) : [];
  return { results, counts };
}

function readExpectation(
  reader: YamlReader,
  kind: Kind,
  value: unknown,
  path: Path,
  dateMs: number,
): Expectation | null {
  const place = reader.place(path);
  const list = (items: unknown, at: Path): Expected[] =>
    (reader.list(items, at, 'write the results one below the other, each after "- "') ?? []).flatMap((item, i) => {
      const expected = readExpected(reader, item, [...at, i], dateMs);
      return expected === null ? [] : [expected];
    });
  if (value === 'none') return { kind, place, exactly: [], include: [], exclude: [] };
  if (Array.isArray(value)) return { kind, place, exactly: list(value, path), include: [], exclude: [] };
  if (value === null || typeof value !== 'object') {
    return reader.wrong(
      path,
      `${describe(value)} is no list of results`,
      `write none, a list, or { ${FORMS.join(', ')} }`,
    );
  }
  const map = reader.mapping(value, path, FORMS);
  if (map === null) return null;
  const of = (form: string): Expected[] => {
    const items = map.get(form);
    return items === 'none' ? [] : list(items, [...path, form]);
  };
  return {
    kind,
    place,
    exactly: map.has('exactly') ? of('exactly') : null,
    include: of('include'),
    exclude: of('exclude'),
  };
}

function readExpected(reader: YamlReader, item: unknown, path: Path, dateMs: number): Expected | null {
  const map = reader.anyMapping(item, path, 'write { field: value }');
  if (map === null) return null;
  const fields = new Map<string, FieldMatch>();
  for (const [name, value] of flat(map)) {
    const match = fieldMatchOf(value, dateMs);
    if (match !== null) fields.set(name, match);
    else reader.wrong([...path, name], cannotBeRead(value), 'write a number, a text, a time, "21.5 ± 0.1" or "> 20"');
  }
  return { place: reader.place(path), fields };
}

/** `evidence: {value: 3}` is the same as `evidence.value: 3`. */
function flat(map: ReadonlyMap<string, unknown>): [string, unknown][] {
  return [...map].flatMap(([name, value]): [string, unknown][] => {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return [[name, value]];
    return flat(new Map(Object.entries(value))).map(([inner, v]) => [`${name}.${inner}`, v]);
  });
}

function readCounts(reader: YamlReader, value: unknown, path: Path, dateMs: number): ExpectedCount[] {
  const map = reader.mapping(value, path, Object.keys(noCounts()));
  return [...(map ?? [])].flatMap(([name, expected]) => {
    const match = fieldMatchOf(expected, dateMs);
    if (match === null) reader.wrong([...path, name], cannotBeRead(expected), 'write a whole number');
    return match === null ? [] : [{ name, place: reader.place([...path, name]), match }];
  });
}

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SluiceError } from '../model/errors.ts';
import { loadConfig } from './load.ts';
import type { Problem } from './problem.ts';
import { EXAMPLES, editorSchema } from './reference.ts';
import { readYaml } from './yaml.ts';

/** Whatever a file holds, it loads, or it gives problems with places inside it. */

const example = readFileSync(fileURLToPath(new URL('../sluice.example.yaml', import.meta.url)), 'utf8');
const everything = `version: 1\n${Object.values(EXAMPLES).join('')}`;

/** Whether it loaded; fails on anything but problems that can be found in the text. */
function outcome(text: string): boolean {
  try {
    loadConfig({ text, checkFiles: false });
    return true;
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    expect(error.code).toBe('CONFIG_INVALID');
    const problems = error.values.problems as Problem[];
    expect(problems.length).toBeGreaterThan(0);
    const lines = text.replace(/^\ufeff/, '').split('\n');
    for (const { line, column, what, file } of problems) {
      expect(file).toBe('sluice.yaml');
      expect(what).not.toBe('');
      expect(line).toBeGreaterThanOrEqual(1);
      expect(line).toBeLessThanOrEqual(lines.length);
      expect(column).toBeGreaterThanOrEqual(1);
      expect(column).toBeLessThanOrEqual(lines[line - 1].length + 1);
    }
    return false;
  }
}

const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const snippet = fc.oneof(
  fc.constantFrom(
    '\t',
    '\n',
    ' ',
    ':',
    ': ',
    '- ',
    '"',
    "'",
    '[',
    ']',
    '{',
    '}',
    '&a ',
    '*a',
    '!',
    '|',
    '>',
    '#',
    '<<: ',
    '---\n',
    '0',
    '-',
    '%',
    '\ufeff',
    '\r',
    '?',
    '~',
    '@',
    '\0',
  ),
  fc.string({ maxLength: 4 }),
);
const edit = fc.oneof(
  fc.record({ kind: fc.constant('insert' as const), at: place, text: snippet }),
  fc.record({ kind: fc.constant('delete' as const), at: place, count: fc.integer({ min: 1, max: 12 }) }),
  fc.record({ kind: fc.constant('repeatLine' as const), at: place, to: place }),
  fc.record({ kind: fc.constant('dropLine' as const), at: place }),
);

function apply(text: string, change: typeof edit extends fc.Arbitrary<infer T> ? T : never): string {
  const at = Math.floor(change.at * text.length);
  if (change.kind === 'insert') return text.slice(0, at) + change.text + text.slice(at);
  if (change.kind === 'delete') return text.slice(0, at) + text.slice(at + change.count);
  const lines = text.split('\n');
  const from = Math.floor(change.at * lines.length);
  if (change.kind === 'dropLine') lines.splice(from, 1);
  else lines.splice(Math.floor(change.to * lines.length), 0, lines[from]);
  return lines.join('\n');
}

it('survives edits of the text of a valid file', () => {
  expect(outcome(example)).toBe(true);
  expect(outcome(everything)).toBe(true);
  let loaded = 0;
  fc.assert(
    fc.property(fc.constantFrom(example, everything), fc.array(edit, { minLength: 1, maxLength: 4 }), (text, edits) => {
      if (outcome(edits.reduce(apply, text))) loaded++;
    }),
    { numRuns: 200 },
  );
  // Both ends are reached: some edits do no harm (comments, texts), most do.
  expect(loaded).toBeGreaterThan(5);
  expect(loaded).toBeLessThan(195);
});

it('survives any text', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 80 }),
        fc.array(snippet, { maxLength: 30 }).map((s) => s.join('')),
      ),
      (text) => {
        outcome(text);
      },
    ),
    { numRuns: 300 },
  );
});

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const value = fc.oneof(
  fc.constantFrom<Json>(
    null,
    true,
    false,
    0,
    -1,
    1.5,
    1e300,
    '',
    'x',
    '5s',
    '1GiB',
    '127.0.0.1:1',
    '*',
    [],
    {},
    [null],
    { a: 1 },
  ),
  fc.jsonValue() as fc.Arbitrary<Json>,
);
const key = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'name', 'listen', 'lingerMs', 'users'),
  fc.string({ maxLength: 6 }),
);

/** Puts a value, or a further key, somewhere into the tree. */
function graft(node: Json, at: readonly number[], name: string | null, put: Json): Json {
  if (node === null || typeof node !== 'object' || at.length === 0) {
    if (name === null || node === null || typeof node !== 'object' || Array.isArray(node)) return put;
    return Object.fromEntries([...Object.entries(node), [name, put]]);
  }
  const [first, ...rest] = at;
  if (Array.isArray(node))
    return node.map((child, i) => (i === first % node.length ? graft(child, rest, name, put) : child));
  const entries = Object.entries(node);
  return Object.fromEntries(
    entries.map(([k, child], i) => [k, i === first % entries.length ? graft(child, rest, name, put) : child]),
  );
}

it('survives any value at any place, and never takes what the editor refuses', () => {
  const validate = new Ajv({ allErrors: true }).compile(JSON.parse(editorSchema()) as object);
  const trees = [example, everything].map((text) => readYaml(text).value as Json);
  for (const tree of trees) expect(validate(tree), JSON.stringify(validate.errors)).toBe(true);
  fc.assert(
    fc.property(
      fc.constantFrom(...trees),
      fc.array(fc.nat(20), { maxLength: 5 }),
      fc.option(key),
      value,
      fc.constantFrom(undefined, 2),
      (tree, at, name, put, indent) => {
        const changed = graft(tree, at, name, put);
        if (outcome(JSON.stringify(changed, null, indent))) {
          expect(validate(changed), JSON.stringify(validate.errors)).toBe(true);
        }
      },
    ),
    { numRuns: 300 },
  );
});

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runTest } from '../cli/rule-tests/run-test.ts';
import { readTestFile } from '../cli/rule-tests/test-file.ts';

/** The worked examples of the documentation: blocks ```yaml sluice-test, as docs/rule-tests.md describes them. */

const docs = fileURLToPath(new URL('../docs', import.meta.url));

for (const file of readdirSync(docs).filter((name) => name.endsWith('.md'))) {
  const tests = readTestFile(join(docs, file));
  if (tests.length === 0) continue;
  describe(`docs/${file}`, () => {
    for (const test of tests) {
      it(`line ${test.place.line}: ${test.name}`, () => {
        const { failures } = runTest(test);
        expect(failures.map(({ place, what, lines }) => [`line ${place.line}: ${what}`, ...lines])).toEqual([]);
      });
    }
  });
}

it('finds the examples', () => {
  expect(readTestFile(join(docs, 'rule-tests.md')).length).toBeGreaterThanOrEqual(4);
});

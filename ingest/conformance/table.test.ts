import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { STATEMENTS, type Statement } from './statements.fixture.ts';

const here = fileURLToPath(new URL('.', import.meta.url));

interface Test {
  file: string;
  title: string;
}

/** The tests of this folder by the tags in their titles. */
function testsByTag(): Map<string, Test[]> {
  const byTag = new Map<string, Test[]>();
  for (const file of readdirSync(here)
    .filter((f) => f.endsWith('.test.ts'))
    .sort()) {
    for (const [, title] of readFileSync(join(here, file), 'utf8').matchAll(
      /^\s*it(?:\.each\([^\n]*\))?\('([^\n]*?)', async/gm,
    )) {
      const tags = [...title.matchAll(/\[(MQTT-[\d.]+-\d+)\]/g)].map((m) => m[1]);
      for (const tag of tags) {
        const tests = byTag.get(tag) ?? [];
        tests.push({ file, title: title.replaceAll(/\[MQTT-[\d.]+-\d+\] /g, '') });
        byTag.set(tag, tests);
      }
    }
  }
  return byTag;
}

function render(tests: Map<string, Test[]>): string {
  const row = ({ tag, says, by, note }: Statement): string => {
    const where = (tests.get(tag) ?? []).map((t) => `[${t.file}](../ingest/conformance/${t.file}): ${t.title}`);
    const proof = [...where, ...(note === undefined ? [] : [`*${note}*`])].join('<br>');
    return `| ${tag.slice(5)} | ${says} | ${by} | ${proof} |`;
  };
  const tested = STATEMENTS.filter((s) => tests.has(s.tag)).length;
  return `# MQTT 3.1.1, statement by statement

The ${STATEMENTS.length} normative statements of the standard (OASIS, appendix B) in short words of our own, who fulfils each here,
and its test: ${tested} have one, the ${STATEMENTS.length - tested} others say why not. *Door* is what stands in \`ingest/\` before the broker and
around it; *Aedes* is the broker; *client* binds clients alone. A test title carries the tag of its statement, and a test
([table.test.ts](../ingest/conformance/table.test.ts)) holds this page to the tests; \`npx vitest run ingest/conformance -u\`
writes it again.

MQTT 3.1 (level 3) is accepted too. MQTT 5 is answered with return code 1.

| | says | by | test, or why not |
|---|---|---|---|
${STATEMENTS.map(row).join('\n')}
`;
}

describe('the table of statements', () => {
  const tests = testsByTag();

  it('has as many as the standard, each once', () => {
    expect(STATEMENTS).toHaveLength(141);
    expect(new Set(STATEMENTS.map((s) => s.tag)).size).toBe(141);
  });

  it('has a test for each of them, or says why not', () => {
    const open = STATEMENTS.filter((s) => !tests.has(s.tag));
    expect(open.filter((s) => s.note === undefined).map((s) => s.tag)).toEqual([]);
    expect(open.filter((s) => s.by !== 'client' && s.by !== 'nobody').map((s) => s.tag)).toEqual([]);
  });

  it('knows every tag that a test carries', () => {
    const known = new Set(STATEMENTS.map((s) => s.tag));
    expect([...tests.keys()].filter((tag) => !known.has(tag))).toEqual([]);
  });

  it('is docs/mqtt-conformance.md', async () => {
    await expect(render(tests)).toMatchFileSnapshot('../../docs/mqtt-conformance.md');
  });
});

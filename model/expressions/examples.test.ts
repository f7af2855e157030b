import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileExpression, type ExpressionPlace, type Reference, type Value } from './expression.ts';

const text = readFileSync(new URL('../../docs/expressions.md', import.meta.url), 'utf8');
const rows = [...text.matchAll(/^\| `([^\n]+)` \| `(\{[^\n]*\})` \| `([^\n]+)` \|$/gm)].map((row) => ({
  expression: row[1].replaceAll('\\|', '|'),
  given: new Map<string, Value>(Object.entries(JSON.parse(row[2]) as Record<string, Value>)),
  gives: JSON.parse(row[3]) as Value | null,
}));

const everywhere: ExpressionPlace = {
  allows: ['value', 'metric', 'ts', 'received', 'device', 'tag', 'newest', 'rollup', 'alarm'],
  gives: 'any',
};

function nameOf(reference: Reference): string {
  switch (reference.kind) {
    case 'device':
      return `device.${reference.field}`;
    case 'tag':
      return `device.tags.${reference.tag}`;
    case 'newest':
      return `metrics.${reference.metric}`;
    case 'rollup':
      return `rollup.${reference.window}.${reference.metric}.${reference.field}`;
    case 'alarm':
      return `alarm.${reference.rule}.active`;
    default:
      return reference.kind;
  }
}

describe('docs/expressions.md', () => {
  it('has examples', () => expect(rows.length).toBeGreaterThan(9));
  it.each(rows)('$expression', ({ expression, given, gives }) => {
    const compiled = compileExpression(expression, everywhere);
    const values = compiled.references.map((reference) => given.get(nameOf(reference)) ?? null);
    expect(compiled.evaluate(values)).toBe(gives);
  });
});

import { describe, expect, it } from 'vitest';
import { SluiceError } from '../model/errors.ts';
import { loadConfig } from './load.ts';
import type { Problem } from './problem.ts';

/** As `line:column path: what`. */
const problemsOf = (text: string): string[] => {
  try {
    loadConfig({ text: `version: 1\n${text}` });
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    return (error.values.problems as Problem[]).map(
      ({ line, column, path, what }) => `${line}:${column} ${path}: ${what}`,
    );
  }
  return [];
};

const RULES = `alarms:
  - { name: hot, metric: t, above: 1, severity: major }
  - { name: lost, kind: silence, by: site }
`;

describe('what becomes of alarms', () => {
  it('is told its mistakes with line and column', () => {
    const rule = '  - { name: a, metric: t, above: 1, severity: major, ';
    const of = (rest: string) => problemsOf(`${RULES}${rule}${rest} }\n`);
    expect(of('inhibitedBy: [hot, lost]')).toEqual([]);
    expect(of('inhibitedBy: [hot, lots]')).toEqual([
      `5:${`${rule}inhibitedBy: [hot, `.length + 1} alarms[2].inhibitedBy[1]: there is no alarm rule "lots"`,
    ]);
    expect(of('inhibitedBy: [a]')).toEqual([
      `5:${`${rule}inhibitedBy: [`.length + 1} alarms[2].inhibitedBy[0]: a rule cannot inhibit itself`,
    ]);
    expect(of('escalate: { afterMs: 1m, severity: critical }')).toEqual([]);
    expect(of('escalate: { afterMs: 1m, severity: major }')).toEqual([
      `5:${`${rule}escalate: { afterMs: 1m, severity: `.length + 1} alarms[2].escalate.severity: major is not worse than the severity of the rule, major`,
    ]);
  });

  it('is told those of maintenance', () => {
    const span = (name: string, rest = 'from: 2026-01-01T08:00:00Z, until: 2026-01-01T09:00:00Z') =>
      `  - { name: ${name}, ${rest} }\n`;
    const of = (...spans: string[]) => problemsOf(`${RULES}maintenance:\n${spans.join('')}`);
    expect(of(span('works'), span('more'))).toEqual([]);
    expect(of(span('works'), span('works'))).toEqual([
      '7:13 maintenance[1].name: "works" is given to two times of maintenance',
    ]);
    expect(of(span('w', 'from: 2026-01-01T08:00:00Z, until: 2026-01-01T08:00:00Z'))).toEqual([
      '6:51 maintenance[0].until: it ends before it begins',
    ]);
    const named = 'from: 2026-01-01T08:00:00Z, until: 2026-01-01T09:00:00Z, rules: ';
    expect(of(span('w', `${named}[hot, "lo*"]`))).toEqual([]);
    expect(of(span('w', `${named}[hto]`))).toEqual(['6:81 maintenance[0].rules[0]: there is no alarm rule "hto"']);
  });
});

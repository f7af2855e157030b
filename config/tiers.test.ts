import { describe, expect, it } from 'vitest';
import { loadConfig } from './load.ts';
import type { Problem } from './problem.ts';

const load = (text: string) => loadConfig({ text: `version: 1\n${text}`, checkFiles: false });

function problems(text: string): string[] {
  try {
    load(text);
  } catch (error) {
    return ((error as { values: { problems: Problem[] } }).values.problems ?? []).map(
      (p) => `${p.line}:${p.column} ${p.what}`,
    );
  }
  return [];
}

describe('tiers', () => {
  it('are taken one upon another, with a retention each', () => {
    const config = load(`windows: [{ name: 1m, sizeMs: 1m, keepMs: 7d }]
tiers:
  - { name: 1h, from: 1m, sizeMs: 1h, keepMs: 90d }
  - { name: 1d, from: 1h, sizeMs: 1d }
`);
    expect(config.windows[0].keepMs).toBe(7 * 86_400_000);
    expect(config.tiers).toEqual([
      { name: '1h', from: '1m', sizeMs: 3_600_000, keepMs: 90 * 86_400_000 },
      { name: '1d', from: '1h', sizeMs: 86_400_000, keepMs: null },
    ]);
  });

  it('are told where they do not fit what they are made from', () => {
    expect(
      problems(`windows: [{ name: 1m, sizeMs: 1m, keepMs: 2h }]
tiers:
  - { name: 1m, from: 1m, sizeMs: 1h }
  - { name: 1h, from: 1d, sizeMs: 1h }
  - { name: 90m, from: 1m, sizeMs: 90s }
  - { name: 7h, from: 1m, sizeMs: 7h }
`),
    ).toEqual([
      '2:43 2h is too short for the tier "1m", which is made from it',
      '2:43 2h is too short for the tier "7h", which is made from it',
      '4:13 "1m" is the name of a window or of another tier',
      '5:23 there is no window, and no tier above, with the name "1d"',
      '6:36 90s is not a multiple of the 1m of "1m"',
      '7:35 7h does not divide a day',
    ]);
  });
});

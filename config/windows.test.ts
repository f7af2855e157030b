import { describe, expect, it } from 'vitest';
import { SluiceError } from '../model/errors.ts';
import { loadConfig } from './load.ts';
import { type Problem, problemLine } from './problem.ts';

const load = (windows: string) => loadConfig({ text: `version: 1\nwindows:\n${windows}`, checkFiles: false });
function problemsOf(windows: string): string[] {
  try {
    load(windows);
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    return (error.values.problems as Problem[]).map(problemLine);
  }
  return [];
}

describe('windows', () => {
  it('of every kind have what belongs to their kind', () => {
    const config = load(`
  - { name: a, sizeMs: 1m, everyMs: 10s }
  - { name: b, kind: hopping, sizeMs: 1m, hopMs: 10s, devices: ["pump-*"] }
  - { name: c, kind: sliding, sizeMs: 5m }
  - { name: d, kind: session, gapMs: 30s }
  - { name: e, kind: count, count: 100 }
  - { name: f, kind: state, state: mode, metrics: [power] }
`);
    expect(config.windows).toMatchObject([
      { kind: 'tumbling', sizeMs: 60_000, everyMs: 10_000, allowedLatenessMs: 60_000 },
      { kind: 'hopping', sizeMs: 60_000, hopMs: 10_000, devices: ['pump-*'], everyMs: null },
      { kind: 'sliding', sizeMs: 300_000 },
      { kind: 'session', gapMs: 30_000, sizeMaxMs: 86_400_000 },
      { kind: 'count', count: 100, allowedLatenessMs: 0 },
      { kind: 'state', state: 'mode', metrics: ['power'], allowedLatenessMs: 0 },
    ]);
    expect(Object.keys(config.windows[4])).not.toContain('sizeMs');
  });

  it('are of groups where `by` says so', () => {
    const config = load(`
  - { name: a, sizeMs: 1m, by: site, aggregates: [rate, time_avg] }
  - { name: b, sizeMs: 1m, by: "tag:line" }
  - { name: c, sizeMs: 1m, by: topic:3 }
`);
    expect(config.windows.map(({ by }) => by)).toEqual([
      { kind: 'site' },
      { kind: 'tag', tag: 'line' },
      { kind: 'topic', level: 3 },
    ]);
    expect(problemsOf('  - { name: a, sizeMs: 1m, by: topic:0 }\n')).toEqual([
      'sluice.yaml:3:32: windows[0].by: "topic:0" is nothing to group by; write device, site, model, tag:NAME or topic:LEVEL',
    ]);
    expect(problemsOf('  - { name: a, kind: count, count: 2, by: topic:3 }\n')).toEqual([
      'sluice.yaml:3:43: windows[0].by: a count window is of one device; write `by: device`, or a tumbling or hopping window',
    ]);
  });

  it('are refused with what their kind has no use for, or lacks, each at its place', () => {
    expect(
      problemsOf(`
  - { name: a, sizeMs: 1m, hopMs: 10s }
  - { name: b, kind: hoping, sizeMs: 1m }
  - { name: c, kind: session, sizeMs: 1m, gapMs: 10s }
  - { name: d, kind: count, count: 10, allowedLatenessMs: 1m }
  - { name: e, kind: sliding, sizeMs: 1m, everyMs: 1s }
`),
    ).toEqual(['sluice.yaml:5:22: windows[1].kind: "hoping" is not one of the choices; did you mean hopping?']);
    expect(
      problemsOf(`
  - { name: a, sizeMs: 1m, hopMs: 10s }
  - { name: b, kind: hopping, sizeMs: 1m }
  - { name: c, kind: session, sizeMs: 1m, gapMs: 10s }
  - { name: d, kind: count, count: 10, allowedLatenessMs: 1m }
  - { name: e, kind: sliding, sizeMs: 1m, everyMs: 1s }
`),
    ).toEqual([
      'sluice.yaml:4:35: windows[0].hopMs: is for hopping windows, and this is a tumbling one; remove it, or write `kind: hopping`',
      'sluice.yaml:5:5: windows[1].hopMs: is missing; add `hopMs`',
      'sluice.yaml:6:39: windows[2].sizeMs: is for tumbling, hopping, sliding windows, and this is a session one; write gapMs, and sizeMaxMs for its greatest length',
      'sluice.yaml:7:59: windows[3].allowedLatenessMs: is for tumbling, hopping, sliding, session windows, and this is a count one; one more reading would shift every count after it; raise outOfOrderMs instead',
      'sluice.yaml:8:52: windows[4].everyMs: is for tumbling, hopping, session, count, state windows, and this is a sliding one; each reading gives its result already',
    ]);
  });

  it('are refused with sizes that do not go together', () => {
    expect(
      problemsOf(`
  - { name: a, kind: hopping, sizeMs: 1m, hopMs: 2m }
  - { name: b, kind: hopping, sizeMs: 1m, hopMs: 7s }
  - { name: c, kind: hopping, sizeMs: 1d, hopMs: 1s }
  - { name: c, kind: session, gapMs: 1h, sizeMaxMs: 1m }
`),
    ).toEqual([
      'sluice.yaml:4:50: windows[0].hopMs: 2m is more than sizeMs 1m: readings between two windows would be in none; write 1m or less',
      'sluice.yaml:5:50: windows[1].hopMs: 7s does not divide a day, so that windows would begin at other times each day; write 6s or 8s',
      'sluice.yaml:6:50: windows[2].hopMs: a window of 1d each 1s is made of 86400 panes of 1s, and at most 1000 are kept; write a longer hop, best one that divides sizeMs',
      'sluice.yaml:7:13: windows[3].name: "c" is given to two windows; choose another name',
      'sluice.yaml:7:38: windows[3].gapMs: 1h is more than sizeMaxMs 1m, which would end each session before; write 1m or less, or raise sizeMaxMs',
    ]);
  });
});

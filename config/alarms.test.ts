import { describe, expect, it } from 'vitest';
import { SluiceError } from '../model/errors.ts';
import { loadConfig } from './load.ts';
import type { Problem } from './problem.ts';

const problemsOf = (alarms: string): string[] => {
  try {
    loadConfig({ text: `version: 1\nalarms:\n${alarms}` });
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    return (error.values.problems as Problem[]).map(
      ({ line, column, path, what }) => `${line}${column > 0 ? '' : ' without a column'} ${path}: ${what}`,
    );
  }
  return [];
};

describe('alarm rules of all kinds', () => {
  it('over groups and over devices are kept apart', () => {
    const windows =
      'windows:\n  - { name: site, by: site, sizeMs: 1m }\n  - { name: line, by: "tag:line", sizeMs: 1m }\n  - { name: own, sizeMs: 1m }\n';
    const of = (...rules: string[]) => {
      const alarms = rules.map((rule, i) => `  - { name: r${i}, kind: ${rule} }\n`).join('');
      return problemsOf(`${alarms}${windows}`);
    };
    const high = `expression, when: 'rollup["site"].t.avg', above: 5`;
    expect(of(high, `expression, when: 'alarm["r0"].active && device.id == "site=a"'`)[0]).toMatch(
      /r0.* for each site/,
    );
    expect(of(high, `expression, when: 'alarm["r0"].active && rollup["site"].t.count > 2.0'`)).toEqual([]);
    expect(of(high, 'combination, all: [r0]')).toEqual([
      '4 alarms[1]: it is judged for each device, and "r0" for each site',
    ]);
    expect(of(`expression, when: 'rollup["site"].t.avg > rollup["line"].t.avg'`)).toEqual([
      '3 alarms[0].when: its windows are over site, and "line" over tag:line',
    ]);
    expect(of(`expression, when: 'rollup["site"].t.avg > rollup["own"].t.avg'`)).toEqual([
      '3 alarms[0].when: its windows are over site, and "own" over devices',
    ]);
    for (const name of ['metrics.t > 1.0', 'device.site == "a"', 'device.tags["line"] == "a"']) {
      expect(of(`expression, when: 'rollup["site"].t.avg > 1.0 && ${name}'`)[0]).toMatch(
        /when: it is judged for each site, which has no readings/,
      );
    }
  });

  it('are told their mistakes at their place', () => {
    expect(problemsOf('  - { name: a, kind: treshold, metric: t, above: 1 }\n')).toEqual([
      '3 alarms[0].kind: "treshold" is not one of the choices',
    ]);
    expect(problemsOf('  - { name: a, kind: rate, metric: t, above: 1, window: 1m }\n')).toEqual([
      '3 alarms[0].window: unknown setting',
    ]);
    expect(problemsOf('  - { name: a, metric: t, above: { device: x, defalt: 3 } }\n')).toEqual([
      '3 alarms[0].above: a level has no "defalt"',
    ]);
    expect(
      problemsOf('  - { name: a, metric: t, above: 5, levels: [{ severity: info, above: 4 }] }\n').map((p) =>
        p.slice(2),
      ),
    ).toEqual([
      'alarms[0].levels[0].severity: info is not worse than warning, which is said of the level before',
      'alarms[0].levels[0].above: 4 is not more than the level before, 5',
    ]);
    expect(problemsOf('  - { name: a, kind: expression, when: metrics.t + 1 }\n')[0]).toMatch(/^3 alarms\[0\]\.when: /);
    expect(problemsOf('  - { name: a, kind: silence, metric: t, by: site, outageMs: 1s }\n')).toEqual([
      '3 alarms[0].by: a metric is watched for each device by itself',
      '3 alarms[0].outageMs: 1s is less than three ticks (log.tickMs 1s), by which outages are told',
    ]);
    expect(problemsOf('  - { name: a, metric: t, above: 1, schedule: { timeZone: Mars, from: 25:00 } }\n').length).toBe(
      2,
    );
  });

  it('must not look at each other in a circle, nor at rules that are not there', () => {
    const circle = `  - { name: a, kind: combination, all: [b] }
  - { name: b, kind: expression, when: 'alarm["c"].active' }
  - { name: c, kind: combination, any: ["!a"] }
`;
    expect(problemsOf(circle)).toEqual(['3 alarms[0].name: rules look at each other in a circle: a → b → c → a']);
    expect(problemsOf('  - { name: a, kind: combination, all: [hot] }\n')).toEqual([
      '3 alarms[0]: there is no alarm rule "hot"',
    ]);
    expect(problemsOf('  - { name: a, kind: combination, all: [b], any: [b] }\n')).toContain(
      '3 alarms[0].any: both all and any are given',
    );
  });

  it('become what they mean', () => {
    const { alarms } = loadConfig({
      text: `version: 1
alarms:
  - { name: p, metric: p, below: { device: p_min } }
  - { name: g, kind: silence, by: line }
  - { name: c, kind: combination, any: [p, g], atLeast: 2, schedule: { from: "22:00", to: "06:00" } }
`,
    });
    expect(alarms).toMatchObject([
      { kind: 'threshold', below: -Number.MAX_VALUE, fromDevice: { threshold: 'p_min', clear: null } },
      { kind: 'silence', by: { kind: 'tag', tag: 'line' }, afterMs: null },
      { kind: 'combination', of: ['p', 'g'], atLeast: 2, schedule: { fromMinute: 1320, toMinute: 360 } },
    ]);
  });
});

import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../model/errors.ts';
import { junitReport, printReport } from './report.ts';
import { runTest, type TestOutcome } from './run-test.ts';
import { type RuleTest, readTests } from './test-file.ts';
import { formatTime, parseTime } from './times.ts';

const SETTINGS = `
settings:
  windows:
    - { name: 10s, sizeMs: 10s, outOfOrderMs: 0, allowedLatenessMs: 1m }
  alarms:
    - { name: hot, metric: t, above: 30, clear: 25 }
`;

const read = (text: string): RuleTest[] =>
  readTests(text, { file: 'a.test.yaml', linesBefore: 0, name: '', settingsFile: undefined });
const one = (body: string): TestOutcome => runTest(read(SETTINGS + body)[0]);
const said = (body: string): string[] => one(body).failures.flatMap(({ what, lines }) => [what, ...lines]);
const problems = (text: string): string[] => {
  try {
    read(text);
    return [];
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    return error.message.split('\n').filter((line) => /^a\.test\.yaml:/.test(line));
  }
};

describe('input', () => {
  const arrivals = (body: string) =>
    read(`${SETTINGS}${body}\nexpect: { alarms: none }`)[0].input.map(({ arrivedMs, device, payload }) => {
      const { ts, values } = JSON.parse(payload) as { ts?: number; values: unknown };
      const dateMs = Date.UTC(2026, 0, 5);
      return [formatTime(arrivedMs, dateMs), ts === undefined ? null : formatTime(ts, dateMs), device, values];
    });

  it('comes in the order of arrival, whatever the order of the list', () => {
    expect(
      arrivals(`
input:
  - { device: a, at: 12:00:05, values: { t: 1 } }
  - { device: a, at: 12:00:01, delay: 10s, values: { t: 2 } }
  - { device: [a, b], at: 12:00:02, values: { t: 3 } }
  - { device: a, received: 12:00:04, values: { t: 4 } }
  - { device: a, at: 11:00:00, received: 12:00:03, values: { t: 5 } }`),
    ).toEqual([
      ['12:00:02', '12:00:02', 'a', { t: 3 }],
      ['12:00:02', '12:00:02', 'b', { t: 3 }],
      ['12:00:03', '11:00:00', 'a', { t: 5 }],
      ['12:00:04', null, 'a', { t: 4 }],
      ['12:00:05', '12:00:05', 'a', { t: 1 }],
      ['12:00:11', '12:00:01', 'a', { t: 2 }],
    ]);
  });

  it('expands series', () => {
    expect(
      arrivals(`
input:
  - device: a
    from: 23:59:50
    every: 5s
    delay: 1s
    values: { t: [1, null, { repeat: [2, 3], times: 2 }, { ramp: [0, 0.3], steps: 4 }], on: true }`),
    ).toEqual(
      [1, null, 2, 3, 2, 3, 0, 0.1, 0.2, 0.3].map((t, i) => {
        const at = Date.UTC(2026, 0, 5, 23, 59, 50) + i * 5000;
        const shown = (ms: number): string => formatTime(ms, Date.UTC(2026, 0, 5));
        return [shown(at + 1000), shown(at), 'a', t === null ? { on: true } : { t, on: true }];
      }),
    );
    expect(arrivals('input: [{ device: a, from: 12:00, every: 1m, to: 12:03, values: { t: 7 } }]')).toHaveLength(4);
  });

  it('has a tick where nothing arrives, until the end', () => {
    const body = (until: string, ticks: string): string => `
input: [{ device: a, at: 12:00:00, values: { t: 1 } }]
ticks: ${ticks}
${until}
expect: { rollups: { include: [{ start: 12:00:00, count: 1 }] } }`;
    expect(said(body('until: 12:05:00', '1s'))).toEqual([]);
    expect(said(body('until: 12:05:00', 'none'))).toEqual([]);
    expect(said(body('', '1s'))[0]).toBe('a rollup that did not come');
  });
});

describe('times', () => {
  it('are read back as they are written', () => {
    const dateMs = Date.UTC(2026, 1, 3);
    for (const text of ['00:00:00', '12:34:56.789', '25:00:01', '2026-02-01T23:59:59.999Z']) {
      expect(formatTime(parseTime(text, dateMs) as number, dateMs)).toBe(text);
    }
    expect(parseTime('12:00', dateMs)).toBe(dateMs + 43_200_000);
    expect([parseTime('12:60', dateMs), parseTime('noon', dateMs), parseTime(25, dateMs)]).toEqual([null, null, null]);
  });
});

describe('expectations', () => {
  const input = 'input: [{ device: p, from: 12:00:00, every: 5s, values: { t: [20, 31, 31.5, 24, 20] } }]\n';

  it('hold for what is named, in any order', () => {
    expect(
      said(`${input}expect:
  alarms: [{ event: cleared, at: 12:00:15 }, { event: raised, value: 31 }]
  rollups:
    include: [{ start: 12:00:00, avg: "25 ± 1", min: "< 21", device: "p*", metric: t }]
    exclude: [{ phase: corrected }]
  quarantine: none
  counts: { readingsDecoded: 5, alarmsRaised: 1 }`),
    ).toEqual([]);
  });

  it('give each result to one of them only, whichever way that works out', () => {
    const two = '[{ rule: hot }, { event: raised }]';
    expect(said(`${input}expect: { alarms: ${two} }`)).toEqual([]);
    expect(said(`${input}expect: { alarms: [{ event: raised }, { event: raised }] }`)[0]).toBe(
      'an alarm transition that did not come',
    );
  });

  it('tell what is missing beside what came instead', () => {
    expect(said(`${input}expect: { alarms: [{ event: raised }, { event: cleared, at: 12:00:20 }] }`)).toEqual([
      'an alarm transition that did not come',
      '- { event: cleared, at: 12:00:20 }',
      '+ { event: cleared, at: 12:00:15 }',
      '  at: expected 12:00:20, got 12:00:15',
    ]);
  });

  it('tell what was not expected', () => {
    const lines = said(`${input}expect: { alarms: { exactly: [{ event: raised }] } }`);
    expect(lines[0]).toBe('an alarm transition that was not expected');
    expect(lines[1]).toMatch(/^\+ \{ rule: hot, device: p, event: cleared, at: 12:00:15, metric: t, value: 24/);
    expect(said(`${input}expect: { alarms: none }`)[0]).toBe('2 alarms that were not expected');
    expect(said(`${input}expect: { alarms: { exclude: [{ value: "> 30" }] } }`)[0]).toBe(
      'an alarm transition that should not have come',
    );
  });

  it('know a field that no result has', () => {
    expect(said(`${input}expect: { alarms: [{ event: raised, valeu: 31 }, { event: cleared }] }`)[3]).toMatch(
      /^ {2}valeu: expected 31, got nothing \(there is .*value/,
    );
  });
});

it('lets operators act between the messages', () => {
  expect(
    said(`
input:
  - { register: { id: p, site: north } }
  - { device: p, from: 12:00:00, every: 10s, values: { t: [20, 31, 31, 31] } }
  - { at: 12:00:15, do: acknowledge, rule: hot, device: p, by: ann }
  - { at: 12:00:16, do: comment, rule: hot, device: p, by: ann, text: pump blocked }
expect:
  alarms: [{ event: raised }, { event: acknowledged, by: ann, at: 12:00:15 }, { event: commented, comment: pump* }]`),
  ).toEqual([]);
});

describe('a file that is wrong', () => {
  it('is told with line and column, all at once', () => {
    expect(
      problems(`settings:
  alarms:
    - { name: hot, metric: t, abov: 30 }
input:
  - { device: p, at: noon, valeus: { t: 1 } }
  - { device: 7, at: 12:00, values: { t: [1, 2] } }
  - { device: p, from: 12:00, every: 1s, values: { t: [1, 2], u: [1] } }
  - { at: 12:00, do: acknowlege, rule: hot }
expect:
  alarm: none
  rollups: some
`),
    ).toEqual([
      expect.stringMatching(/^a\.test\.yaml:3:7: settings\.alarms\[0\]: has no threshold/),
      expect.stringMatching(/^a\.test\.yaml:3:31: settings\.alarms\[0\]\.abov: unknown setting; did you mean `above`/),
      expect.stringMatching(/^a\.test\.yaml:5:5: input\[0\]: has neither values nor a payload/),
      expect.stringMatching(/^a\.test\.yaml:5:22: input\[0\]\.at: "noon" is not a time/),
      expect.stringMatching(/^a\.test\.yaml:5:28: input\[0\]\.valeus: unknown name; did you mean `values`/),
      expect.stringMatching(/^a\.test\.yaml:6:15: input\[1\]\.device: 7 is a number; put it in quotes/),
      expect.stringMatching(/^a\.test\.yaml:6:42: input\[1\]\.values\.t: a list in a single message/),
      expect.stringMatching(/^a\.test\.yaml:7:66: input\[2\]\.values\.u: gives 1 messages, but `values\.t` gives 2/),
      expect.stringMatching(/^a\.test\.yaml:8:22: input\[3\]\.do: "acknowlege" .*did you mean acknowledge/),
      expect.stringMatching(/^a\.test\.yaml:10:3: expect\.alarm: unknown name; did you mean `alarms`/),
      expect.stringMatching(/^a\.test\.yaml:11:12: expect\.rollups: "some" is no list of results/),
    ]);
  });

  it('counts its lines from the top of a Markdown file', () => {
    expect(() =>
      readTests('input: 3\nexpect: { alarms: none }', {
        file: 'x.md',
        linesBefore: 40,
        name: 'X',
        settingsFile: undefined,
      }),
    ).toThrow(/x\.md:41:8: input: 3 is not a list/);
  });
});

it('reports for people and for CI', () => {
  const outcome = one('name: a <b> & "c"\ninput: []\nexpect: { alarms: [{ rule: hot }] }');
  const report = { outcomes: [outcome], broken: [{ file: 'b.yaml', message: 'b.yaml:1:1: no\u0000' }], elapsedMs: 12 };
  expect(printReport(report, false)).toContain('a.test.yaml:9:20: an alarm transition that did not come');
  expect(printReport(report, false)).toMatch(/1 test in 2 files: 0 passed, 1 failed, 1 of the files could not be read/);
  const xml = junitReport(report);
  expect(xml).toContain('<testcase name="a &lt;b&gt; &amp; &quot;c&quot;"');
  expect(xml).toContain('tests="1" failures="1" errors="0"');
  expect(xml).toContain('b.yaml:1:1: no\ufffd</error>');
});

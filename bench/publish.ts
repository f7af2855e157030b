import { goalRows } from './goals.ts';
import { type Plot, toSvg } from './plots.ts';
import { cpuOf, medianRound, type Report, type SweepPoint } from './result.ts';
import {
  costsTable,
  count,
  limitsTable,
  machineLine,
  markdownTable,
  milliseconds,
  pagesTable,
  problemLines,
  ratesTable,
  settingsLine,
  sweepTable,
} from './table.ts';

/** What a result becomes in the documentation: sections by name, and plots by file name. */
export interface Published {
  sections: Map<string, string>;
  plots: Map<string, string>;
}

export function publish(report: Report): Published {
  const sections = new Map([
    ['made', `Made ${report.at.slice(0, 10)}. ${settingsLine(report)}\n\n${machineLine(report)}`],
    ['goals', goalsTable(report)],
    ['rates', ratesTable(report.runs)],
    ['costs', costsTable(report.runs)],
    ['sweep', report.sweep?.length ? sweepTable(report) : 'Not measured.'],
    ['limits', report.limits?.length ? limitsTable(report.limits) : 'Not measured.'],
    ['pages', report.pages ? pagesTable(report.pages) : 'Not measured.'],
    ['problems', problemLines(report).join('\n\n') || 'Nothing was left out, and nothing that was verified was wrong.'],
  ]);
  const plots = new Map<string, string>();
  for (const [file, plot] of plotsOf(report.sweep ?? [])) {
    if (plot.lines.some(({ points }) => points.length > 0)) plots.set(file, toSvg(plot));
  }
  return { sections, plots };
}

const MARKER = /(<!-- bench:(\w+) -->\n)[\s\S]*?(<!-- \/bench:\2 -->)/g;

/** Puts each section between its markers, `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`; all else stays. */
export function fillMarkers(page: string, sections: ReadonlyMap<string, string>): string {
  return page.replace(MARKER, (whole, open: string, name: string, close: string) => {
    const text = sections.get(name);
    return text === undefined ? whole : `${open}\n${text}\n\n${close}`;
  });
}

/** `scenarioBytes`: bytes on disk of a reading of the simulated fleets; null where they were not measured. */
export function goalsTable(report: Report, scenarioBytes: number | null = null): string {
  const verdicts = { aim: 'yes, the aim', yes: 'yes', no: '**no**', '–': '–' } as const;
  const rows = goalRows(report, scenarioBytes).map((g) => [
    g.what,
    g.bound,
    g.atLeast,
    g.aim,
    g.reached,
    verdicts[g.verdict],
  ]);
  return markdownTable(['what', 'what bounds it', 'at least', 'aim', 'reached', 'enough'], rows, 2);
}

function plotsOf(sweep: readonly SweepPoint[]): [string, Plot][] {
  const along = (of: (point: SweepPoint) => number | null | undefined) =>
    sweep.flatMap((point) => {
      const y = of(point);
      return y === null || y === undefined ? [] : [{ x: point.ratePerSecond, y }];
    });
  const x = 'messages/s sent (open loop)';
  const roles = [...new Set(sweep.flatMap(({ processes }) => processes.map(({ name }) => name)))].filter(
    (name) => name === 'door' || name === 'processor' || name === 'store',
  );
  const costOf = (name: string) => (point: SweepPoint) =>
    point.processes.find((p) => p.name === name)?.cpuMicrosPerMessage;
  return [
    [
      'puback.svg',
      {
        title: 'Publish to PUBACK, by load',
        ...{ x, y: 'ms' },
        lines: [
          { name: 'p50', points: along(({ puback }) => puback?.p50Ms) },
          { name: 'p99', points: along(({ puback }) => puback?.p99Ms) },
          { name: 'p99.9', points: along(({ puback }) => puback?.p999Ms) },
        ],
      },
    ],
    [
      'end-to-end.svg',
      {
        title: 'Publish to alarm event, and to visible row, by load',
        ...{ x, y: 'ms' },
        lines: [
          { name: 'alarm p50', points: along(({ alarm }) => alarm?.p50Ms) },
          { name: 'alarm p99', points: along(({ alarm }) => alarm?.p99Ms) },
          { name: 'row p50', points: along(({ visible }) => visible?.p50Ms) },
          { name: 'row p99', points: along(({ visible }) => visible?.p99Ms) },
        ],
      },
    ],
    [
      'cost.svg',
      {
        title: 'CPU of a message, by load',
        ...{ x, y: 'µs' },
        lines: [
          { name: 'all processes', points: along(({ processes }) => cpuOf(processes)) },
          ...roles.map((name) => ({ name, points: along(costOf(name)) })),
        ],
      },
    ],
  ];
}

/** One line for a terminal: what mattered most. */
export function headline(report: Report): string {
  const [first] = goalRows(report);
  const half = report.sweep?.find(({ fraction }) => fraction === 0.5);
  const latency = half?.puback ? `, PUBACK p99 at half of it ${milliseconds(half.puback.p99Ms)}` : '';
  const run = report.runs.find(({ name }) => name === 'sluice-lmdb');
  const stored = medianRound(run?.rounds ?? [])?.storedPerSecond ?? 0;
  return `${count(stored)} messages/s stored (${first.reached} the chain with Telegraf)${latency}`;
}

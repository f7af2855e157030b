import type { EngineFigures } from './engine/case.ts';
import { markdownTable } from './table.ts';

/** How the cost of a reading grows with what is asked of the engine: lines fitted to the figures of `npm run bench:engine`. */
export interface Growth {
  what: string;
  /** ns a reading with none of it, and for each more. */
  base: number;
  each: number;
  /** How much of the differences the line explains, from 0 to 1 (coefficient of determination). */
  fit: number;
}

/** Cases that differ in one thing alone, by their names (engine/cases.ts), and how much of it each has. */
const SIDES: readonly { what: string; of(name: string): number | null }[] = [
  {
    what: 'a rule that does not fire, spread over 3 metrics',
    of: (name) => counted(name, /^1 window, (no|\d+) rules?$/),
  },
  { what: 'a tumbling window', of: (name) => counted(name, /^(no|\d+) windows?, no rule$/) },
  {
    what: 'ten times as many series (from 1,000)',
    of: (name) => {
      const series = counted(name, /^1 window, 10 rules, ([\d,]+) series$/);
      return series === null ? null : Math.log10(series / 1000);
    },
  },
];

/** A line for each thing of which at least three cases were measured. */
export function growthOf(figures: readonly EngineFigures[]): Growth[] {
  return SIDES.flatMap(({ what, of }) => {
    const points = figures.flatMap((f) => {
      const x = of(f.name);
      return x === null ? [] : [{ x, y: f.cpuNsPerReading }];
    });
    return points.length < 3 ? [] : [{ what, ...fitted(points) }];
  });
}

export function growthTable(figures: readonly EngineFigures[]): string {
  const cases = figures.map((f) => [
    f.name,
    f.series.toLocaleString('en'),
    f.cpuNsPerReading.toFixed(0),
    f.bytesPerSeries.toFixed(0),
    f.saves.bytesPerSeries.toFixed(0),
  ]);
  const lines = growthOf(figures).map((g) => [g.what, g.base.toFixed(0), g.each.toFixed(1), g.fit.toFixed(2)]);
  const table = markdownTable(
    ['case', 'series', 'CPU-ns a reading', 'bytes a series', 'checkpoint, bytes a series'],
    cases,
    1,
  );
  if (lines.length === 0) return table;
  return `${table}\n\n${markdownTable(['each more of', 'ns without', 'ns more', 'R²'], lines, 1)}`;
}

/** The straight line of least squares: y = base + each · x. */
export function fitted(points: readonly { x: number; y: number }[]): Pick<Growth, 'base' | 'each' | 'fit'> {
  const mean = (of: (p: { x: number; y: number }) => number) =>
    points.reduce((sum, p) => sum + of(p), 0) / points.length;
  const [x0, y0] = [mean((p) => p.x), mean((p) => p.y)];
  const xx = mean((p) => (p.x - x0) ** 2);
  const yy = mean((p) => (p.y - y0) ** 2);
  const xy = mean((p) => (p.x - x0) * (p.y - y0));
  const each = xx === 0 ? 0 : xy / xx;
  return { base: y0 - each * x0, each, fit: xx === 0 || yy === 0 ? 1 : (xy * xy) / (xx * yy) };
}

function counted(name: string, pattern: RegExp): number | null {
  const match = pattern.exec(name);
  if (match === null) return null;
  return match[1] === 'no' ? 0 : Number(match[1].replaceAll(',', ''));
}

/** What checkpoints cost the thread of a partition, by its series: of the cases that differ in nothing else. */
export function savesTable(figures: readonly EngineFigures[]): string {
  return markdownTable(
    ['series', 'whole, ms', 'pause, ms', '1 % changed, ms', 'pause, ms', 'share of bytes', 'restored, ms'],
    figures
      .filter(({ name }) => name.includes('series'))
      .map(({ series, saves }) => [
        series.toLocaleString('en'),
        saves.wholeMs.toFixed(0),
        saves.wholePauseMs.toFixed(0),
        saves.changeMs.toFixed(0),
        saves.changePauseMs.toFixed(0),
        `${((saves.changeBytesPerSeries / saves.bytesPerSeries) * 100).toFixed(0)} %`,
        saves.restoreMs.toFixed(0),
      ]),
    1,
  );
}

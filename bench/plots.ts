/**
 * Small line plots as SVG, for pages: one unit on each axis, an axis from 0, a name at the end of each line. They take their colours
 * from the reader's light or dark theme (prefers-color-scheme), which also holds where an image is shown by <img>.
 */
export interface Plot {
  title: string;
  x: string;
  y: string;
  lines: PlotLine[];
}

export interface PlotLine {
  name: string;
  /** In the order of x. */
  points: { x: number; y: number }[];
}

const WIDTH = 720;
const HEIGHT = 380;
const LEFT = 64;
const RIGHT = 150;
const TOP = 44;
const BOTTOM = 48;
/** Told apart by people who see colours differently, on white and on black: light and dark of each line. */
const COLOURS = [
  ['#1f6fb2', '#6db3f2'],
  ['#b8560f', '#f2a15f'],
  ['#2b7a4b', '#6fca93'],
  ['#8a3f8f', '#d494d8'],
  ['#6b6b1f', '#cfcf72'],
] as const;
const DASHES = ['', '6 3', '2 3', '8 3 2 3', '12 4'];

/** Throws when there is nothing to show. */
export function toSvg({ title, x, y, lines }: Plot): string {
  const points = lines.flatMap((line) => line.points);
  if (points.length === 0) throw new Error(`${title}: nothing to show`);
  const xTicks = ticksTo(Math.max(...points.map((p) => p.x)));
  const yTicks = ticksTo(Math.max(...points.map((p) => p.y)));
  const across = (value: number) => round(LEFT + (value / xTicks[xTicks.length - 1]) * (WIDTH - LEFT - RIGHT));
  const down = (value: number) =>
    round(HEIGHT - BOTTOM - (value / yTicks[yTicks.length - 1]) * (HEIGHT - TOP - BOTTOM));
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">`,
    `<style>${style(lines.length)}</style>`,
    `<text class="title" x="${LEFT}" y="22">${escaped(title)}</text>`,
    ...yTicks.map(
      (tick) =>
        `<path class="grid" d="M${LEFT} ${down(tick)}H${WIDTH - RIGHT}"/><text class="y" x="${LEFT - 8}" y="${down(tick) + 4}">${short(tick)}</text>`,
    ),
    ...xTicks.map((tick) => `<text class="x" x="${across(tick)}" y="${HEIGHT - BOTTOM + 18}">${short(tick)}</text>`),
    `<text class="x" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 10}">${escaped(x)}</text>`,
    `<text class="unit" x="${LEFT}" y="${TOP - 8}">${escaped(y)}</text>`,
    ...lines.map(({ points: own }, i) => {
      const at = own.map((p) => `${across(p.x)} ${down(p.y)}`);
      const dots = own.map((p) => `<circle class="d${i}" cx="${across(p.x)}" cy="${down(p.y)}" r="3"/>`);
      return at.length === 0 ? '' : `<path class="l${i}" d="M${at.join('L')}"/>${dots.join('')}`;
    }),
    ...labels(lines, down).map(
      ({ name, i, at, y: height }) =>
        `<text class="n${i}" x="${across(at) + 10}" y="${round(height + 4)}">${escaped(name)}</text>`,
    ),
    '</svg>',
  ];
  return `${parts.filter((part) => part !== '').join('\n')}\n`;
}

/** Names stand beside the last points, moved apart where they would cover each other. */
function labels(lines: readonly PlotLine[], down: (value: number) => number) {
  const found = lines.flatMap(({ name, points }, i) => {
    const last = points[points.length - 1];
    return last === undefined ? [] : [{ name, i, at: last.x, y: down(last.y) }];
  });
  found.sort((a, b) => b.y - a.y);
  for (let i = 1; i < found.length; i++) found[i].y = Math.min(found[i].y, found[i - 1].y - 14);
  return found;
}

function style(lines: number): string {
  const colours = (dark: 0 | 1) =>
    Array.from({ length: lines }, (_, i) => {
      const colour = COLOURS[i % COLOURS.length][dark];
      return `.l${i}{stroke:${colour}}.d${i},.n${i}{fill:${colour}}`;
    }).join('');
  const dashes = Array.from({ length: lines }, (_, i) =>
    DASHES[i % DASHES.length] === '' ? '' : `.l${i}{stroke-dasharray:${DASHES[i % DASHES.length]}}`,
  ).join('');
  return (
    'text{font:12px system-ui,sans-serif;fill:#444}.title{font-size:14px;font-weight:600;fill:#111}.x{text-anchor:middle}' +
    `.y{text-anchor:end}.grid{stroke:#ddd}path{fill:none;stroke-width:2}.grid{stroke-width:1}${colours(0)}${dashes}` +
    `@media(prefers-color-scheme:dark){text{fill:#bbb}.title{fill:#eee}.grid{stroke:#444}${colours(1)}}`
  );
}

/** From 0 to at least `max` in four to eight equal steps of 1, 2 or 5 times a power of ten. */
export function ticksTo(max: number): number[] {
  const rough = (max > 0 ? max : 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough)!;
  const count = Math.ceil((max > 0 ? max : 1) / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}

function short(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (value >= 1e3) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

import type { Stack } from './fold.ts';

/**
 * A flame graph as SVG, the outermost function on top ("icicle"): the width of a box is the time in a function and all that it called.
 * Boxes are coloured by stage. Where a picture can be pointed at (opened by itself), a box says its name, its file and its share.
 */
export interface Flame {
  title: string;
  /** What a stack's colour means. */
  stageOf(stack: Stack): string;
  /** In the order of the legend; what is in none of them is grey. */
  stages: readonly string[];
}

interface Box {
  name: string;
  file: string;
  micros: number;
  /** Time by stage of all stacks through it. */
  stages: Map<string, number>;
  below: Map<string, Box>;
}

const WIDTH = 1000;
const MARGIN = 10;
const ROW = 17;
/** Narrower boxes are left out, and their time stays with the one above. */
const PX_MIN = 1.5;
const LETTER_PX = 6.1;
const DEPTH_MAX = 26;
/** Told apart by people who see colours differently; text on them is dark in both themes. */
const COLOURS = [
  '#9ecae9',
  '#f6c28b',
  '#a8dba8',
  '#e3b3e0',
  '#e8e07a',
  '#f2a7a0',
  '#b8c4ff',
  '#9fded6',
  '#d9c6a5',
  '#c9d6b2',
];
const GREY = '#cfcfcf';

/** Throws when there is nothing to show. */
export function toFlame(stacks: readonly Stack[], { title, stageOf, stages }: Flame): string {
  const root = boxOf('all', '');
  for (const stack of stacks) add(root, stack, stageOf(stack));
  if (root.micros === 0) throw new Error(`${title}: nothing to show`);
  const shown = stages.filter((stage) => (root.stages.get(stage) ?? 0) / root.micros >= 0.005).slice(0, COLOURS.length);
  const scale = (WIDTH - 2 * MARGIN) / root.micros;
  const legendRows = Math.ceil(shown.length / LEGEND_COLUMNS);
  const top = 36 + legendRows * ROW + 8;
  const parts: string[] = [];
  let deepest = 0;
  const draw = (box: Box, x: number, depth: number) => {
    const width = box.micros * scale;
    if (width < PX_MIN || depth >= DEPTH_MAX) return;
    deepest = Math.max(deepest, depth);
    parts.push(drawn(box, x, top + depth * ROW, width, box.micros / root.micros, colourOf(box, shown)));
    let at = x;
    for (const child of [...box.below.values()].sort((a, b) => b.micros - a.micros)) {
      draw(child, at, depth + 1);
      at += child.micros * scale;
    }
  };
  draw(root, MARGIN, 0);
  const height = top + (deepest + 1) * ROW + MARGIN;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">`,
    `<style>text{font:11px ui-monospace,monospace;fill:#222}.t{font:600 14px system-ui,sans-serif;fill:#111}.k{font:12px system-ui,sans-serif;fill:#444}rect{stroke:#fff;stroke-width:.6}@media(prefers-color-scheme:dark){.t{fill:#eee}.k{fill:#bbb}rect{stroke:#111}}</style>`,
    `<text class="t" x="${MARGIN}" y="22">${escaped(title)}</text>`,
    ...legend(shown, root),
    ...parts,
    '</svg>',
  ].join('\n')}\n`;
}

const LEGEND_COLUMNS = 3;

function legend(stages: readonly string[], root: Box): string[] {
  const column = (WIDTH - 2 * MARGIN) / LEGEND_COLUMNS;
  return stages.map((stage, i) => {
    const x = MARGIN + (i % LEGEND_COLUMNS) * column;
    const y = 36 + Math.floor(i / LEGEND_COLUMNS) * ROW;
    const share = (((root.stages.get(stage) ?? 0) / root.micros) * 100).toFixed(0);
    return `<rect x="${round(x)}" y="${y}" width="12" height="12" fill="${COLOURS[i]}"/><text class="k" x="${round(x + 18)}" y="${y + 11}">${escaped(stage)}, ${share} %</text>`;
  });
}

function drawn(box: Box, x: number, y: number, width: number, share: number, colour: string): string {
  const place = box.file === '' ? '' : ` (${box.file})`;
  const letters = Math.floor((width - 6) / LETTER_PX);
  const label = letters < 3 ? '' : box.name.length <= letters ? box.name : `${box.name.slice(0, letters - 1)}…`;
  const text = label === '' ? '' : `<text x="${round(x + 3)}" y="${y + 12}">${escaped(label)}</text>`;
  const title = `<title>${escaped(`${box.name}${place}: ${(share * 100).toFixed(1)} %`)}</title>`;
  return `<g>${title}<rect x="${round(x)}" y="${y}" width="${round(width)}" height="${ROW - 1}" fill="${colour}"/>${text}</g>`;
}

/** That of the stage which most of its time is in. */
function colourOf(box: Box, shown: readonly string[]): string {
  const [most] = [...box.stages].sort((a, b) => b[1] - a[1])[0];
  const at = shown.indexOf(most);
  return at === -1 || box.name === 'all' ? GREY : COLOURS[at];
}

function add(root: Box, { frames, micros }: Stack, stage: string): void {
  let box = root;
  count(box, micros, stage);
  for (const { name, file } of frames) {
    const shown = name === '' ? '(anonymous)' : name;
    const key = `${shown}\n${file}`;
    let below = box.below.get(key);
    if (below === undefined) {
      below = boxOf(shown, file);
      box.below.set(key, below);
    }
    count(below, micros, stage);
    box = below;
  }
}

function count(box: Box, micros: number, stage: string): void {
  box.micros += micros;
  box.stages.set(stage, (box.stages.get(stage) ?? 0) + micros);
}

function boxOf(name: string, file: string): Box {
  return { name, file, micros: 0, stages: new Map(), below: new Map() };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

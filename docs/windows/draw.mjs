// Draws the pictures of docs/windows.md: `node docs/windows/draw.mjs`. A line of time with readings, and below it the windows.
import { writeFileSync } from 'node:fs';

const LEFT = 20;
const SECOND = 18;
const ROW = 30;

/** The picture of a line of time with readings on it, and windows below it. */
function svg(title, { seconds, readings, bars }) {
  const width = LEFT * 2 + seconds * SECOND;
  const rows = Math.max(...bars.map((bar) => bar.row)) + 1;
  const height = 84 + rows * ROW;
  const x = (at) => LEFT + at * SECOND;
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="12">`,
    `<title>${title}</title>`,
    '<style>',
    '.line { stroke: #667; } .text { fill: #334; } .dot { fill: #1667c4; } .late { fill: #c4461f; }',
    '.bar { fill: #1667c41f; stroke: #1667c4; } .again { fill: #c4461f1f; stroke: #c4461f; } .open { fill: none; stroke: #667; stroke-dasharray: 4 3; }',
    '@media (prefers-color-scheme: dark) { .line { stroke: #99a; } .text { fill: #dde; } .dot { fill: #6cb0ff; } .late { fill: #ff9a76; }',
    '.bar { fill: #6cb0ff26; stroke: #6cb0ff; } .again { fill: #ff9a7626; stroke: #ff9a76; } .open { stroke: #99a; } }',
    '</style>',
    `<line class="line" x1="${x(0)}" y1="46" x2="${x(seconds)}" y2="46"/>`,
  ];
  for (let at = 0; at <= seconds; at += 5) {
    out.push(`<line class="line" x1="${x(at)}" y1="42" x2="${x(at)}" y2="50"/>`);
    out.push(`<text class="text" x="${x(at)}" y="64" text-anchor="middle">${at} s</text>`);
  }
  for (const { at, late, text } of readings) {
    out.push(`<circle class="${late ? 'late' : 'dot'}" cx="${x(at)}" cy="46" r="5"/>`);
    if (text) out.push(`<text class="text" x="${x(at)}" y="34" text-anchor="middle">${text}</text>`);
  }
  for (const { from, to, row, text, style } of bars) {
    const y = 78 + row * ROW;
    out.push(
      `<rect class="${style ?? 'bar'}" x="${x(from)}" y="${y}" width="${(to - from) * SECOND}" height="22" rx="3"/>`,
    );
    out.push(`<text class="text" x="${x(from) + 6}" y="${y + 15}">${text}</text>`);
  }
  return `${[...out, '</svg>'].join('\n')}\n`;
}

const dots = (...at) => at.map((one) => ({ at: one }));

const PICTURES = {
  tumbling: {
    seconds: 30,
    readings: dots(1, 4, 12, 18, 21),
    bars: [
      { from: 0, to: 10, row: 0, text: 'two readings' },
      { from: 10, to: 20, row: 0, text: 'two readings' },
      { from: 20, to: 30, row: 0, text: 'still open', style: 'open' },
    ],
  },
  hopping: {
    seconds: 30,
    readings: dots(2, 7, 12, 22),
    bars: [
      { from: 0, to: 10, row: 0, text: 'two' },
      { from: 5, to: 15, row: 1, text: 'two' },
      { from: 10, to: 20, row: 0, text: 'one' },
      { from: 15, to: 25, row: 1, text: 'one' },
      { from: 20, to: 30, row: 0, text: 'one' },
    ],
  },
  sliding: {
    seconds: 30,
    readings: dots(5, 8, 14, 25),
    bars: [
      { from: 0, to: 5, row: 0, text: 'one' },
      { from: 0, to: 8, row: 1, text: 'two' },
      { from: 4, to: 14, row: 2, text: 'three' },
      { from: 15, to: 25, row: 0, text: 'one' },
    ],
  },
  session: {
    seconds: 35,
    readings: [...dots(1, 4, 7, 16, 19), { at: 11, late: true, text: 'late' }],
    bars: [
      { from: 1, to: 12, row: 0, text: 'a session, its gap included' },
      { from: 16, to: 24, row: 0, text: 'another' },
      {
        from: 1,
        to: 24,
        row: 1,
        text: 'with the late reading one; the other row is taken back',
        style: 'again',
      },
    ],
  },
  count: {
    seconds: 30,
    readings: dots(1, 3, 8, 14, 15, 21, 24),
    bars: [
      { from: 1, to: 8, row: 0, text: 'three' },
      { from: 14, to: 21, row: 0, text: 'three' },
      { from: 24, to: 30, row: 0, text: 'open', style: 'open' },
    ],
  },
  state: {
    seconds: 30,
    readings: [
      { at: 1, text: 'idle' },
      { at: 6, text: 'idle' },
      { at: 11, text: 'run' },
      { at: 17, text: 'run' },
      { at: 23, text: 'idle' },
    ],
    bars: [
      { from: 1, to: 11, row: 0, text: 'idle, 10 s' },
      { from: 11, to: 23, row: 0, text: 'run, 12 s' },
      { from: 23, to: 30, row: 0, text: 'idle', style: 'open' },
    ],
  },
  time: {
    seconds: 40,
    readings: [
      { at: 15, text: 'newest ts when it is final' },
      { at: 30, text: 'newest ts when it is gone' },
    ],
    bars: [
      { from: 0, to: 10, row: 0, text: 'the window' },
      { from: 10, to: 15, row: 0, text: 'outOfOrderMs', style: 'open' },
      { from: 15, to: 30, row: 0, text: 'allowedLatenessMs', style: 'open' },
      { from: 0, to: 15, row: 1, text: 'early results, if asked for' },
      { from: 15, to: 30, row: 1, text: 'final, then corrected', style: 'again' },
      { from: 30, to: 40, row: 1, text: 'too late', style: 'open' },
    ],
  },
};

const TITLES = {
  tumbling: 'Tumbling windows',
  hopping: 'Hopping windows',
  sliding: 'Sliding windows',
  session: 'Sessions',
  count: 'Count windows',
  state: 'State windows',
  time: 'The time that a window waits, and takes late readings',
};

for (const [name, picture] of Object.entries(PICTURES)) {
  writeFileSync(new URL(`${name}.svg`, import.meta.url), svg(TITLES[name], picture));
}

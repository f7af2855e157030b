import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { EngineFigures } from './engine/case.ts';
import { ENGINE_CASES } from './engine/cases.ts';
import { savesTable } from './growth.ts';
import { describeMachine } from './machine.ts';
import { markdownTable } from './table.ts';

/**
 * `npm run bench:engine -- [--only TEXT] [--json FILE] [--quiet-within SECONDS]`: what the engine of one partition costs on one thread, from the frame to the
 * encoded block: decoding, redeliveries, windows, rules. Every rule is one that does not fire.
 */
const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    json: { type: 'string' },
    'quiet-within': { type: 'string', default: '0' },
  },
});
const main = fileURLToPath(new URL('./engine/case-main.js', import.meta.url));
const machine = await describeMachine(tmpdir(), Number(values['quiet-within']));
const figures: EngineFigures[] = [];
for (const one of ENGINE_CASES.filter(({ name }) => name.includes(values.only))) {
  const args = ['--expose-gc', '--max-semi-space-size=64', main, JSON.stringify(one)];
  figures.push(JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as EngineFigures);
  console.error(`${one.name}: ${figures.at(-1)?.cpuNsPerReading.toFixed(0)} ns a reading`);
}

if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ machine, figures }, null, 2)}\n`);
console.log(`${machine.cpu}, ${machine.system}, Node ${machine.node.slice(1)}.\n`);
console.log(
  markdownTable(
    ['case', 'series', 'CPU-ns a reading', 'readings/s a core', 'bytes a series', 'checkpoint, bytes a series'],
    figures.map((f) => [
      f.name,
      f.series.toLocaleString('en'),
      f.cpuNsPerReading.toFixed(0),
      `${(1000 / f.cpuNsPerReading).toFixed(2)}M`,
      f.bytesPerSeries.toFixed(0),
      f.saves.bytesPerSeries.toFixed(0),
    ]),
    1,
  ),
);
console.log(
  `\nA checkpoint is written in pieces, between which frames are worked at; the longest piece is the pause.\n\n${savesTable(figures)}`,
);
const ofCase = (name: string) => figures.find((f) => f.name === name)?.cpuNsPerReading;
const [none, hundred] = [ofCase('1 window, no rule'), ofCase('1 window, 100 rules of one metric')];
// One reading in three goes before all hundred rules.
if (none !== undefined && hundred !== undefined)
  console.log(
    `\nA rule that does not fire costs ${(((hundred - none) * 3) / 100).toFixed(1)} ns a reading that it watches.`,
  );

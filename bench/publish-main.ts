import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectRoot } from './children.ts';
import type { EngineFigures } from './engine/case.ts';
import { growthTable } from './growth.ts';
import { fillMarkers, headline, publish } from './publish.ts';
import type { Report } from './result.ts';

/**
 * `npm run bench:publish -- RESULT.json`: writes the tables of docs/performance.md and the plots of docs/performance/ from a result,
 * and from docs/performance/engine.json where `npm run bench:engine -- --json` has made it.
 */
const file = process.argv[2];
if (file === undefined) {
  console.error('npm run bench:publish -- RESULT.json   (made by npm run bench -- --full --json RESULT.json)');
  process.exit(2);
}
const report = JSON.parse(await readFile(file, 'utf8')) as Report;
const { sections, plots } = publish(report);
const page = join(projectRoot(), 'docs/performance.md');
const folder = join(projectRoot(), 'docs/performance');
await mkdir(folder, { recursive: true });
const engine = join(folder, 'engine.json');
if (existsSync(engine)) {
  const { figures } = JSON.parse(await readFile(engine, 'utf8')) as { figures: EngineFigures[] };
  sections.set('engine', growthTable(figures));
}
await writeFile(page, fillMarkers(await readFile(page, 'utf8'), sections));
for (const [name, svg] of plots) await writeFile(join(folder, name), svg);
console.log(headline(report));

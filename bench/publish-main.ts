import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectRoot } from './children.ts';
import type { EngineFigures } from './engine/case.ts';
import { growthTable } from './growth.ts';
import { outlookSection, unitCostsOf } from './outlook.ts';
import { fillMarkers, goalsTable, headline, publish } from './publish.ts';
import type { Report } from './result.ts';
import type { GrowthResult } from './studies/growth.ts';
import { bytesOfScenarios, type ScenarioResult } from './studies/scenario.ts';
import { STUDIES, type StudyFile } from './study.ts';
import { othersLine } from './table.ts';

/**
 * `npm run bench:publish -- RESULT.json`: writes the tables of docs/performance.md and the plots of docs/performance/ from a result,
 * and from what else lies there: engine.json of `npm run bench:engine -- --json`, and those of `npm run bench:study`.
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
const read = async <Result>(name: string): Promise<{ file: StudyFile; result: Result } | null> => {
  const path = join(folder, `${name}.json`);
  if (!existsSync(path)) return null;
  const study = JSON.parse(await readFile(path, 'utf8')) as StudyFile;
  return { file: study, result: study.result as Result };
};
for (const { name, section } of STUDIES) {
  const study = await read<never>(name);
  const made = study === null ? '' : `Made ${study.file.at.slice(0, 10)}. ${othersLine(study.file.machine)}`.trim();
  sections.set(name, study === null ? 'Not measured.' : `${section(study.result)}\n\n${made}`);
}
const growth = await read<GrowthResult>('growth');
const scenario = await read<ScenarioResult>('scenario');
const bytes = scenario === null ? null : bytesOfScenarios(scenario.result);
sections.set('goals', goalsTable(report, bytes));
sections.set('outlook', outlookSection(unitCostsOf(report, growth?.result ?? null, bytes)));
await writeFile(page, fillMarkers(await readFile(page, 'utf8'), sections));
for (const [name, svg] of plots) await writeFile(join(folder, name), svg);
console.log(headline(report));

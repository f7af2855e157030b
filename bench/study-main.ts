import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from './children.ts';
import { describeMachine } from './machine.ts';
import { STUDIES, type StudyFile } from './study.ts';

/**
 * `npm run bench:study -- NAME… [--seconds N] [--dir DIR] [--out DIR] [--quiet-within SECONDS]`: questions that take a run of their own. Writes
 * NAME.json and plots to docs/performance, or to the folder that --out names, and prints the section of docs/performance.md.
 */
const USAGE = `npm run bench:study -- NAME… [--seconds N] [--dir DIR] [--out DIR] [--quiet-within SECONDS]

${STUDIES.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join('\n')}
  all        all of them

  --seconds N             how long a round of steady, profile or division is (default: 75, 12, 6)
  --dir DIR               where data is written (default: the system's temporary folder)
  --out DIR               where results go (default: docs/performance; npm run bench:publish puts them into the page)
  --quiet-within SECONDS  wait for a machine that does nothing else for so long, before each (default: 300)
`;
const { values, positionals } = parseArgs({
  options: {
    seconds: { type: 'string' },
    dir: { type: 'string', default: tmpdir() },
    out: { type: 'string', default: join(projectRoot(), 'docs/performance') },
    'quiet-within': { type: 'string', default: '300' },
    help: { type: 'boolean', short: 'h', default: false },
  },
  allowPositionals: true,
});
const seconds = values.seconds === undefined ? undefined : Number(values.seconds);
if (seconds !== undefined && !(seconds > 0 && Number.isFinite(seconds))) {
  console.error(`--seconds takes a number above 0, not ${values.seconds}`);
  process.exit(2);
}
const names = positionals.includes('all') ? STUDIES.map(({ name }) => name) : positionals;
const unknown = names.filter((name) => !STUDIES.some((study) => study.name === name));
if (values.help || names.length === 0 || unknown.length > 0) {
  console.error(unknown.length > 0 ? `There is no study ${unknown.join(', ')}.\n\n${USAGE}` : USAGE);
  process.exit(values.help ? 0 : 2);
}

// The children end with this process (children.ts).
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

await mkdir(values.out, { recursive: true });
for (const study of STUDIES.filter(({ name }) => names.includes(name))) {
  const machine = await describeMachine(values.dir, Number(values['quiet-within']));
  console.error(`${study.name}: ${study.about} …`);
  const startMs = performance.now();
  try {
    const { result, plots } = await study.run(values.dir, seconds);
    const file: StudyFile = { version: 1, at: new Date().toISOString(), machine, result };
    await writeFile(join(values.out, `${study.name}.json`), `${JSON.stringify(file, null, 2)}\n`);
    for (const [name, svg] of plots ?? []) await writeFile(join(values.out, name), svg);
    console.log(`${study.section(result as never)}\n`);
    console.error(`${study.name}: ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
  } catch (error) {
    // The others are measured all the same; what was there of this one stays.
    console.error(`${study.name} failed:`, error);
    process.exitCode = 2;
  }
}
process.exit(process.exitCode ?? 0);

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { medianRound, type Report, type Round } from './result.ts';
import { markdownTable } from './table.ts';

/**
 * `npm run bench:pair -- --against DIR`: this build and another one (a built checkout in DIR) measured at the same time on the same
 * machine, several times. What else the machine does, it does to both, so small differences show that two runs one
 * after the other would drown: the ratio of each pair counts. Options after `--` go to both benches.
 */
const { values, positionals } = parseArgs({
  options: {
    against: { type: 'string' },
    rounds: { type: 'string', default: '5' },
  },
  allowPositionals: true,
});
/** Processes below this many µs a message are not shown: their ratio says nothing. */
const NEGLIGIBLE_CPU_US = 0.1;

if (values.against === undefined) {
  console.error('npm run bench:pair -- --against DIR [--rounds N] [-- options of npm run bench]');
  process.exit(2);
}

const other = resolve(values.against);
const own = fileURLToPath(new URL('../..', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'sluice-pair-'));
const pairs: { before: Round; after: Round }[] = [];
try {
  for (let i = 0; i < Number(values.rounds); i++) {
    const [before, after] = await Promise.all([measure(other, 'before'), measure(own, 'after')]);
    pairs.push({ before, after });
    const ratio = cpuOf(after) / cpuOf(before);
    console.error(
      `pair ${i + 1}: CPU per message ${cpuOf(before).toFixed(2)} and ${cpuOf(after).toFixed(2)} µs, × ${ratio.toFixed(3)}`,
    );
  }
} finally {
  await rm(folder, { recursive: true });
}
console.log(table(pairs));

async function measure(root: string, name: string): Promise<Round> {
  const json = join(folder, `${name}.json`);
  const args = [join(root, 'dist/bench/main.js'), '--no-peers', '--json', json, ...positionals];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'], cwd: root });
  const code = await new Promise((done) => child.once('exit', done));
  if (code !== 0) throw new Error(`the bench of ${root} ended with ${code}`);
  const report = JSON.parse(await readFile(json, 'utf8')) as Report;
  const round = medianRound(report.runs[0].rounds);
  if (round === null) throw new Error(`the bench of ${root} measured nothing`);
  return round;
}

/** CPU-µs per message of everything but the generator. */
function cpuOf({ processes }: Round): number {
  return processes.reduce((sum, p) => sum + (p.name === 'generator' ? 0 : p.cpuMicrosPerMessage), 0);
}

function table(all: readonly { before: Round; after: Round }[]): string {
  const rows: [string, (round: Round) => number, number][] = [
    ['stored/s', (round) => round.storedPerSecond ?? Number.NaN, 0],
    ['acked/s', (round) => round.ackedPerSecond, 0],
    ['CPU-µs/message', cpuOf, 2],
    ...all[0].before.processes
      .filter((p) => p.cpuMicrosPerMessage >= NEGLIGIBLE_CPU_US)
      .map(({ name }): [string, (round: Round) => number, number] => [
        `CPU-µs/message, ${name}`,
        (round) => round.processes.find((p) => p.name === name)?.cpuMicrosPerMessage ?? Number.NaN,
        2,
      ]),
  ];
  return markdownTable(
    ['median', 'before', 'after', 'ratio of the pairs', 'from', 'to'],
    rows.map(([what, of, digits]) => {
      const ratios = all.map(({ before, after }) => of(after) / of(before)).sort((a, b) => a - b);
      const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)];
      return [
        what,
        median(all.map(({ before }) => of(before))).toFixed(digits),
        median(all.map(({ after }) => of(after))).toFixed(digits),
        `× ${median([...ratios]).toFixed(3)}`,
        ratios[0].toFixed(3),
        ratios[ratios.length - 1].toFixed(3),
      ];
    }),
    1,
  );
}

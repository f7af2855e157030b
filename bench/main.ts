import { readFile, writeFile } from 'node:fs/promises';
import { SluiceError } from '../model/errors.ts';
import { brokerRounds } from './broker-run.ts';
import { describeMachine } from './machine.ts';
import { type BenchOptions, readOptions, USAGE } from './options.ts';
import { doorAlone, PEERS } from './peers.ts';
import { pipelineRounds } from './pipeline-run.ts';
import type { Report, Round, Run } from './result.ts';
import { compareReports, toMarkdown } from './table.ts';

/** `npm run bench`: see USAGE. */
async function main(): Promise<number> {
  const command = readOptions(process.argv.slice(2));
  if (command.kind === 'help') {
    console.log(USAGE);
    return 0;
  }
  if (command.kind === 'compare') {
    const [before, after] = await Promise.all(command.files.map(readReport));
    console.log(compareReports(before, after));
    return 0;
  }
  const report = await measure(command.options);
  const text = toMarkdown(report);
  console.log(text);
  const { jsonFile, markdownFile } = command.options;
  if (jsonFile !== null) await writeFile(jsonFile, `${JSON.stringify(report, null, 2)}\n`);
  if (markdownFile !== null) await writeFile(markdownFile, text);
  return report.runs.some((run) => run.rounds.some((round) => round.problems.length > 0)) ? 1 : 0;
}

async function measure(options: BenchOptions): Promise<Report> {
  const { seconds, connections, payload, qos, ratePerSecond, rounds } = options;
  const runs: Run[] = [];
  const run = async (name: string, about: string, missing: string | null, measureRounds: () => Promise<Round[]>) => {
    process.stderr.write(missing === null ? `${name} …\n` : `${name}: skipped, ${missing}\n`);
    runs.push({ name, about, skipped: missing, rounds: missing === null ? await measureRounds() : [] });
  };
  for (const log of options.logs) {
    const about = `the whole program, log on ${log === 'lmdb' ? 'LMDB' : 'Kafka (acks=all)'}, embedded ClickHouse`;
    await run(`sluice-${log}`, about, null, () => pipelineRounds(log, options));
  }
  for (const peer of options.peers ? [doorAlone, ...PEERS] : []) {
    await run(peer.name, peer.about, peer.missing(), () => brokerRounds(peer, options));
  }
  return {
    version: 1,
    at: new Date().toISOString(),
    machine: describeMachine(options.folder),
    settings: { seconds, connections, payload, qos, ratePerSecond, rounds },
    runs,
  };
}

async function readReport(file: string): Promise<Report> {
  const report = JSON.parse(await readFile(file, 'utf8')) as Report;
  if (report.version === 1) return report;
  throw new SluiceError('INPUT_INVALID', `${file} is not a result of this bench`, { remedy: 'make it with --json' });
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof SluiceError ? error.toLine() : error);
  process.exitCode = 2;
}

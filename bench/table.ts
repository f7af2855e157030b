import { medianRound, type Report, type Round, type Run, rateOf } from './result.ts';

/** The result as Markdown: what it was made on, one table of rates and one of costs, and what went wrong. */
export function toMarkdown(report: Report): string {
  const { machine, settings, runs } = report;
  const load =
    settings.ratePerSecond === null ? 'as fast as acknowledged' : `${count(settings.ratePerSecond)} messages/s`;
  const parts = [
    `${settings.connections} connections, payload ${settings.payload}, QoS ${settings.qos}, ${load}, ` +
      `${settings.seconds} s a round, median of ${settings.rounds}.`,
    `${machine.cores} cores of ${machine.cpu}, ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, ${machine.system}, ` +
      `Node ${machine.node.slice(1)}; flushing 64 KiB to disk takes ${machine.flushMs.toFixed(2)} ms. ` +
      'The generator runs on the same machine.',
    ratesTable(runs),
    costsTable(runs),
    aedesRatio(runs),
    ...runs.filter((run) => run.skipped !== null).map((run) => `Skipped ${run.name}: ${run.skipped}.`),
    ...runs.flatMap((run) =>
      run.rounds.flatMap((round, i) => round.problems.map((problem) => `**${run.name}, round ${i + 1}: ${problem}.**`)),
    ),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function ratesTable(runs: readonly Run[]): string {
  const rows = measured(runs).map(({ run, round }) => [
    run.name,
    run.about,
    count(round.ackedPerSecond),
    round.storedPerSecond === null ? '–' : count(round.storedPerSecond),
    round.readingsStoredPerSecond === null ? '–' : count(round.readingsStoredPerSecond),
    milliseconds(round.pubackP50Ms),
    milliseconds(round.pubackP99Ms),
    round.bytesPerReading === null ? '–' : round.bytesPerReading.toFixed(1),
    spreadOf(run.rounds),
  ]);
  const header = [
    'run',
    'what',
    'acked/s',
    'stored/s',
    'readings stored/s',
    'PUBACK p50',
    'p99',
    'bytes/reading',
    'spread',
  ];
  return markdownTable(header, rows, 2);
}

/** CPU-µs per message of each process, and its peak memory in MB. */
function costsTable(runs: readonly Run[]): string {
  const rows = measured(runs).flatMap(({ run, round }) => [
    ...round.processes.map(({ name, cpuMicrosPerMessage, peakMemoryBytes }) => [
      run.name,
      name,
      cpuMicrosPerMessage.toFixed(2),
      peakMemoryBytes === 0 ? '–' : (peakMemoryBytes / 1e6).toFixed(0),
    ]),
    [
      run.name,
      'all but the generator',
      round.processes.reduce((sum, p) => sum + (p.name === 'generator' ? 0 : p.cpuMicrosPerMessage), 0).toFixed(2),
      (round.processes.reduce((sum, p) => sum + (p.name === 'generator' ? 0 : p.peakMemoryBytes), 0) / 1e6).toFixed(0),
    ],
  ]);
  return rows.length === 0 ? '' : markdownTable(['run', 'process', 'CPU-µs/message', 'peak MB'], rows, 2);
}

/** How the door, which acknowledges what is on disk, compares with plain Aedes, which stores nothing. */
function aedesRatio(runs: readonly Run[]): string {
  const rate = (name: string) => medianRound(runs.find((run) => run.name === name)?.rounds ?? [])?.ackedPerSecond;
  const [door, plain] = [rate('door'), rate('plain-aedes')];
  if (door === undefined || plain === undefined) return '';
  return `Durable PUBACKs of the door: ${(door / plain).toFixed(1)} times plain Aedes, which stores nothing.`;
}

/** Two results side by side, by run: the rates, and all CPU per message. Higher is better for rates, lower for costs. */
export function compareReports(before: Report, after: Report): string {
  const rows: string[][] = [];
  for (const name of new Set([...before.runs, ...after.runs].map((run) => run.name))) {
    const a = roundOf(before, name);
    const b = roundOf(after, name);
    const line = (what: string, of: (round: Round) => number | null, show: (value: number) => string) => {
      const [x, y] = [a === null ? null : of(a), b === null ? null : of(b)];
      if (x === null && y === null) return;
      const change =
        x === null || y === null || x === 0 ? '–' : `${y >= x ? '+' : ''}${((y / x - 1) * 100).toFixed(1)} %`;
      rows.push([name, what, x === null ? '–' : show(x), y === null ? '–' : show(y), change]);
    };
    line('acked messages/s', (r) => r.ackedPerSecond, count);
    line('stored messages/s', (r) => r.storedPerSecond, count);
    line(
      'PUBACK p50 ms',
      (r) => r.pubackP50Ms,
      (v) => v.toFixed(2),
    );
    line(
      'PUBACK p99 ms',
      (r) => r.pubackP99Ms,
      (v) => v.toFixed(2),
    );
    const names = new Set([...(a?.processes ?? []), ...(b?.processes ?? [])].map((p) => p.name));
    for (const process of names) {
      const cost = (r: Round) => r.processes.find((p) => p.name === process)?.cpuMicrosPerMessage ?? null;
      line(`CPU-µs/message of ${process}`, cost, (v) => v.toFixed(2));
    }
    line(
      'peak MB',
      (r) => r.processes.reduce((sum, p) => sum + p.peakMemoryBytes, 0) / 1e6,
      (v) => v.toFixed(0),
    );
    line(
      'bytes/reading',
      (r) => r.bytesPerReading,
      (v) => v.toFixed(2),
    );
  }
  const settings = ([x, y]: [Report, Report]) => JSON.stringify(x.settings) === JSON.stringify(y.settings);
  const warning = settings([before, after]) ? '' : '\nThe two were made with different settings.\n';
  return `${markdownTable(['run', 'what', before.at, after.at, 'change'], rows, 2)}\n${warning}`;
}

function roundOf(report: Report, name: string): Round | null {
  return medianRound(report.runs.find((run) => run.name === name)?.rounds ?? []);
}

function measured(runs: readonly Run[]): { run: Run; round: Round }[] {
  return runs.flatMap((run) => {
    const round = medianRound(run.rounds);
    return round === null ? [] : [{ run, round }];
  });
}

/** Half the distance between the slowest and the fastest round, in per cent of the median. */
function spreadOf(rounds: readonly Round[]): string {
  if (rounds.length < 2) return '–';
  const rates = rounds.map(rateOf);
  const half = (Math.max(...rates) - Math.min(...rates)) / 2;
  return `±${((half / rateOf(medianRound(rounds)!)) * 100).toFixed(1)} %`;
}

/** Columns from `rightFrom` on are aligned to the right. Padded, so that it reads well in a terminal too. */
export function markdownTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  rightFrom: number,
): string {
  const widths = header.map((title, i) => Math.max(3, title.length, ...rows.map((row) => row[i].length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i < rightFrom ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i < rightFrom ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(header), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

function milliseconds(value: number | null): string {
  return value === null ? '–' : `${value.toFixed(1)} ms`;
}

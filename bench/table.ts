import {
  type Limit,
  medianRound,
  type PagesResult,
  type Report,
  type Round,
  type Run,
  rateOf,
  type SweepPoint,
} from './result.ts';

/** The result as Markdown: what it was made on, one table of rates and one of costs, and what went wrong. */
export function toMarkdown(report: Report): string {
  const { runs, sweep, limits, idle, pages } = report;
  const parts = [
    settingsLine(report),
    machineLine(report),
    runs.length === 0 ? '' : ratesTable(runs),
    costsTable(runs),
    aedesRatio(runs),
    sweep?.length ? sweepTable(report) : '',
    limits?.length ? limitsTable(limits) : '',
    idle
      ? `${count(idle.connections)} idle connections: ${(idle.bytesEach / 1000).toFixed(1)} KB of the door's memory each.`
      : '',
    pages ? pagesTable(pages) : '',
    ...problemLines(report),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

export function settingsLine({ settings }: Report): string {
  const load =
    settings.ratePerSecond === null ? 'as fast as acknowledged' : `${count(settings.ratePerSecond)} messages/s`;
  return (
    `${settings.connections} connections, payload ${settings.payload}, QoS ${settings.qos}, ${load}, ` +
    `${settings.seconds} s a round, median of ${settings.rounds}.`
  );
}

export function machineLine({ machine }: Report): string {
  return (
    `${machine.cores} cores of ${machine.cpu}, ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, ${machine.system}, ` +
    `Node ${machine.node.slice(1)}; ${flushLine(machine)}. ` +
    othersLine(machine) +
    'The generator runs on the same machine.'
  );
}

/** What a flush takes while nothing else happens. */
function flushLine({ flushMs, flushes }: Report['machine']): string {
  const median = `flushing 64 KiB to disk takes ${flushMs.toFixed(2)} ms`;
  if (flushes === undefined) return median;
  return `${median} (of ${count(flushes.count)}: p99 ${milliseconds(flushes.p99Ms)}, at most ${milliseconds(flushes.maxMs)})`;
}

/** What else the machine did when the measuring began. */
export function othersLine({ others }: Report['machine']): string {
  if (others === undefined) return '';
  const used = `others used ${others.busyCores.toFixed(2)} cores`;
  if (others.quiet) return `When it began, ${used}. `;
  return `When it began, ${used}, after waiting ${others.waitedSeconds.toFixed(0)} s for them: the figures are low. `;
}

/** What was not measured and why, and what was wrong with what was. */
export function problemLines({ runs, leftOut, sweep, inMemory }: Report): string[] {
  return [
    ...runs.filter((run) => run.skipped !== null).map((run) => `Skipped ${run.name}: ${run.skipped}.`),
    ...(leftOut ?? []).map((line) => `Left out ${line}.`),
    ...runs.flatMap((run) =>
      run.rounds.flatMap((round, i) => round.problems.map((problem) => `**${run.name}, round ${i + 1}: ${problem}.**`)),
    ),
    ...[...(sweep ?? []), ...(inMemory ? [inMemory] : [])].flatMap(({ fraction, problems }) =>
      problems.map((problem) => `**sweep at ${(fraction * 100).toFixed(0)} %: ${problem}.**`),
    ),
  ];
}

export function ratesTable(runs: readonly Run[]): string {
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

/** CPU-µs per message of each process, its peak memory, and the peak of what of it is no page of a file. */
export function costsTable(runs: readonly Run[]): string {
  const megabytes = (bytes: number | undefined) => (bytes ? (bytes / 1e6).toFixed(0) : '–');
  const rows = measured(runs).flatMap(({ run, round }) => [
    ...round.processes.map(({ name, cpuMicrosPerMessage, peakMemoryBytes, ownMemoryBytes }) => [
      run.name,
      name,
      cpuMicrosPerMessage.toFixed(2),
      megabytes(peakMemoryBytes),
      megabytes(ownMemoryBytes),
    ]),
    [
      run.name,
      'all but the generator',
      sumOf(round, (p) => p.cpuMicrosPerMessage).toFixed(2),
      megabytes(sumOf(round, (p) => p.peakMemoryBytes)),
      megabytes(sumOf(round, (p) => p.ownMemoryBytes ?? 0)),
    ],
  ]);
  return rows.length === 0 ? '' : markdownTable(['run', 'process', 'CPU-µs/message', 'peak MB', 'own MB'], rows, 2);
}

/** Over all processes but the generator. */
function sumOf({ processes }: Round, of: (process: Round['processes'][number]) => number): number {
  return processes.reduce((sum, p) => sum + (p.name === 'generator' ? 0 : of(p)), 0);
}

/** Latencies of an open loop by load, what a flush to disk took meanwhile, and what a message costs there. */
export function sweepTable({ sweep = [], inMemory }: Pick<Report, 'sweep' | 'inMemory'>): string {
  const rows = sweep.map((point) => [`${(point.fraction * 100).toFixed(0)} %`, ...sweepCells(point)]);
  if (inMemory !== undefined)
    rows.push([`${(inMemory.fraction * 100).toFixed(0)} %, data in memory`, ...sweepCells(inMemory)]);
  const latencies = ['PUBACK p50', 'p99', 'p99.9', 'row visible p50', 'p99', 'alarm event p50', 'p99'];
  const flushes = ['a flush p50', 'p99', 'at most'];
  const columns = ['of capacity', 'sent/s', 'acked/s', ...latencies, ...flushes, 'CPU-µs/message', 'rounds'];
  return markdownTable(columns, rows, 0);
}

function sweepCells(point: SweepPoint): string[] {
  const { ratePerSecond, ackedPerSecond, puback, visible, alarm, flush, processes, rounds } = point;
  return [
    count(ratePerSecond),
    count(ackedPerSecond),
    ...[puback?.p50Ms, puback?.p99Ms, puback?.p999Ms].map(milliseconds),
    ...[visible?.p50Ms, visible?.p99Ms, alarm?.p50Ms, alarm?.p99Ms].map(milliseconds),
    ...[flush?.p50Ms, flush?.p99Ms, flush?.maxMs].map(milliseconds),
    processes.reduce((sum, p) => sum + (p.name === 'generator' ? 0 : p.cpuMicrosPerMessage), 0).toFixed(2),
    rounds === undefined ? '1' : rounds.taken === rounds.all ? `${rounds.all}` : `${rounds.taken} of ${rounds.all}`,
  ];
}

export function limitsTable(limits: readonly Limit[]): string {
  const rows = limits.map(({ name, about, perSecond, unit }) => [name, about, `${count(perSecond)} ${unit}/s`]);
  return markdownTable(['limit', 'what', 'rate'], rows, 2);
}

export function pagesTable(pages: PagesResult): string {
  const rows = pages.queries.map((q) => [q.name, milliseconds(q.p50Ms), milliseconds(q.p95Ms), milliseconds(q.maxMs)]);
  const about =
    `${count(pages.readings)} readings of ${count(pages.series)} series, inserted at ${count(pages.insertedPerSecond)}/s, ` +
    `${pages.bytesPerReading.toFixed(2)} bytes each on disk; p95 of all queries ${milliseconds(pages.p95Ms)}.`;
  return `${about}\n\n${markdownTable(['what the page asks', 'p50', 'p95', 'slowest'], rows, 1)}`;
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

export function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

export function milliseconds(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : `${value.toFixed(1)} ms`;
}

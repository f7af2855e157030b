import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { simulate } from './simulate.ts';

/**
 *     npm run simulate:core                       seeds from a fresh start, for half a minute
 *     npm run simulate:core -- --minutes 10       for so long
 *     npm run simulate:core -- --seeds 5000 --from 1
 *     npm run simulate:core -- --seed 4711        one seed, with its trace; exits 1 when it fails
 *
 * Many seeds are shared by a process for each core (`--processes N`); a seed is the same world in whichever it runs.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    from: { type: 'string' },
    minutes: { type: 'string' },
    quiet: { type: 'boolean', default: false },
    failures: { type: 'string', default: '5' },
    processes: { type: 'string' },
    /** Of a process that works at a share of the seeds. */
    step: { type: 'string' },
  },
});

if (values.seed !== undefined) await replay(Number(values.seed));
else if (values.step !== undefined) process.send?.(await share(Number(values.from), Number(values.step)));
else await many();

async function replay(seed: number): Promise<void> {
  const outcome = await simulate(seed, { trace: 'lines' });
  if (!values.quiet) for (const line of outcome.lines ?? []) console.log(line);
  console.log(JSON.stringify(outcome.plan, null, 1));
  console.log(JSON.stringify(Object.fromEntries(outcome.counts)));
  for (const failure of outcome.failures) console.log(failure);
  console.log(
    `seed ${seed}: ${outcome.steps} steps, ${Math.round(outcome.virtualMs)} virtual ms, trace ${outcome.hash}`,
  );
  process.exitCode = outcome.failures.length === 0 ? 0 : 1;
}

interface Tally {
  seeds: number;
  failed: number;
  virtualMs: number;
  counts: [string, number][];
}

async function many(): Promise<void> {
  const beganMs = Date.now();
  const processes = Number(values.processes ?? availableParallelism());
  const from = values.from === undefined ? beganMs % 1_000_000_000 : Number(values.from);
  const seedsEach = values.seeds === undefined ? [] : ['--seeds', String(Math.ceil(Number(values.seeds) / processes))];
  const minutes = values.seeds === undefined ? ['--minutes', values.minutes ?? '0.5'] : [];
  const shares = Array.from({ length: processes }, (_, i) => {
    const args = ['--from', String(from + i), '--step', String(processes), '--failures', values.failures];
    return tallyOf([...args, ...seedsEach, ...minutes]);
  });
  const tallies = await Promise.all(shares);
  const sum = (of: (tally: Tally) => number) => tallies.reduce((total, tally) => total + of(tally), 0);
  const counts = new Map<string, number>();
  for (const [what, n] of tallies.flatMap((tally) => tally.counts)) counts.set(what, (counts.get(what) ?? 0) + n);
  if (!values.quiet) for (const [what, n] of [...counts].sort()) console.log(`${String(n).padStart(12)}  ${what}`);
  const [seeds, failed] = [sum((tally) => tally.seeds), sum((tally) => tally.failed)];
  const tookMinutes = (Date.now() - beganMs) / 60_000;
  console.log(
    `${seeds} seeds, ${failed} failed, ${(sum((tally) => tally.virtualMs) / 3_600_000).toFixed(1)} virtual hours in ` +
      `${tookMinutes.toFixed(2)} minutes on ${processes} cores: ${Math.round(seeds / tookMinutes)} seeds a minute`,
  );
  process.exitCode = failed === 0 ? 0 : 1;
}

function tallyOf(args: readonly string[]): Promise<Tally> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), args);
    child.once('message', (tally) => resolve(tally as Tally));
    child.once('exit', (code) => reject(new Error(`a process with a share of the seeds ended with ${code}`)));
  });
}

/** Seeds `from`, `from` + `step` and so on, until the time, the seeds or the failures are up. */
async function share(from: number, step: number): Promise<Tally> {
  const untilMs = Date.now() + Number(values.minutes ?? 1e9) * 60_000;
  const seedsMax = Number(values.seeds ?? 1e9);
  const counts = new Map<string, number>();
  const tally: Tally = { seeds: 0, failed: 0, virtualMs: 0, counts: [] };
  for (let seed = from; tally.seeds < seedsMax && Date.now() < untilMs; seed += step) {
    if (tally.failed >= Number(values.failures)) break;
    const outcome = await simulate(seed);
    tally.seeds++;
    tally.virtualMs += outcome.virtualMs;
    for (const [what, n] of [...outcome.counts, ['steps', outcome.steps] as const])
      counts.set(what, (counts.get(what) ?? 0) + n);
    if (outcome.failures.length === 0) continue;
    tally.failed++;
    console.log(`seed ${seed} fails; replay it with: npm run simulate:core -- --seed ${seed}`);
    for (const failure of outcome.failures.slice(0, 5)) console.log(`  ${failure}`);
  }
  return { ...tally, counts: [...counts] };
}

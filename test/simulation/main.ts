import { parseArgs } from 'node:util';
import { simulate } from './simulate.ts';

/**
 *     npm run simulate:core                       seeds from a fresh start, for half a minute
 *     npm run simulate:core -- --minutes 10       for so long
 *     npm run simulate:core -- --seeds 5000 --from 1
 *     npm run simulate:core -- --seed 4711        one seed, with its trace; exits 1 when it fails
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    from: { type: 'string' },
    minutes: { type: 'string' },
    quiet: { type: 'boolean', default: false },
    failures: { type: 'string', default: '5' },
  },
});

if (values.seed !== undefined) await replay(Number(values.seed));
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

async function many(): Promise<void> {
  const beganMs = Date.now();
  const untilMs =
    values.seeds === undefined ? beganMs + Number(values.minutes ?? 0.5) * 60_000 : Number.POSITIVE_INFINITY;
  const seedsMax = values.seeds === undefined ? Number.POSITIVE_INFINITY : Number(values.seeds);
  let seed = values.from === undefined ? beganMs % 1_000_000_000 : Number(values.from);
  const total = new Map<string, number>();
  let seeds = 0;
  let failed = 0;
  let virtualMs = 0;
  for (; seeds < seedsMax && Date.now() < untilMs && failed < Number(values.failures); seeds++, seed++) {
    const outcome = await simulate(seed);
    virtualMs += outcome.virtualMs;
    for (const [what, n] of [...outcome.counts, ['steps', outcome.steps] as const])
      total.set(what, (total.get(what) ?? 0) + n);
    if (outcome.failures.length === 0) continue;
    failed++;
    console.log(`seed ${seed} fails; replay it with: npm run simulate:core -- --seed ${seed}`);
    for (const failure of outcome.failures.slice(0, 5)) console.log(`  ${failure}`);
  }
  const minutes = (Date.now() - beganMs) / 60_000;
  if (!values.quiet) for (const [what, n] of [...total].sort()) console.log(`${String(n).padStart(12)}  ${what}`);
  console.log(
    `${seeds} seeds, ${failed} failed, ${(virtualMs / 3_600_000).toFixed(1)} virtual hours in ${minutes.toFixed(2)} minutes: ${Math.round(seeds / minutes)} seeds a minute`,
  );
  process.exitCode = failed === 0 ? 0 : 1;
}

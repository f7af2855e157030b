import { parseArgs } from 'node:util';
import { type Disturbance, planOf } from './disturbances.ts';
import { Report } from './report.ts';
import { type Rig, startRig, type Variant } from './rig.ts';
import { type RoundResult, runRound } from './round.ts';
import type { Mode } from './settings.ts';
import { isClean } from './verdict.ts';

/** `npm run torture`: rounds on end, each from a seed of its own, until the time or the number of rounds is up. */

/** By turns. Kafka less often: a killed member of a group is missed only when its session has timed out. */
const VARIANTS: readonly Variant[] = ['embedded', 'proxied', 'embedded', 'proxied', 'kafka'];
const MODES: readonly Mode[] = ['exact', 'everything', 'idle', 'everything'];
/** Rounds that share a program. Then it is stopped in order, and another is started. */
const ROUNDS_PER_PROGRAM = 8;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    rounds: { type: 'string' },
    seed: { type: 'string' },
    only: { type: 'string' },
    variant: { type: 'string' },
    mode: { type: 'string' },
    json: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});

/** All of a round follows from its seed: which program, which settings, which disturbances, what the devices send. */
function roundOf(seed: number): { variant: Variant; mode: Mode; plan: Disturbance[] } {
  const block = Math.floor(seed / ROUNDS_PER_PROGRAM);
  const possible = VARIANTS.filter((v) => values.variant === undefined || values.variant.split(',').includes(v));
  const only = values.only?.split(',') ?? [];
  const fitting = possible.filter((v) => planOf(seed, v, only).length > 0);
  if (fitting.length === 0)
    throw new Error(`nothing is left to do with --only ${values.only} --variant ${values.variant}`);
  const variant = fitting[block % fitting.length];
  const modes = MODES.filter((m) => values.mode === undefined || values.mode.split(',').includes(m));
  return { variant, mode: modes[block % modes.length], plan: planOf(seed, variant, only) };
}

async function main(): Promise<number> {
  const first = Number(values.seed ?? Math.floor(Date.now() / 1000) % 1_000_000) | 0;
  const rounds = values.rounds === undefined ? Number.POSITIVE_INFINITY : Number(values.rounds);
  const minutes = values.minutes !== undefined ? Number(values.minutes) : values.rounds === undefined ? 20 : 1e9;
  const untilMs = Date.now() + minutes * 60_000;
  const report = new Report(first);
  let rig: Rig | null = null;
  let name = '';
  let stopped = false;
  process.once('SIGINT', () => {
    stopped = true;
  });
  console.log(`torture from seed ${first}; a round is replayed by: npm run torture -- --seed N --rounds 1`);
  try {
    for (let i = 0; i < rounds && Date.now() < untilMs && !stopped; i++) {
      const seed = first + i;
      const { variant, mode, plan } = roundOf(seed);
      if (rig === null || name !== `${variant} ${mode} ${Math.floor(seed / ROUNDS_PER_PROGRAM)}`) {
        await rig?.close();
        rig = null;
        rig = await startRig(variant, mode);
        name = `${variant} ${mode} ${Math.floor(seed / ROUNDS_PER_PROGRAM)}`;
      }
      const result = await attempt(rig, seed, plan);
      report.add(variant, mode, result);
      if (typeof result === 'string' || !isClean(result.verdict)) {
        const failed: Rig = rig;
        console.log(failed.program.output().split('\n').slice(-60).join('\n'));
        if (values.keep) {
          await failed.killAll();
          console.log(`the data is in ${failed.program.dataDir}`);
          return 1;
        }
        // What went wrong must not be seen again in the rounds after it.
        await failed.close();
        rig = null;
      }
    }
  } finally {
    if (!values.keep) await rig?.close();
  }
  await report.finish(values.json);
  return report.failures === 0 ? 0 : 1;
}

async function attempt(rig: Rig, seed: number, plan: readonly Disturbance[]): Promise<RoundResult | string> {
  try {
    return await runRound(rig, { seed, plan });
  } catch (error) {
    return `seed ${seed}, ${plan.map((d) => d.kind).join(', ')}: ${error instanceof Error ? error.stack : String(error)}`;
  }
}

process.exit(await main());

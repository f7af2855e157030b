import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { MUTANTS } from './mutants.ts';
import { tryMutant } from './mutate.ts';
import { simulate } from './simulate.ts';

/** Seeds that once found a defect, while the planner drew the same plans from them; mutants.ts keeps the defects themselves. */
const TELLING = [15, 16, 25, 57, 64, 97, 99, 205, 216, 2128, 372_882_879];
/** The same each time: what fails here was broken by a change. Fresh seeds are what `npm run simulate:core` is for. */
const FIXED = Array.from({ length: 150 }, (_, i) => i + 1);

async function expectWell(seed: number): Promise<Awaited<ReturnType<typeof simulate>>> {
  const outcome = await simulate(seed);
  const replay = `replay it with: npm run simulate:core -- --seed ${seed}`;
  expect(outcome.failures, `seed ${seed}; ${replay}`).toEqual([]);
  return outcome;
}

describe('the core, simulated', () => {
  it('keeps its promises under the faults of fixed seeds, all of which happen', { timeout: 600_000 }, async () => {
    const total = new Map<string, number>();
    for (const seed of [...FIXED, ...TELLING]) {
      const { counts } = await expectWell(seed);
      for (const [what, n] of counts) total.set(what, (total.get(what) ?? 0) + n);
    }
    const happened = ['doorCrashMs', 'processorCrashMs', 'workerDeathMs', 'powerLossMs', 'storeCrashMs', 'rebalance'];
    for (const what of [
      ...happened,
      'flush failed',
      'answer lost',
      'checkpoint rotten',
      'clockJumpBackMs',
      'logFullMs',
    ]) {
      expect(total.get(what), what).toBeGreaterThan(0);
    }
    expect(total.get('acknowledged')).toBeGreaterThan(1000);
    expect(total.get('alarm events')).toBeGreaterThan(100);
    expect(total.get('rollups')).toBeGreaterThan(500);
  });

  it('does the same from the same seed, step for step', async () => {
    for (const seed of [1, 2, 3, 25, 57, 1234]) {
      const [one, other] = [await simulate(seed, { trace: 'hash' }), await simulate(seed, { trace: 'lines' })];
      expect(other.hash, `seed ${seed}`).toBe(one.hash);
      expect(other.steps).toBe(one.steps);
    }
    const [one, two] = [await simulate(1, { trace: 'hash' }), await simulate(2, { trace: 'hash' })];
    expect(one.hash).not.toBe(two.hash);
  });
});

describe('mistakes that the simulation must find', () => {
  const here = fileURLToPath(new URL('.', import.meta.url));
  const built = fileURLToPath(new URL('../../.cache/simulation', import.meta.url));

  beforeAll(() => {
    execFileSync('npx', ['tsc', '-p', here], { stdio: 'inherit' });
  });

  const few = [
    'acknowledge before',
    'one frame ahead',
    'do not ask what',
    'forget the times seen',
    'of a replay again',
  ];
  const chosen = few.map((words) => MUTANTS.find(({ name }) => name.includes(words)));
  it.each(chosen)('$name', { timeout: 300_000 }, (mutant) => {
    expect(tryMutant(built, mutant!, 100).foundBy).not.toBeNull();
  });
});

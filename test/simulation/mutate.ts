import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Mutant } from './mutants.ts';

/** What became of a mistake: the seed that found it, or null when `seeds` of them did not. */
export interface Verdict {
  mutant: Mutant;
  foundBy: number | null;
  seeds: number;
  why: string;
}

/** Makes the mistake in a copy of the compiled simulation and runs seeds from 1 on until one fails. */
export function tryMutant(built: string, mutant: Mutant, seeds: number): Verdict {
  const dir = join(built, '..', `mutant-${process.pid}`);
  rmSync(dir, { recursive: true, force: true });
  cpSync(built, dir, { recursive: true });
  try {
    const file = join(dir, mutant.file);
    const text = readFileSync(file, 'utf8');
    if (text.split(mutant.from).length !== 2) {
      throw new Error(`"${mutant.name}" no longer applies: its text stands in ${mutant.file} not exactly once`);
    }
    writeFileSync(
      file,
      text.replace(mutant.from, () => mutant.to),
    );
    const main = join(dir, 'test/simulation/main.js');
    const args = [main, '--from', '1', '--seeds', String(seeds), '--failures', '1', '--quiet'];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    const found = /^seed (\d+) fails.*\n +(.*)/m.exec(stdout);
    const why = found?.[2] ?? stderr.split('\n').find((line) => /Error/.test(line)) ?? '';
    return { mutant, foundBy: found === null ? null : Number(found[1]), seeds, why };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

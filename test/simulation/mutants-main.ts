import { fileURLToPath } from 'node:url';
import { MUTANTS } from './mutants.ts';
import { tryMutant } from './mutate.ts';

/** npm run simulate:mutants [-- NAME…]: makes each mistake of mutants.ts (or those whose names hold a word) and tells what found it. */
const built = fileURLToPath(new URL('../..', import.meta.url));
const words = process.argv.slice(2);
const SEEDS = 1500;

let missed = 0;
for (const mutant of MUTANTS) {
  if (words.length > 0 && !words.some((word) => mutant.name.includes(word))) continue;
  const { foundBy, why } = tryMutant(built, mutant, SEEDS);
  if (foundBy === null) missed++;
  const verdict = foundBy === null ? `NOT FOUND in ${SEEDS} seeds` : `seed ${String(foundBy).padStart(4)}`;
  console.log(`${verdict}  ${mutant.name}\n           ${why.slice(0, 120)}`);
}
process.exitCode = missed === 0 ? 0 : 1;

import { expect, it } from 'vitest';
import { busyMsOfAllCores, untilQuiet } from './quiet.ts';

/** A machine that uses so many cores in each look, the last for ever. */
function machine(...cores: number[]) {
  let nowMs = 0;
  let busyMs = 0;
  let look = 0;
  const said: string[] = [];
  return {
    said,
    clock: { nowMs: () => nowMs },
    busyMs: () => busyMs,
    say: (line: string) => void said.push(line),
    async sleep(ms: number) {
      nowMs += ms;
      busyMs += ms * (cores[look] ?? cores.at(-1)!);
      look++;
    },
  };
}

it('does not wait for a machine at rest longer than it looks', async () => {
  const quiet = machine(0.05);
  expect(await untilQuiet(60, quiet)).toMatchObject({ quiet: true, waitedSeconds: 6 });
  expect(quiet.said).toEqual([]);
});

it('waits for others to end, is not taken in by their pauses, and says so once', async () => {
  const busy = machine(1.5, 0, 0, 2, 0.9, 0.1);
  expect(await untilQuiet(60, busy)).toMatchObject({ quiet: true, waitedSeconds: 16 });
  expect(busy.said).toEqual(['others use 1.5 cores: waiting up to 60 s for a quiet machine …']);
});

it('gives up after its patience, and tells how busy it was', async () => {
  expect(await untilQuiet(20, machine(1.25))).toEqual({ quiet: false, busyCores: 1.25, waitedSeconds: 20 });
});

it('reads the time of real cores', () => {
  expect(busyMsOfAllCores()).toBeGreaterThan(0);
});

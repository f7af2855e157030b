import { cpus } from 'node:os';
import type { Clock } from '../model/clock.ts';

/** How busy a machine is before something is measured on it, and how long that was waited for. */
export interface Quiet {
  /** Cores that all processes together used in the last look. */
  busyCores: number;
  waitedSeconds: number;
  /** Whether it was as quiet as QUIET_CORES, or the patience was over first. */
  quiet: boolean;
}

/** A desktop at rest, or a server without work, uses a few hundredths. */
export const QUIET_CORES = 0.2;
const LOOK_MS = 2000;
/** Looks in a row that must be quiet: a build or a test has pauses. */
const LOOKS = 3;

export interface Waiting {
  clock: Pick<Clock, 'nowMs'>;
  sleep(ms: number): Promise<unknown>;
  /** Busy time of all cores since the machine was started, ms. */
  busyMs(): number;
  /** Told once, when it is not quiet at once. */
  say(line: string): void;
}

/**
 * Waits until the machine has been quiet for some looks in a row, for `patienceSeconds` at most. The load average would not do: it
 * falls over minutes, and counts what waits for a disk.
 */
export async function untilQuiet(patienceSeconds: number, { clock, sleep, busyMs, say }: Waiting): Promise<Quiet> {
  const startMs = clock.nowMs();
  let said = false;
  for (let inRow = 0; ; ) {
    const [beforeMs, before] = [clock.nowMs(), busyMs()];
    await sleep(LOOK_MS);
    const nowMs = clock.nowMs();
    const busyCores = (busyMs() - before) / Math.max(1, nowMs - beforeMs);
    inRow = busyCores <= QUIET_CORES ? inRow + 1 : 0;
    const waitedSeconds = (nowMs - startMs) / 1000;
    if (inRow === LOOKS) return { busyCores, waitedSeconds, quiet: true };
    if (waitedSeconds >= patienceSeconds) return { busyCores, waitedSeconds, quiet: busyCores <= QUIET_CORES };
    if (inRow === 0 && !said) {
      say(`others use ${busyCores.toFixed(1)} cores: waiting up to ${patienceSeconds} s for a quiet machine …`);
      said = true;
    }
  }
}

export function busyMsOfAllCores(): number {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
}

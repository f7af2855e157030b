import type { Clock } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import type { Logger } from '../model/logger.ts';

const FIRST_MS = 100;
const LONGEST_MS = 5_000;

/** Waits twice as long each time: 100 ms, 200 ms, … 5 s. */
export function backOff(clock: Clock, attempt: number): Promise<void> {
  const delayMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return new Promise((resolve) => void clock.after(delayMs, resolve));
}

/** Does something until it succeeds; rejects with the first error that a retry cannot help, and when `signal` is aborted. */
export async function untilDone<Result>(
  what: string,
  run: () => Promise<Result>,
  { clock, logger, signal }: { clock: Clock; logger: Logger; signal: AbortSignal },
): Promise<Result> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof SluiceError) || !error.retryable || signal.aborted) throw error;
      logger.warn(`${what} failed, trying again`, { error: error.toLine(), attempt: attempt + 1 });
      await backOff(clock, attempt);
    }
  }
}

import { SluiceError } from '../model/errors.ts';
import type { Logger } from '../model/logger.ts';
import { FATAL_EXIT_CODE } from './supervisor.ts';

/** Something that runs until it is closed or fails. */
export interface Running {
  /** Stops taking work, finishes what was taken, lets go of everything. */
  close(): Promise<void>;
  /** Resolves with the reason when it cannot go on by itself; never otherwise. */
  readonly failed: Promise<Error>;
}

/** Errors by which a role tells that starting it again cannot help. */
const FATAL_CODES = new Set(['CONFIG_INVALID', 'LISTEN_FAILED', 'LOG_LAYOUT', 'ACCESS_DENIED']);

/**
 * Runs one role in this process: opens it, tells the supervisor, drains on SIGTERM (and on SIGINT when there is no supervisor,
 * which otherwise orders the end of its roles itself), and exits: 0 after a drain, 1 on a failure, 78 when a restart cannot help.
 */
export async function runUntilStopped(open: () => Promise<Running>, logger: Logger): Promise<never> {
  let stop!: () => void;
  const stopped = new Promise<null>((resolve) => {
    stop = () => resolve(null);
  });
  process.on('SIGTERM', stop);
  process.on('SIGINT', () => {
    if (process.connected !== true) stop();
  });
  process.on('disconnect', stop);
  process.on('uncaughtException', (error) => {
    logger.error('ended by an error that nobody handled', { error });
    process.exit(1);
  });

  let running: Running;
  try {
    running = await open();
  } catch (error) {
    return exitWith(error, logger);
  }
  process.send?.({ type: 'ready' });
  const failure = await Promise.race([stopped, running.failed]);
  if (failure !== null) logger.error('cannot go on', { error: failure });
  try {
    await running.close();
  } catch (error) {
    return exitWith(error, logger);
  }
  process.exit(failure === null ? 0 : 1);
}

function exitWith(error: unknown, logger: Logger): never {
  if (error instanceof SluiceError) logger.error(error.toLine(), { ...error.values, cause: String(error.cause ?? '') });
  else logger.error('ended by an error', { error });
  process.exit(error instanceof SluiceError && FATAL_CODES.has(error.code) ? FATAL_EXIT_CODE : 1);
}

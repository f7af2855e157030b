import { SluiceError } from '../model/errors.ts';
import type { Logger } from '../model/logger.ts';
import type { SupervisorMessage } from './child.ts';
import type { Observed } from './health-listener.ts';
import { FATAL_EXIT_CODE } from './supervisor.ts';

/** Something that runs until it is closed or fails. */
export interface Running {
  /** Stops taking work, finishes what was taken, lets go of everything. */
  close(): Promise<void>;
  /** Resolves with the reason when it cannot go on by itself; never otherwise. */
  readonly failed: Promise<Error>;
  /** How it does, for its health listener. */
  readonly observed: Observed;
}

/** Errors by which a role tells that starting it again cannot help. */
const FATAL_CODES = new Set(['CONFIG_INVALID', 'LISTEN_FAILED', 'LOG_LAYOUT', 'ACCESS_DENIED']);

/** Any time does; this is the longest that a timer takes. */
const HOLD_MS = 2 ** 31 - 1;

/** How long a role that is sent SIGTERM waits to hear that the supervisor was sent one too. */
const SIGNAL_GRACE_MS = 500;

/**
 * Calls `stop` when this process should drain and end: when the supervisor says so or is gone, and on SIGTERM and SIGINT.
 * A terminal and a service manager signal the whole group of processes at once; under a supervisor that is stopping, its order
 * counts (the door first, the store last), so the signal alone does nothing. A role that was signalled alone stops.
 */
export function onStop(stop: () => void): void {
  let ordered = false;
  process.on('message', (message: SupervisorMessage) => {
    if (message.type === 'stop') stop();
    else if (message.type === 'draining') ordered = true;
  });
  process.on('disconnect', stop);
  const signalled = (): void => {
    if (process.connected !== true) {
      stop();
      return;
    }
    setTimeout(() => {
      if (!ordered) stop();
    }, SIGNAL_GRACE_MS);
  };
  process.on('SIGTERM', signalled);
  process.on('SIGINT', signalled);
}

/**
 * Runs one role in this process: opens it, tells the supervisor, drains when it should stop, and exits: 0 after a drain, 1 on
 * a failure, 78 when a restart cannot help.
 */
export async function runUntilStopped(open: () => Promise<Running>, logger: Logger): Promise<never> {
  let stop!: () => void;
  const stopped = new Promise<null>((resolve) => {
    stop = () => resolve(null);
  });
  onStop(stop);
  // The program's timers and watches hold no process open, so Node would end one whose sockets are closed for a moment.
  setInterval(() => {}, HOLD_MS);
  process.on('uncaughtException', (error) => {
    logger.error('ended by an error that nobody handled', { error });
    process.exit(1);
  });

  let running: Running | null;
  try {
    running = await Promise.race([open(), stopped]);
  } catch (error) {
    return exitWith(error, logger);
  }
  // Stopped while it was opening: no work was taken, so there is none to finish.
  if (running === null) process.exit(0);
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

import pino from 'pino';
import pretty from 'pino-pretty';
import type { Logger } from '../model/logger.ts';
import { scrub, scrubText } from './scrub.ts';

export interface LoggerOptions {
  /** Stands on every line: the role, or `sluice` for the supervisor. */
  role: string;
  level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** `auto` is pretty on a terminal and JSON elsewhere. */
  format: 'pretty' | 'json' | 'auto';
  /** File descriptor to write to; standard error by default, so that standard output stays for results. */
  fd?: number;
}

/**
 * Structured lines on standard error. Passwords, keys and the content of messages have no business in `values`; what still gets
 * there, under a telling name or by its looks, is taken out (scrub.ts).
 */
export function createLogger(options: LoggerOptions): Logger {
  const fd = options.fd ?? 2;
  const human = options.format === 'pretty' || (options.format === 'auto' && process.stderr.isTTY === true);
  const stream = human
    ? pretty({
        destination: fd,
        sync: true,
        ignore: 'pid,hostname,role',
        translateTime: 'SYS:HH:MM:ss',
        messageFormat: '{role}: {msg}',
      })
    : pino.destination({ fd, sync: true });
  const target = pino(
    {
      level: options.level,
      base: { role: options.role, pid: process.pid },
      // Errors are plain objects by then.
      serializers: { err: (value: unknown) => value },
    },
    stream,
  );
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, values?: Record<string, unknown>): void => {
      if (!target.isLevelEnabled(level)) return;
      const text = scrubText(message);
      if (values === undefined) target[level](text);
      else target[level](scrub(values) as Record<string, unknown>, text);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

import pino from 'pino';
import pretty from 'pino-pretty';
import type { Logger } from '../model/logger.ts';

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
 * Structured lines on standard error. Passwords and keys have no business in `values`; what still gets there under a telling
 * name is redacted.
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
      redact: ['password', 'passwordHash', 'secret', 'token', 'authorization', '*.password', '*.passwordHash'],
      serializers: { error: pino.stdSerializers.err },
    },
    stream,
  );
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, values?: Record<string, unknown>): void => {
      if (values === undefined) target[level](message);
      else target[level](values, message);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

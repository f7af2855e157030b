import { randomBytes, timingSafeEqual } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SluiceError } from '../../model/errors.ts';

/** The user that may write: the program's own processors. */
export const WRITER = 'sluice';

export interface Credentials {
  username: string;
  password: string;
}

function credentialsPath(dir: string): string {
  return join(dir, 'credentials');
}

/**
 * The writer's name and password: those in the file `credentials` of the store's folder, which whoever comes first makes (the store or
 * a processor), with a random password and readable by this user only. It is written under another name and then linked, so
 * that nobody ever reads half of it, and of two that come at once the first wins.
 */
export function readCredentials(dir: string): Credentials {
  const path = credentialsPath(dir);
  try {
    if (!existsSync(path)) makeCredentials(dir, path);
    const [username, password] = readFileSync(path, 'utf8').trim().split(':');
    if (username === WRITER && password !== undefined && password.length >= 32) return { username, password };
  } catch (cause) {
    throw new SluiceError('STORE_UNAVAILABLE', `${path} cannot be read: ${String(cause)}`, {
      cause,
      remedy: 'run every role as the same user, with a data folder that this user may write to',
    });
  }
  throw new SluiceError('STORE_REFUSED', `${path} does not hold ${WRITER}:PASSWORD`, {
    remedy: 'remove the file and restart every role; a new one is made',
  });
}

function makeCredentials(dir: string, path: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  writeFileSync(temporary, `${WRITER}:${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  try {
    linkSync(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Compares without telling by its time how much was right. */
export function isSame(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

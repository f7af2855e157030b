import { randomBytes, timingSafeEqual } from 'node:crypto';
import { chmod, link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
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

/** The writer's name and password, which the embedded store of `dir` has put there. Rejects with STORE_UNAVAILABLE before it has. */
export async function readCredentials(dir: string): Promise<Credentials> {
  let text: string;
  try {
    text = await readFile(credentialsPath(dir), 'utf8');
  } catch (cause) {
    throw new SluiceError('STORE_UNAVAILABLE', `${credentialsPath(dir)} cannot be read`, {
      cause,
      remedy: 'start the store first, as the same user',
    });
  }
  const [username, password] = text.trim().split(':');
  if (username === WRITER && password !== undefined && password.length >= 32) return { username, password };
  throw new SluiceError('STORE_REFUSED', `${credentialsPath(dir)} does not hold ${WRITER}:PASSWORD`, {
    remedy: 'remove the file and restart the store, which makes a new one',
  });
}

/**
 * The same, made on the first start: a random password in a file that only this user may read. Written under another name and
 * then linked, so that no reader ever sees half of it.
 */
export async function ensureCredentials(dir: string): Promise<Credentials> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const temporary = `${credentialsPath(dir)}.${process.pid}`;
  await writeFile(temporary, `${WRITER}:${randomBytes(32).toString('hex')}\n`, { mode: 0o600, flag: 'w' });
  try {
    await link(temporary, credentialsPath(dir)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(temporary, { force: true });
  }
  await chmod(credentialsPath(dir), 0o600);
  return readCredentials(dir);
}

/** Compares without telling by its time how much was right. */
export function isSame(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

import { createInterface } from 'node:readline';
import { hashPassword } from '../ingest/access.ts';
import { SluiceError } from '../model/errors.ts';

/** `sluice passwd`: reads a password (without showing it on a terminal) and prints its hash for `access.users`. */
export async function hash(): Promise<void> {
  const password = process.stdin.isTTY ? await ask('Password: ') : await readAll();
  if (password === '')
    throw new SluiceError('INPUT_INVALID', 'the password is empty', { remedy: 'type one, or pipe it in' });
  if (process.stdin.isTTY && (await ask('Once more: ')) !== password) {
    throw new SluiceError('INPUT_INVALID', 'the two passwords differ', { remedy: 'try again' });
  }
  console.log(await hashPassword(password));
  process.exit(0);
}

/** Reads a line with the terminal's echo off. */
function ask(prompt: string): Promise<string> {
  return new Promise((resolve) => {
    process.stderr.write(prompt);
    const lines = createInterface({ input: process.stdin, terminal: true });
    lines.once('line', (line) => {
      lines.close();
      process.stderr.write('\n');
      resolve(line);
    });
  });
}

async function readAll(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
}

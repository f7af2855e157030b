import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SluiceError } from '../model/errors.ts';

/** Processes that the bench starts and ends. */
export interface Child {
  readonly pid: number;
  /** What it wrote so far, both streams, at most the last 64 KiB. */
  output(): string;
  /** Resolves when it has ended. */
  readonly exited: Promise<number | null>;
  /** SIGTERM, and SIGKILL when it is still there after `patienceMs`. */
  stop(patienceMs?: number): Promise<void>;
}

const OUTPUT_MAX = 64 * 1024;

/** What still runs is asked to end when this process does, so that a bench that is broken off leaves nothing behind. */
const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGTERM');
});

export interface ChildOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** The cores that it may run on, as taskset takes them: 0, or 0,1. All when absent. */
  cores?: string;
}

export function startChild(command: string, args: readonly string[], options: ChildOptions = {}): Child {
  const { cores, ...rest } = options;
  const [program, own] = cores === undefined ? [command, args] : ['taskset', ['-c', cores, command, ...args]];
  const child: ChildProcess = spawn(program, own, { stdio: ['ignore', 'pipe', 'pipe'], ...rest });
  alive.add(child);
  let output = '';
  const collect = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-OUTPUT_MAX);
  };
  child.stdout!.on('data', collect);
  child.stderr!.on('data', collect);
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => {
      alive.delete(child);
      resolve(code);
    });
    child.once('error', (error) => {
      output += String(error);
      resolve(null);
    });
  });
  const ended = () => child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
  const stop = async (patienceMs = 30_000) => {
    if (ended()) return;
    child.kill('SIGTERM');
    await Promise.race([exited, sleep(patienceMs, undefined, { ref: false })]);
    if (!ended()) child.kill('SIGKILL');
    await exited;
  };
  return { pid: child.pid ?? -1, output: () => output, exited, stop };
}

/** Asks `check` again and again; rejects with what the child wrote when it ends before, or when the time is over. */
export async function untilUp(
  child: Child,
  what: string,
  check: () => Promise<boolean>,
  withinMs = 60_000,
): Promise<void> {
  let ended = false;
  void child.exited.then(() => {
    ended = true;
  });
  const deadlineMs = Date.now() + withinMs;
  while (!(await check().catch(() => false))) {
    if (ended || Date.now() > deadlineMs) {
      const why = ended ? 'it ended' : `not within ${withinMs / 1000} s`;
      throw new SluiceError('BROKER_UNAVAILABLE', `${what} did not come up (${why}):\n${child.output()}`, {
        remedy: '',
      });
    }
    await sleep(50);
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** The folder of package.json, whether this runs from the sources or from dist/. */
export function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

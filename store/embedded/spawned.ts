import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Credentials, readCredentials } from './credentials.ts';

/** For tests: the embedded store as a process of its own, running what is in `dist`. */
export interface SpawnedStore {
  url: string;
  pid: number;
  dir: string;
  credentials: Credentials;
  /** Resolves with the exit code; 4 after a part that could not be read. */
  ended: Promise<number | null>;
  /** Ends the process at once, as `kill -9` does. */
  kill(): Promise<void>;
  /** Lets it close; resolves with its exit code. */
  stop(): Promise<number | null>;
  /** `stop`, and removes the folder. */
  remove(): Promise<void>;
}

const PROGRAM = `
const { startEmbeddedStore } = await import(process.argv[1]);
const { silentLogger } = await import(process.argv[2]);
const options = JSON.parse(process.argv[3]);
try {
  const store = await startEmbeddedStore({ ...options, logger: silentLogger });
  process.send({ url: store.url });
  store.corrupt.then(() => process.exit(4));
  process.once('SIGTERM', () => store.close().then(() => process.exit(0)));
  process.once('disconnect', () => process.exit(1));
} catch (error) {
  process.send({ code: error.code, message: error.message });
  process.exitCode = 3;
  process.disconnect();
}`;

/** Starts one on a free port, in `dir` or in a new folder. Rejects with what it could not start for. */
export async function spawnStore(
  options: { dir?: string; readOnly?: boolean; port?: number } = {},
): Promise<SpawnedStore> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'sluice-store-')));
  const built = (path: string) => new URL(`../../dist/${path}`, import.meta.url).href;
  const settings = { dir, http: { host: '127.0.0.1', port: options.port ?? 0 }, readOnly: options.readOnly ?? true };
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      PROGRAM,
      built('store/embedded/server.js'),
      built('model/logger.js'),
      JSON.stringify(settings),
    ],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
  );
  const exited = once(child, 'exit');
  const [answer] = (await Promise.race([once(child, 'message'), exited.then(() => [{ message: 'it ended' }])])) as [
    { url?: string; code?: string; message?: string },
  ];
  if (answer.url === undefined) {
    await exited;
    throw Object.assign(new Error(answer.message), { code: answer.code });
  }
  const stop = async () => {
    child.kill('SIGTERM');
    const [code] = (await exited) as [number | null];
    return code;
  };
  return {
    url: answer.url,
    pid: child.pid as number,
    dir,
    ended: exited.then(([code]) => code as number | null),
    credentials: readCredentials(dir),
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    stop,
    async remove() {
      await stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

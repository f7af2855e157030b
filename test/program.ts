import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The real program, started as a user starts it, for whole-pipeline tests. */
export interface Program {
  mqttUrl: string;
  httpUrl: string;
  clickhouseUrl: string;
  dataDir: string;
  configFile: string;
  /** All that it printed so far. */
  output(): string;
  /** Process ids of the roles: door, processor, store, gateway. */
  pids(): Promise<Map<string, number>>;
  /** Process id of `sluice start` itself. */
  pid(): number;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
  /** kill -9 of the supervisor and all roles. */
  killAll(): Promise<void>;
  /** `sluice audit` over all that there is: null when it balances, else what it says. */
  audit(): Promise<string | null>;
  /** Rows of a query over the ClickHouse HTTP interface. */
  query<Row>(sql: string): Promise<Row[]>;
  /** Starts the same program again: same data, ports and settings. */
  restart(): Promise<void>;
  /** Stops whatever runs and removes the data. */
  remove(): Promise<void>;
}

export interface ProgramOptions {
  /** Text of a sluice.yaml. */
  config?: string;
  args?: string[];
  /** Added to the environment of the program. */
  env?: Record<string, string>;
  /** Called with the folder and the ports before the program is started. */
  before?: (place: { dir: string; dataDir: string; clickhousePort: number }) => Promise<{ args: string[] }>;
}

export const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

export async function startProgram(options: ProgramOptions = {}): Promise<Program> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  const [mqtt, http, clickhouse] = await Promise.all([freePort(), freePort(), freePort()]);
  const args = ['start', '--data', join(dataDir, 'data')];
  args.push(
    '--mqtt',
    `127.0.0.1:${mqtt}`,
    '--http',
    `127.0.0.1:${http}`,
    '--clickhouse-http',
    `127.0.0.1:${clickhouse}`,
  );
  const configFile = join(dataDir, 'sluice.yaml');
  await writeFile(configFile, options.config ?? 'version: 1\n');
  args.push('--config', configFile, ...(options.args ?? []));
  const place = { dir: dataDir, dataDir: join(dataDir, 'data'), clickhousePort: clickhouse };
  args.push(...((await options.before?.(place))?.args ?? []));
  const env = { ...process.env, ...options.env };

  let output = '';
  let child: ChildProcess;
  let exited: Promise<number | null>;
  const launch = async (): Promise<void> => {
    child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'], cwd: dataDir, env });
    child.stdout!.on('data', (chunk) => (output += chunk));
    child.stderr!.on('data', (chunk) => (output += chunk));
    exited = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
    await untilReady(`http://127.0.0.1:${http}/ready`, exited, () => output);
  };

  const program: Program = {
    mqttUrl: `mqtt://127.0.0.1:${mqtt}`,
    httpUrl: `http://127.0.0.1:${http}`,
    clickhouseUrl: `http://127.0.0.1:${clickhouse}`,
    dataDir: join(dataDir, 'data'),
    configFile,
    output: () => output,
    pids: () => rolesOf(child.pid!),
    pid: () => child.pid!,
    async stop() {
      child.kill('SIGTERM');
      return exited;
    },
    async killAll() {
      const roles = await rolesOf(child.pid!);
      for (const pid of [child.pid!, ...roles.values()]) kill9(pid);
      await exited;
    },
    async audit() {
      const asking = spawn(process.execPath, [main, 'audit', '--read-log', ...args.slice(1)], { env, cwd: dataDir });
      let said = '';
      asking.stdout!.on('data', (chunk) => (said += chunk));
      asking.stderr!.on('data', (chunk) => (said += chunk));
      const code = await new Promise<number | null>((resolve) => asking.once('exit', resolve));
      return code === 0 ? null : `sluice audit: exit code ${code}\n${said}`;
    },
    async query<Row>(sql: string) {
      const answer = await fetch(program.clickhouseUrl, { method: 'POST', body: `${sql} FORMAT JSONEachRow` });
      const body = await answer.text();
      if (!answer.ok) throw new Error(`${answer.status}: ${body}`);
      return body
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Row);
    },
    restart: launch,
    async remove() {
      if (child.exitCode === null && child.signalCode === null) await program.killAll();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  await launch();
  return program;
}

export function kill9(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Asks again and again until `check` gives something, for what real processes do in their own time. */
export async function eventually<T>(
  what: string,
  check: () => Promise<T | undefined | null | false>,
  withinMs = 90_000,
): Promise<T> {
  const untilMs = Date.now() + withinMs;
  let lastError: unknown;
  while (Date.now() < untilMs) {
    try {
      const value = await check();
      if (value !== undefined && value !== null && value !== false) return value;
    } catch (error) {
      lastError = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(
    `waited ${withinMs} ms for: ${what}${lastError === undefined ? '' : ` (last error: ${String(lastError)})`}`,
  );
}

async function untilReady(url: string, exited: Promise<number | null>, output: () => string): Promise<void> {
  let ended: number | null | undefined;
  void exited.then((code) => {
    ended = code;
  });
  await eventually(
    `${url} to answer 200`,
    async () => {
      if (ended !== undefined) return true;
      return (await fetch(url)).status === 200;
    },
    150_000,
  ).catch((error: Error) => {
    throw new Error(`${error.message}\n${output()}`);
  });
  if (ended !== undefined) throw new Error(`the program ended with code ${ended}:\n${output()}`);
}

/** The roles are the children of the supervisor, told by their command line `… run ROLE …`. */
async function rolesOf(supervisor: number): Promise<Map<string, number>> {
  const out = new Map<string, number>();
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = await readFile(`/proc/${entry}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      if (parent !== supervisor) continue;
      const args = (await readFile(`/proc/${entry}/cmdline`, 'utf8')).split('\0');
      const at = args.indexOf('run');
      out.set(at >= 0 ? args[at + 1] : 'simulator', Number(entry));
    } catch {
      // The process ended between the listing and the look at it.
    }
  }
  return out;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

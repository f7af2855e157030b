import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Supervision } from '../model/stats.ts';
import type { Child } from './supervisor.ts';

/** What a role tells the supervisor over the IPC channel. */
export interface ReadyMessage {
  type: 'ready';
}

/** What the supervisor tells its children. A child whose channel has closed is on its way out already. */
export interface SupervisorMessage {
  type: 'draining' | 'stop' | 'supervision';
  /** With `supervision`, for the role that tells it to others. */
  supervision?: Supervision;
}

/** In a child: what the supervisor has told last; null without one. */
export function supervisionFromParent(): () => Supervision | null {
  let latest: Supervision | null = null;
  process.on('message', (message: SupervisorMessage) => {
    if (message.type === 'supervision') latest = message.supervision ?? null;
  });
  return () => latest;
}

/** kafkajs sets timers a few ms in the past now and then, of which newer versions of Node.js would warn each time. */
const COMMON_FLAGS = ['--enable-source-maps', '--disable-warning=TimeoutNegativeWarning'];

/**
 * V8 settings of the roles. Most of what they allocate dies young, and with the default young generation a third of a busy
 * door's time is garbage collection (docs/decisions/001-young-generation.md has the figures).
 */
const NODE_FLAGS: Record<string, readonly string[]> = {
  door: ['--max-semi-space-size=32'],
  processor: ['--max-semi-space-size=32'],
};

/**
 * Threads of libuv's pool, where the embedded engine runs its statements. With the default of 4, two long reads would hold
 * every place that there is for reading. Three write, eight read, one is for files, and one for merges of the store's own.
 */
const STORE_POOL_THREADS = 13;

/** Who profiles `sluice start` wants to see its roles: `node --cpu-prof --cpu-prof-dir=DIR dist/cli/main.js start`. */
const PROFILING = process.execArgv.filter((flag) => /^--(cpu|heap)-prof/.test(flag));

/** What Node.js is told when it runs a role. */
export function settingsOfNode(name: string): { flags: string[]; env: NodeJS.ProcessEnv } {
  return {
    flags: [...COMMON_FLAGS, ...PROFILING, ...(NODE_FLAGS[name] ?? [])],
    env: name === 'store' ? { ...process.env, UV_THREADPOOL_SIZE: String(STORE_POOL_THREADS) } : process.env,
  };
}

/**
 * Starts `sluice ARGS` as a child process with an IPC channel. The child drains and ends when the channel closes, so none
 * outlives a supervisor that was killed.
 */
export function spawnSluice(name: string, args: readonly string[]): Child {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const { flags, env } = settingsOfNode(name);
  const child = spawn(process.execPath, [...flags, main, ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env,
  });
  const tellChild = (type: SupervisorMessage['type'], supervision?: Supervision): void => {
    if (child.connected) child.send({ type, supervision } satisfies SupervisorMessage, () => undefined);
  };
  return {
    pid: child.pid,
    onReady(listener) {
      child.on('message', (message: ReadyMessage) => {
        if (message.type === 'ready') listener();
      });
    },
    onExit(listener) {
      let told = false;
      const tell = (reason: string, code: number | null): void => {
        if (told) return;
        told = true;
        listener(reason, code);
      };
      child.once('error', (error) => tell(`cannot be started: ${error.message}`, null));
      child.once('exit', (code, signal) => tell(signal === null ? `exit code ${code}` : `signal ${signal}`, code));
    },
    announceStop() {
      tellChild('draining');
    },
    tell(supervision) {
      tellChild('supervision', supervision);
    },
    stop() {
      tellChild('stop');
    },
    kill() {
      child.kill('SIGKILL');
    },
  };
}

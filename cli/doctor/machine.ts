import { existsSync, readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import type { Config } from '../../config/schema.ts';
import { type Check, fail, inBytes, inTime, ok, type Patient, reasonOf, warn } from './check.ts';

/** The machine that the program runs on. Each judgement is a function of what was measured, so that it can be tested. */

export function checkNode(version: string): Check {
  const [major, minor] = version.split('.').map(Number);
  const fits = major > 20 || (major === 20 && minor >= 20);
  if (!fits) return fail('node', `Node.js ${version} is too old`, 'install Node.js 20.20 or newer');
  if (major % 2 === 1) return warn('node', `Node.js ${version} is no long-term release`, 'use an even major version');
  return ok('node', `Node.js ${version}`);
}

/** Loads the native parts that these settings need. */
export async function checkNative({ config }: Patient): Promise<Check[]> {
  const out: Check[] = [];
  if (config.log.kafka.brokers.length === 0) {
    out.push(await loads('native.lmdb', 'LMDB', () => import('../../log/lmdb-env.ts')));
  }
  if (config.store.url === null) {
    out.push(await loads('native.chdb', 'chDB', () => import('../../store/embedded/engine.ts')));
  }
  return out;
}

export async function loads(name: string, what: string, load: () => Promise<unknown>): Promise<Check> {
  try {
    await load();
    return ok(name, `${what} loads`);
  } catch (error) {
    return fail(
      name,
      `${what} cannot be loaded: ${reasonOf(error)}`,
      'run `npm ci` on this machine itself: Linux with glibc (not Alpine) or macOS, on x64 or arm64',
    );
  }
}

/** Connections, and what else a door has open: log, listeners, standard streams. */
const OTHER_FILES = 128;

export function checkFiles(limits: string, connectionsMax: number): Check {
  const line = /^Max open files\s+(\S+)\s+(\S+)/m.exec(limits);
  if (line === null) return ok('files', 'the limit of open files is not known on this system');
  // Node.js raises the soft limit to the hard one when it starts.
  const limit = line[2] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(line[2]);
  const needed = connectionsMax + OTHER_FILES;
  if (limit >= needed) return ok('files', `${line[2]} open files are allowed, ${needed} may be needed`);
  return warn(
    'files',
    `only ${limit} open files are allowed, and mqtt.connectionsMax is ${connectionsMax}: connections beyond ${Math.max(0, limit - OTHER_FILES)} fail`,
    `raise \`ulimit -n\` (LimitNOFILE= in systemd, ulimits in compose) to ${needed}, or lower mqtt.connectionsMax`,
  );
}

/** What a role takes before it has anything to do, and what processors hold of a batch: frames, decoded rows, blocks. */
const ROLE_BYTES = 120 * 2 ** 20;
const PROCESSOR_BYTES = 600 * 2 ** 20;

export function checkMemory(config: Config, memoryBytes: number): Check {
  const store = config.store.url === null ? config.store.memoryBytesMax : 0;
  // A frame lives twice for a moment: as it is filled, and as the log writes it.
  const door = config.log.inFlightBytesMax * 2;
  const needed = store + door + PROCESSOR_BYTES + 4 * ROLE_BYTES;
  const sum = `${inBytes(needed)} (store.memoryBytesMax ${inBytes(store)}, twice log.inFlightBytesMax ${inBytes(door)}, processor ${inBytes(PROCESSOR_BYTES)}, the rest)`;
  const what = `everything on this machine may take ${sum} of ${inBytes(memoryBytes)}`;
  if (needed <= memoryBytes * 0.9) return ok('memory', what);
  return warn(
    'memory',
    what,
    'lower store.memoryBytesMax or log.inFlightBytesMax, or add memory: the system ends processes when it runs out',
  );
}

export function memoryOf(): number {
  for (const path of ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes']) {
    const limit = existsSync(path) ? Number(readFileSync(path, 'utf8').trim()) : Number.NaN;
    if (limit > 0 && limit < totalmem()) return limit;
  }
  return totalmem();
}

/** 2024, before this program was: a clock that says so has not been set. */
const EPOCH_MS_MIN = Date.UTC(2024, 0, 1);

export interface ClockLook {
  wallMs: number;
  /** How far wall and monotonic clock went apart over the look, and how long it was. */
  apartMs: number;
  overMs: number;
  /** Null where it cannot be told cheaply. */
  isSynchronized: boolean | null;
}

export function checkClock({ wallMs, apartMs, overMs, isSynchronized }: ClockLook): Check {
  const time = new Date(wallMs).toISOString();
  const remedy = 'set the clock and keep it with NTP (chrony, systemd-timesyncd)';
  if (wallMs < EPOCH_MS_MIN) return fail('clock', `the clock says ${time}, which is in the past`, remedy);
  if (Math.abs(apartMs) > Math.max(20, overMs * 0.05)) {
    return warn('clock', `the clock went ${inTime(Math.abs(apartMs))} off within ${inTime(overMs)}`, remedy);
  }
  if (isSynchronized === false) return warn('clock', `the clock says ${time}, and NTP has not set it`, remedy);
  const ntp = isSynchronized ? 'NTP keeps it' : 'whether NTP keeps it cannot be told here';
  return ok('clock', `the clock says ${time} and runs evenly; ${ntp}`);
}

async function lookAtClock(): Promise<ClockLook> {
  const wall = Date.now();
  const monotonic = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 150));
  const overMs = performance.now() - monotonic;
  const timesyncd = existsSync('/run/systemd/timesync');
  return {
    wallMs: Date.now(),
    apartMs: Date.now() - wall - overMs,
    overMs,
    isSynchronized: timesyncd ? existsSync('/run/systemd/timesync/synchronized') : null,
  };
}

export async function checkMachine({ config }: Patient): Promise<Check[]> {
  const limits = existsSync('/proc/self/limits') ? readFileSync('/proc/self/limits', 'utf8') : '';
  return [
    checkFiles(limits, config.mqtt.connectionsMax),
    checkMemory(config, memoryOf()),
    checkClock(await lookAtClock()),
  ];
}

import { readdirSync, readFileSync } from 'node:fs';

/**
 * What processes cost, from Linux's /proc (man 5 proc). Each number is of the process with all its threads.
 *
 *     /proc/PID/stat     pid (name) state ppid … utime(14) stime(15) …   in ticks of 1/100 s; the name may hold blanks and brackets
 *     /proc/PID/status   VmHWM: peak resident memory, RssAnon: what of it now is no page of a file, kB
 *     /proc/PID/cmdline  arguments, each ended by a zero byte
 */
const TICK_MICROS = 10_000;

export interface ProcessSample {
  pid: number;
  name: string;
  cpuMicros: number;
  peakMemoryBytes: number;
  /** Resident now and the process's own: without pages of files, which the system can take back and several processes may share. */
  ownMemoryBytes: number;
}

/** All processes below `root`, itself included. Empty where there is no /proc, or no such process. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const pid of allPids()) {
    const parent = statOf(pid)?.parent;
    if (parent === undefined) continue;
    const siblings = children.get(parent);
    if (siblings) siblings.push(pid);
    else children.set(parent, [pid]);
  }
  const found: number[] = [];
  const left = statOf(root) === null ? [] : [root];
  for (let pid = left.pop(); pid !== undefined; pid = left.pop()) {
    found.push(pid);
    left.push(...(children.get(pid) ?? []));
  }
  return found;
}

/** Samples the processes below `root`; `nameOf` names them by their arguments, null leaves one out. */
export function sampleTree(root: number, nameOf: (args: readonly string[]) => string | null): ProcessSample[] {
  const samples: ProcessSample[] = [];
  for (const pid of processTree(root)) {
    const stat = statOf(pid);
    const args = argsOf(pid);
    if (stat === null || args === null) continue; // it has ended meanwhile
    const name = nameOf(args);
    if (name === null) continue;
    const status = readProc(pid, 'status') ?? '';
    const [peakMemoryBytes, ownMemoryBytes] = [statusBytes(status, 'VmHWM'), statusBytes(status, 'RssAnon')];
    samples.push({ pid, name, cpuMicros: stat.ticks * TICK_MICROS, peakMemoryBytes, ownMemoryBytes });
  }
  return samples;
}

export interface ProcessCost {
  name: string;
  cpuMicros: number;
  /** Peak since the process was started. */
  peakMemoryBytes: number;
}

export interface ThreadSample {
  tid: number;
  /** As the thread has named itself; the first thread of a process has the name of its program. */
  name: string;
  cpuMicros: number;
}

/** The threads of a process. Those that have ended are not among them: their CPU is only in that of the process. */
export function sampleThreads(pid: number): ThreadSample[] {
  let tids: string[] = [];
  try {
    tids = readdirSync(`/proc/${pid}/task`);
  } catch {
    // It has ended, or there is no /proc.
  }
  return tids.flatMap((tid) => {
    const stat = readProc(pid, `task/${tid}/stat`);
    const name = readProc(pid, `task/${tid}/comm`);
    if (stat === null || name === null) return [];
    return [{ tid: Number(tid), name: name.trim(), cpuMicros: parseStat(stat).ticks * TICK_MICROS }];
  });
}

/** What happened between two samples, by name: several processes of a name are added up, one that was started meanwhile counts whole. */
export function costBetween(before: readonly ProcessSample[], after: readonly ProcessSample[]): ProcessCost[] {
  const earlier = new Map(before.map((sample) => [sample.pid, sample]));
  const costs = new Map<string, ProcessCost>();
  for (const { pid, name, cpuMicros, peakMemoryBytes } of after) {
    const cost = costs.get(name) ?? { name, cpuMicros: 0, peakMemoryBytes: 0 };
    cost.cpuMicros += cpuMicros - (earlier.get(pid)?.cpuMicros ?? 0);
    cost.peakMemoryBytes += peakMemoryBytes;
    costs.set(name, cost);
  }
  return [...costs.values()];
}

/** The most memory of its own that each process was seen with, since Linux keeps no peak of that. */
export class OwnMemory {
  readonly #sample: () => readonly ProcessSample[];
  readonly #most = new Map<number, { name: string; bytes: number }>();
  readonly #timer: NodeJS.Timeout;

  constructor(sample: () => readonly ProcessSample[]) {
    this.#sample = sample;
    this.#look();
    this.#timer = setInterval(() => this.#look(), OWN_MEMORY_MS);
  }

  /** Looks once more, and gives the peaks by name; those of several processes of a name are added up. */
  stop(): Map<string, number> {
    clearInterval(this.#timer);
    this.#look();
    const sums = new Map<string, number>();
    for (const { name, bytes } of this.#most.values()) sums.set(name, (sums.get(name) ?? 0) + bytes);
    return sums;
  }

  #look(): void {
    for (const { pid, name, ownMemoryBytes } of this.#sample()) {
      const most = this.#most.get(pid);
      if (most === undefined || ownMemoryBytes > most.bytes) this.#most.set(pid, { name, bytes: ownMemoryBytes });
    }
  }
}

/** Often enough to see what is held for an insert, seldom enough to cost nothing. */
const OWN_MEMORY_MS = 250;

/** The role of one of the program's processes: `… main.js run ROLE …`; what starts them is the supervisor. */
export function sluiceName(args: readonly string[]): string | null {
  const main = args.findIndex((arg) => arg.endsWith('main.js'));
  if (main === -1) return null;
  return args[main + 1] === 'run' ? args[main + 2] : 'supervisor';
}

function allPids(): number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

export function parseStat(text: string): { parent: number; ticks: number } {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' '); // from field 3, the state, on
  return { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) };
}

function statOf(pid: number): { parent: number; ticks: number } | null {
  const text = readProc(pid, 'stat');
  return text === null ? null : parseStat(text);
}

function argsOf(pid: number): string[] | null {
  return readProc(pid, 'cmdline')?.split('\0').slice(0, -1) ?? null;
}

function statusBytes(status: string, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status);
  return match ? Number(match[1]) * 1024 : 0;
}

function readProc(pid: number, file: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return null;
  }
}

/** Resident memory now; 0 when the process is not there. */
export function residentBytes(pid: number): number {
  return statusBytes(readProc(pid, 'status') ?? '', 'VmRSS');
}

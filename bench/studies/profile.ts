import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { blastAndWait } from '../pipeline-run.ts';
import { sampleThreads, type ThreadSample } from '../processes.ts';
import { toFlame } from '../profile/flame.ts';
import { type CpuProfile, fold, type Stack } from '../profile/fold.ts';
import { stageOf, stagesOf } from '../profile/stages.ts';
import { eventsBetween, type StoreEvents, storeEvents } from '../profile/store-events.ts';
import { startProgram } from '../program.ts';
import { markdownTable } from '../table.ts';

/**
 * Where the time goes: the door and the processor under V8's profiler while the whole program runs as fast as it can, and the store
 * by its threads and its own counters.
 */
export interface ProfileResult {
  messages: number;
  readings: number;
  roles: RoleProfile[];
  /** Differences of the engine's counters over the run. */
  events: Record<string, number>;
}

export interface RoleProfile {
  role: string;
  /** CPU of the process with all its threads. */
  cpuMicrosPerMessage: number;
  /** What it is made of, most first; sums up to it. */
  stages: { stage: string; cpuMicrosPerMessage: number }[];
}

const SECONDS = 12;
const WARM_UP_SECONDS = 4;
const LOAD = { connections: 50, payload: 'object', qos: 1, ratePerSecond: null, rounds: 1 } as const;
/** Samples are this far apart. */
const INTERVAL_MICROS = 500;
const PROFILED = ['door', 'processor'] as const;

/** Measures, and gives the flame graphs as SVG by file name. */
export async function measureProfile(
  folder: string,
  seconds = SECONDS,
): Promise<{ result: ProfileResult; plots: Map<string, string> }> {
  const dir = await mkdtemp(join(folder, 'profiles-'));
  const flags = ['--cpu-prof', `--cpu-prof-dir=${dir}`, `--cpu-prof-interval=${INTERVAL_MICROS}`];
  const program = await startProgram('lmdb', folder, { nodeFlags: flags });
  let stopped = false;
  try {
    const pids = new Map(program.sample().map(({ name, pid }) => [name, pid]));
    const load = { ...LOAD, seconds, warmUpSeconds: WARM_UP_SECONDS };
    await blastAndWait(program, load, 'warm', WARM_UP_SECONDS);
    const look = () => new Map([...PROFILED, 'store'].map((role) => [role, threadsOf(pids.get(role) ?? -1)]));
    const [before, eventsBefore, fromMicros] = [look(), await storeEvents(program.storeUrl), nowMicros()];
    const { result, missing } = await blastAndWait(program, load, 'profiled', seconds);
    const [after, events, toMicros] = [look(), await storeEvents(program.storeUrl), nowMicros()];
    if (missing > 0) throw new Error(`${missing} readings were not stored`);
    // The profiles are written when the processes end.
    stopped = true;
    await program.stop();
    const { messages, readings } = result.expected;
    const found: RoleProfile[] = [];
    const plots = new Map<string, string>();
    for (const role of PROFILED) {
      const threads = await foldedThreads(dir, pids.get(role)!, fromMicros, toMicros);
      const times = timesBetween(before.get(role)!, after.get(role)!);
      found.push(roleProfile(role, threads, times, messages));
      const stacks = threads.flatMap((thread) => thread.stacks.map((stack) => underThread(stack, thread.main)));
      const stages = stagesOf(role, stacks).map(({ stage }) => stage);
      const title = `Where the ${role}'s time goes, by function`;
      plots.set(`flame-${role}.svg`, toFlame(stacks, { title, stageOf: (stack) => stageOf(role, stack), stages }));
    }
    found.push(storeProfile(timesBetween(before.get('store')!, after.get('store')!), messages));
    const kept = selected(eventsBetween(eventsBefore, events));
    return { result: { messages, readings, roles: found, events: kept }, plots };
  } finally {
    if (!stopped) await program.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

interface ProcessTimes {
  /** Of the process, threads included that have ended. */
  cpuMicros: number;
  threads: ThreadSample[];
}

function threadsOf(pid: number): ProcessTimes {
  const threads = sampleThreads(pid);
  return { cpuMicros: threads.reduce((sum, t) => sum + t.cpuMicros, 0), threads };
}

function timesBetween(before: ProcessTimes, after: ProcessTimes): ProcessTimes {
  const earlier = new Map(before.threads.map((t) => [t.tid, t.cpuMicros]));
  const threads = after.threads.map((t) => ({ ...t, cpuMicros: t.cpuMicros - (earlier.get(t.tid) ?? 0) }));
  return { cpuMicros: threads.reduce((sum, t) => sum + t.cpuMicros, 0), threads };
}

interface FoldedThread {
  main: boolean;
  stacks: Stack[];
}

/** Files are called CPU.DATE.TIME.PID.THREAD.SEQUENCE.cpuprofile; thread 0 is the main one. */
async function foldedThreads(dir: string, pid: number, fromMicros: number, toMicros: number): Promise<FoldedThread[]> {
  const files = (await readdir(dir)).filter(
    (file) => file.endsWith('.cpuprofile') && file.split('.')[3] === String(pid),
  );
  if (files.length === 0) throw new Error(`process ${pid} has written no profile`);
  return Promise.all(
    files.map(async (file) => {
      const profile = JSON.parse(await readFile(join(dir, file), 'utf8')) as CpuProfile;
      return { main: file.split('.')[4] === '0', stacks: fold(profile, fromMicros, toMicros) };
    }),
  );
}

/**
 * A profile counts the time in which a thread had work, also while it waited for a core; the system counts the CPU that it got. So the
 * shares are the profile's, and what they are shares of is the system's: the main thread's, and that of the busiest other thread for a
 * worker. What remains was used by threads that run no JavaScript.
 */
function roleProfile(
  role: string,
  threads: readonly FoldedThread[],
  { cpuMicros, threads: times }: ProcessTimes,
  messages: number,
): RoleProfile {
  const [main, ...others] = times;
  const worker = others.reduce(
    (most, t) => (most === null || t.cpuMicros > most.cpuMicros ? t : most),
    null as ThreadSample | null,
  );
  const stages = new Map<string, number>();
  let known = 0;
  for (const { main: isMain, stacks } of threads) {
    const own = isMain ? main.cpuMicros : (worker?.cpuMicros ?? 0);
    const all = stacks.reduce((sum, { micros }) => sum + micros, 0);
    known += own;
    for (const { stage, micros } of stagesOf(role, stacks))
      stages.set(stage, (stages.get(stage) ?? 0) + (micros / Math.max(1, all)) * own);
  }
  stages.set(OTHER_THREADS, Math.max(0, cpuMicros - known));
  return shares(role, stages, messages);
}

const OTHER_THREADS = 'other threads: flushes to disk, garbage collection, compiling';

/** The engine names its threads for what they do; a name that is not here is told as it is. */
const STORE_THREADS: readonly [RegExp, string][] = [
  [/^(MergeMutate|BgMerge)/, 'merges parts'],
  [/^v8:Prof/, 'the profiler itself'],
  [/^(node|libuv|V8|QueryP|Parall|Insert|ThreadPool)/, 'takes blocks in: reads, checks, sorts, compresses, writes'],
];

function storeProfile({ threads }: ProcessTimes, messages: number): RoleProfile {
  const stages = new Map<string, number>();
  threads.forEach(({ name, cpuMicros }, i) => {
    const named = STORE_THREADS.find(([pattern]) => pattern.test(name))?.[1] ?? `engine's thread ${name}`;
    const stage = i === 0 ? 'speaks HTTP (the main thread)' : named;
    stages.set(stage, (stages.get(stage) ?? 0) + cpuMicros);
  });
  return shares('store', stages, messages);
}

function shares(role: string, stages: ReadonlyMap<string, number>, messages: number): RoleProfile {
  const list = [...stages]
    .map(([stage, micros]) => ({ stage, cpuMicrosPerMessage: micros / Math.max(1, messages) }))
    .sort((a, b) => b.cpuMicrosPerMessage - a.cpuMicrosPerMessage);
  return { role, cpuMicrosPerMessage: list.reduce((sum, s) => sum + s.cpuMicrosPerMessage, 0), stages: list };
}

function underThread({ frames, micros }: Stack, main: boolean): Stack {
  return { frames: [{ name: main ? 'main thread' : 'worker thread', file: '' }, ...frames], micros };
}

/** Those that tell of inserts and merges. */
function selected(events: StoreEvents): Record<string, number> {
  return Object.fromEntries(
    [...events].filter(([event, value]) => value > 0 && /Merge|Insert|OSCPU|Sync|WriteBytes/.test(event)),
  );
}

function nowMicros(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

/** Stages of each role, in µs a message and as shares of all; small ones together. */
export function profileSection({ messages, roles, events }: ProfileResult): string {
  const all = roles.reduce((sum, role) => sum + role.cpuMicrosPerMessage, 0);
  const row = (role: string, stage: string, micros: number) => [
    role,
    stage,
    micros.toFixed(3),
    `${((micros / all) * 100).toFixed(1)} %`,
  ];
  const rows = roles.flatMap(({ role, cpuMicrosPerMessage, stages }) => {
    const shown = stages.filter((s) => s.cpuMicrosPerMessage / all >= SMALL);
    const rest =
      stages.reduce((sum, s) => sum + s.cpuMicrosPerMessage, 0) -
      shown.reduce((sum, s) => sum + s.cpuMicrosPerMessage, 0);
    return [
      row(`**${role}**`, '', cpuMicrosPerMessage),
      ...shown.map((s) => row('', s.stage, s.cpuMicrosPerMessage)),
      ...(rest / all >= SMALL / 10 ? [row('', 'smaller ones together', rest)] : []),
    ];
  });
  const times = (events.MergedRows ?? 0) / Math.max(1, events.InsertedRows ?? 0);
  const counters = `In that run of ${messages.toLocaleString('en')} messages the engine took in ${(events.InsertedRows ?? 0).toLocaleString('en')} rows by ${events.InsertQuery ?? 0} inserts and merged ${(events.MergedRows ?? 0).toLocaleString('en')} rows: ${times.toFixed(2)} rows for each that came in.`;
  return `${markdownTable(['process', 'what it does', 'CPU-µs/message', 'of all'], rows, 2)}\n\n${counters}`;
}

/** Of all CPU. */
const SMALL = 0.005;

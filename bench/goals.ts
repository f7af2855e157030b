import type { LatencySummary } from '../device-sim/latency.ts';
import { cpuOf, medianRound, type Report, type Round, rateOf, type SweepPoint } from './result.ts';

/** What the project wants to reach, as rows of docs/performance.md: what was reached, whether that is enough, and what bounds it. */
export interface GoalRow {
  what: string;
  atLeast: string;
  aim: string;
  reached: string;
  verdict: 'aim' | 'yes' | 'no' | '–';
  bound: string;
}

interface Goal {
  what: string;
  /** Null where it was not measured. */
  value(report: Report, scenarioBytes: number | null): number | null;
  atLeast: number;
  aim: number;
  /** Whether more is better; with less, both are upper bounds. */
  more: boolean;
  show(value: number): string;
  /** What keeps it from being better, and what of the report shows that. */
  bound: string | ((report: Report) => string);
}

const times = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)}×`;
const milliseconds = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const CHAIN = 'mosquitto-telegraf-kafka';
/** The part of the capacity at which latencies are judged. */
export const HALF = 0.5;

const GOALS: readonly Goal[] = [
  {
    what: 'QoS 1, durable (LMDB), stored and windowed, messages/s against Mosquitto → Telegraf → Kafka',
    value: (r) => ratio(rate(r, 'sluice-lmdb'), rate(r, CHAIN)),
    ...{ atLeast: 8, aim: 15, more: true, show: times },
    bound: 'The store: inserting and merging takes most of the CPU, on cores that the generator uses as well.',
  },
  {
    what: 'QoS 1 into Kafka acks=all, messages/s against the same chain',
    value: (r) => ratio(rate(r, 'door-kafka'), rate(r, CHAIN)),
    ...{ atLeast: 10, aim: 18, more: true, show: times },
    bound: 'The door and the broker share the cores with the generator; the broker’s copy of each frame comes next.',
  },
  {
    what: 'the same against Mochi and franz-go',
    value: (r) => ratio(rate(r, 'door-kafka'), rate(r, 'mochi-franz')),
    ...{ atLeast: 2.5, aim: 4, more: true, show: times },
    bound: 'As above.',
  },
  {
    what: 'CPU per message into Kafka, all processes: how many times less than the chain with Telegraf',
    value: (r) => ratio(cpu(r, CHAIN), cpu(r, 'door-kafka')),
    ...{ atLeast: 10, aim: 16, more: true, show: times },
    bound: 'Reading sockets and the broker, in equal parts.',
  },
  {
    what: 'durable PUBACKs/s of one door against Mosquitto’s (not durable), nobody subscribed',
    value: (r) => ratio(acked(r, 'door'), acked(r, 'mosquitto')),
    ...{ atLeast: 3, aim: 8, more: true, show: times },
    bound: 'One thread reads all sockets of a door, and the generator needs the other core.',
  },
  {
    what: 'ten objects a message, readings/s end to end',
    value: (r) => median(r, 'sluice-array10')?.readingsStoredPerSecond ?? null,
    ...{ atLeast: 1.5e6, aim: 3e6, more: true, show: (v: number) => `${(v / 1e6).toFixed(2)}M` },
    bound: 'The store, see “Native inserts” among the limits: it has to share the cores with everything else.',
  },
  {
    what: 'PUBACK p99 at half of capacity',
    value: (r) => half(r)?.puback?.p99Ms ?? null,
    ...{ atLeast: 20, aim: 5, more: false, show: milliseconds },
    bound: (r) =>
      `Flushes to the disk, and threads of all roles waiting for two cores, the generator’s too.${withoutDisk(r, (p) => p.puback)}`,
  },
  {
    what: 'publish → alarm event at a subscriber, p99 at half of capacity',
    value: (r) => half(r)?.alarm?.p99Ms ?? null,
    ...{ atLeast: 100, aim: 30, more: false, show: milliseconds },
    bound: (r) =>
      `Two appends that are flushed to disk, and threads of all roles waiting for two cores.${withoutDisk(r, (p) => p.alarm)}`,
  },
  {
    what: 'memory of all processes at full speed, without pages of files',
    value: (r) => ownBytes(median(r, 'sluice-lmdb')),
    ...{ atLeast: 1.2e9, aim: 0.7e9, more: false, show: (v: number) => `${(v / 1e6).toFixed(0)} MB` },
    bound:
      'What is under way in the processor, and the engine’s merges. Pages of the log that two processes map, and of programs, come on top: see “peak MB” below.',
  },
  {
    what: '10,000 idle connections: memory each',
    value: (r) => r.idle?.bytesEach ?? null,
    ...{ atLeast: 20_000, aim: 10_000, more: false, show: (v: number) => `${(v / 1000).toFixed(1)} KB` },
    bound: 'Node’s socket and its streams.',
  },
  {
    what: 'bytes on disk per reading (scenario data, after merges)',
    value: (r, scenarioBytes) => scenarioBytes ?? r.pages?.bytesPerReading ?? null,
    ...{ atLeast: 6, aim: 2, more: false, show: (v: number) => v.toFixed(2) },
    bound: 'The noise in the values; ts and names take next to nothing.',
  },
  {
    what: 'a page’s queries over a large table, p95',
    value: (r) => r.pages?.p95Ms ?? null,
    ...{ atLeast: 500, aim: 100, more: false, show: milliseconds },
    bound: 'Charts of the longest range, read from the readings themselves where there are no rollups.',
  },
];

export function goalRows(report: Report, scenarioBytes: number | null = null): GoalRow[] {
  return GOALS.map(({ what, value, atLeast, aim, more, show, bound }) => {
    const reached = value(report, scenarioBytes);
    const enough = (level: number) => reached !== null && (more ? reached >= level : reached <= level);
    const verdict = reached === null ? '–' : enough(aim) ? 'aim' : enough(atLeast) ? 'yes' : 'no';
    return {
      what,
      atLeast: show(atLeast),
      aim: show(aim),
      reached: reached === null ? 'not measured' : show(reached),
      verdict,
      bound: verdict === 'aim' || verdict === '–' ? '' : typeof bound === 'string' ? bound : bound(report),
    };
  });
}

function median(report: Report, name: string): Round | null {
  return medianRound(report.runs.find((run) => run.name === name)?.rounds ?? []);
}

function rate(report: Report, name: string): number | null {
  const round = median(report, name);
  return round === null ? null : rateOf(round);
}

function acked(report: Report, name: string): number | null {
  return median(report, name)?.ackedPerSecond ?? null;
}

/** CPU-µs per message of everything but the generator. */
function cpu(report: Report, name: string): number | null {
  const round = median(report, name);
  return round === null ? null : cpuOf(round.processes);
}

/** Older results know the whole peak only. */
function ownBytes(round: Round | null): number | null {
  return round === null
    ? null
    : round.processes.reduce(
        (sum, p) => sum + (p.name === 'generator' ? 0 : (p.ownMemoryBytes ?? p.peakMemoryBytes)),
        0,
      );
}

function half(report: Report) {
  return report.sweep?.find(({ fraction }) => fraction === HALF);
}

/** How flushes went at the same time, and how much of a latency is left with the data in memory. */
function withoutDisk(report: Report, of: (point: SweepPoint) => LatencySummary | null): string {
  const { flush, rounds } = half(report) ?? {};
  const left = report.inMemory === undefined ? null : of(report.inMemory);
  const flushes = flush
    ? ` Meanwhile a flush took ${milliseconds(flush.p99Ms)} (p99), ${milliseconds(flush.maxMs)} at most.`
    : '';
  const stopped =
    rounds === undefined || rounds.taken === rounds.all
      ? ''
      : ` In ${rounds.all - rounds.taken} of ${rounds.all} rounds, which are left out, a flush took more than 40 ms.`;
  const inMemory = left === null ? '' : ` With the data in memory it is ${milliseconds(left.p99Ms)}.`;
  return flushes + stopped + inMemory;
}

function ratio(a: number | null, b: number | null): number | null {
  return a === null || b === null || b === 0 ? null : a / b;
}

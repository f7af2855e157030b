import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Rollup } from '../model/rollup.ts';
import { WINDOW_DEFAULTS, type WindowSpec } from '../model/window.ts';
import { runOffline } from '../processors/offline/offline-engine.ts';
import { options } from '../processors/testing/run.ts';
import { frameOf, randomOf, START_MS } from '../processors/testing/scenario.ts';
import { kafkaMissing } from './kafka.ts';

/**
 * The windows of Kafka Streams over the same readings: an engine that nobody here wrote must come to the same results, out of
 * order, late and too late. What is different is the words: Kafka's *grace* is our outOfOrderMs + allowedLatenessMs; its session ends
 * with its last reading and ours gapMs later (both count lateness from there); and its time is that of a partition, so each device is
 * given a topology of its own. One thing is different in kind: Kafka Streams keeps sessions beyond their grace, and lets a late reading
 * that is taken by a live session join it with one that was over; here, as in Flink, what is over stays as it was told.
 */

const SIZE_MS = 10_000;
const HOP_MS = 2_500;
const GAP_MS = 3_000;
const OUT_OF_ORDER_MS = 1_500;
const LATENESS_MS = 6_000;
const GRACE_MS = OUT_OF_ORDER_MS + LATENESS_MS;

const common = { ...WINDOW_DEFAULTS, outOfOrderMs: OUT_OF_ORDER_MS, allowedLatenessMs: LATENESS_MS };
const WINDOWS: WindowSpec[] = [
  { ...common, kind: 'tumbling', name: 'tumbling', sizeMs: SIZE_MS },
  { ...common, kind: 'hopping', name: 'hopping', sizeMs: SIZE_MS, hopMs: HOP_MS },
  { ...common, kind: 'session', name: 'session', gapMs: GAP_MS, sizeMaxMs: 86_400_000 },
];

interface Input {
  device: string;
  tsMs: number;
  value: number;
}

/** Readings in the order of arrival. Sums of quarters are exact, so both engines must agree to the last bit. */
function inputOf(seed: number, count: number): Input[] {
  const random = randomOf(seed);
  const devices = ['a', 'b', 'c', 'd'];
  const used = new Set<string>();
  const input: Input[] = [];
  let nowMs = START_MS;
  while (input.length < count) {
    nowMs += random() < 0.02 ? Math.floor(random() * 15_000) : Math.floor(random() * 700);
    const kind = random();
    const lateMs = kind < 0.7 ? 0 : kind < 0.9 ? random() * 2_000 : kind < 0.98 ? random() * 9_000 : random() * 30_000;
    const device = devices[Math.floor(random() * devices.length)];
    const tsMs = nowMs - Math.floor(lateMs);
    // Redeliveries are told by (device, metric, ts) here and counted twice there, so there are none.
    if (used.has(`${device} ${tsMs}`)) continue;
    used.add(`${device} ${tsMs}`);
    input.push({ device, tsMs, value: Math.floor(random() * 400) / 4 });
  }
  // Time goes on until all windows are closed; what this last reading opens is not compared.
  return [...input, ...devices.map((device) => ({ device, tsMs: nowMs + 3_600_000, value: 0 }))];
}

/** [kind, device, start, end, count, sum, min, max, first, last], the end that of Kafka Streams. */
type Line = [string, string, ...number[]];

const lineOf = (r: Rollup): Line => {
  const endMs = r.window === 'session' ? r.endMs - GAP_MS : r.endMs;
  return [r.window, r.device, r.startMs, endMs, r.count, r.sum, r.min, r.max, r.first, r.last];
};

const ordered = (lines: Line[]): Line[] =>
  lines.sort((a, b) => (a[0] + a[1] < b[0] + b[1] ? -1 : a[0] + a[1] > b[0] + b[1] ? 1 : Number(a[2]) - Number(b[2])));

/** Joins sessions that are within the gap of each other: the later one came when the earlier one was over. */
function joined(sessions: readonly Line[]): Line[] {
  const out: Line[] = [];
  for (const line of sessions) {
    const before = out.at(-1);
    const [kind, device, start, end, count, sum, min, max, , last] = line as [string, string, ...number[]];
    if (before === undefined || before[1] !== device || start - Number(before[3]) >= GAP_MS) {
      out.push(line);
      continue;
    }
    const [, , s, , n, total, low, high, first] = before as [string, string, ...number[]];
    out[out.length - 1] = [
      kind,
      device,
      s,
      end,
      n + count,
      total + sum,
      Math.min(low, min),
      Math.max(high, max),
      first,
      last,
    ];
  }
  return out;
}

async function ours(input: readonly Input[], endMs: number): Promise<{ lines: Line[]; late: number }> {
  const newest = new Map<string, Rollup>();
  const random = randomOf(7);
  const frames: { partition: number; offset: number; bytes: Uint8Array }[] = [];
  for (let at = 0; at < input.length; ) {
    const some = input.slice(at, at + 1 + Math.floor(random() * 12));
    const messages = some.map(({ device, tsMs, value }) => ({
      device,
      receivedMs: START_MS + 3_600_000,
      payload: JSON.stringify({ ts: tsMs, v: value }),
    }));
    frames.push({ partition: 0, offset: frames.length, bytes: frameOf(messages) });
    at += some.length;
  }
  const counts = await runOffline({
    options: options({ windows: WINDOWS, rules: [], clockSkewMaxMs: 7_200_000 }),
    frames,
    onRollup: (r) => newest.set(`${r.window} ${r.device} ${r.startMs}`, r),
  });
  // A session that another has taken in is emitted again with nothing in it.
  const lines = ordered([...newest.values()].filter((r) => r.count > 0 && r.startMs < endMs).map(lineOf));
  return { lines, late: counts.readingsLate };
}

function theirs(input: readonly Input[], endMs: number): Line[] {
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const libs = execFileSync(here('../docker/kafka/fetch.sh'), [here('./kafka-streams/pom.xml'), 'kafka-streams'], {
    encoding: 'utf8',
  }).trim();
  const settings = [SIZE_MS, HOP_MS, GAP_MS, GRACE_MS].map(String);
  const output = execFileSync(
    'java',
    ['-Xmx256m', '-cp', `${libs}/*`, here('./kafka-streams/Windows.java'), ...settings],
    {
      input: input.map(({ device, tsMs, value }) => `${device} ${tsMs} ${value}\n`).join(''),
      encoding: 'utf8',
    },
  );
  const lines = output
    .trim()
    .split('\n')
    .map((line): Line => {
      const [kind, device, ...numbers] = line.split(' ');
      return [kind, device, ...numbers.map(Number)];
    });
  return ordered(lines.filter(([, , start]) => Number(start) < endMs));
}

const missing = kafkaMissing();
if (missing !== null && process.env.CI === 'true') throw new Error(missing);

describe(`Kafka Streams over the same readings${missing === null ? '' : ` (left out: ${missing})`}`, () => {
  it.skipIf(missing !== null)(
    'forms the same tumbling, hopping and session windows',
    { timeout: 180_000 },
    async () => {
      const input = inputOf(20_251_009, 4000);
      const endMs = Math.max(...input.map(({ tsMs }) => tsMs)) - 1_800_000;
      const [own, their] = [await ours(input, endMs), theirs(input, endMs)];
      const of = (lines: readonly Line[], kind: string) => lines.filter((line) => line[0] === kind);
      for (const kind of ['tumbling', 'hopping', 'session']) {
        expect(of(own.lines, kind).length, kind).toBeGreaterThan(400);
      }
      for (const kind of ['tumbling', 'hopping']) expect(of(own.lines, kind)).toEqual(of(their, kind));
      const sessions = of(own.lines, 'session');
      expect(joined(sessions)).toEqual(of(their, 'session'));
      expect(sessions.length - joined(sessions).length).toBeLessThan(5);
      expect(own.late).toBeGreaterThan(20);
    },
  );
});

import { setTimeout as sleep } from 'node:timers/promises';
import { LatencyRecorder, type LatencySummary } from '../device-sim/latency.ts';
import { connectPacket, publishPacket, subscribePacket } from './attack/packets.ts';
import { RawSocket } from './attack/raw-socket.ts';
import { query } from './clickhouse.ts';
import type { RunningProgram } from './program.ts';

/**
 * Marked messages among the others, published when they are due whatever the program does, to see how long it takes until
 *
 *     publish ─┬─▶ a query finds the row          asked again and again, one query at a time: an answer that knows mark n has all before
 *              └─▶ a subscriber has the event     each mark raises or clears the alarm of PROBE_SETTINGS: one event each
 *
 * Latencies count from when a message was due (no coordinated omission). Those of rows are until the answer of the query that
 * found it was here, so they hold the query itself and on average half of the pause between two.
 *
 * Rows and events are looked for in runs of their own: ten queries a second of a table that grows take a seventh of a core, which
 * would be missing from what acknowledgements and events have.
 */
export const PROBE_SETTINGS = `alarms:
  - { name: bench-mark, metric: bench_spike, above: 0.5, clear: 0.5 }
`;

const DEVICE = 'bench-probe';
const MARK_MS = 40;
/** Rows come every few hundred ms. To ask more often takes a core, and what it takes is missing from what is measured. */
const QUERY_PAUSE_MS = 100;
const PATIENCE_MS = 10_000;

export interface ProbeResult {
  /** Publish until found, of all marks that were; null when none was. */
  latency: LatencySummary | null;
  problems: string[];
}

/** Marks for so long, then waits for what is on its way. Rejects when a connection is not accepted. */
export async function probe(program: RunningProgram, seconds: number, of: 'rows' | 'events'): Promise<ProbeResult> {
  const port = Number(new URL(program.mqttUrl).port);
  const device = await connected(port, DEVICE);
  const marks = new Marks();
  const subscriber = of === 'events' ? await subscribed(port, marks) : null;
  try {
    void drain(device);
    const found = of === 'rows' ? followRows(program, marks) : null;
    await publishMarks(device, marks, seconds);
    const untilMs = performance.now() + PATIENCE_MS;
    while (marks.found < marks.count && performance.now() < untilMs) await sleep(20);
    marks.over = true;
    await found;
    return marks.result(of);
  } finally {
    device.destroy();
    subscriber?.destroy();
  }
}

/** What is on its way: marks in the order in which they were due, and by the ts that their events carry. */
class Marks {
  over = false;
  found = 0;
  readonly #due: number[] = [];
  readonly #byTs = new Map<number, number>();
  readonly #latency = new LatencyRecorder();

  get count(): number {
    return this.#due.length;
  }

  add(tsMs: number, dueMs: number): void {
    this.#byTs.set(tsMs, dueMs);
    this.#due.push(dueMs);
  }

  takeEvent(tsMs: number): void {
    const dueMs = this.#byTs.get(tsMs);
    if (dueMs === undefined) return;
    this.#byTs.delete(tsMs);
    this.found++;
    this.#latency.record(performance.now() - dueMs, 1);
  }

  takeRows(through: number): void {
    const nowMs = performance.now();
    while (this.found < through) this.#latency.record(nowMs - this.#due[this.found++], 1);
  }

  result(of: 'rows' | 'events'): ProbeResult {
    const missing = this.count - this.found;
    const problems = missing > 0 ? [`${of} of ${missing} of ${this.count} marks were not found`] : [];
    return { latency: this.#latency.summary(), problems };
  }
}

/** A subscriber that takes what comes for the marks. */
async function subscribed(port: number, marks: Marks): Promise<RawSocket> {
  const socket = await connected(port, `${DEVICE}-subscriber`);
  socket.send(subscribePacket(1, [`alarms/${DEVICE}/+`], 0));
  await socket.next();
  void followEvents(socket, marks);
  return socket;
}

async function publishMarks(device: RawSocket, marks: Marks, seconds: number): Promise<void> {
  const startMs = performance.now();
  const firstTs = Date.now();
  // An even number: the last clears the alarm, so that the next probe begins as this one did.
  const count = 2 * Math.max(1, Math.floor((seconds * 1000) / (2 * MARK_MS)));
  for (let n = 0; n < count; n++) {
    const dueMs = startMs + n * MARK_MS;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const ts = firstTs + n * MARK_MS;
    marks.add(ts, dueMs);
    const payload = `{"ts":${ts},"bench_mark":${n + 1},"bench_spike":${n % 2 === 0 ? 1 : 0}}`;
    device.send(publishPacket(`devices/${DEVICE}/telemetry`, payload, (n % 65_535) + 1));
  }
}

async function followRows(program: RunningProgram, marks: Marks): Promise<void> {
  // Those of a probe before this one are older, and numbered alike.
  const fromMs = Date.now();
  const sql = `SELECT max(value) AS mark FROM sluice.readings
    WHERE device = '${DEVICE}' AND metric = 'bench_mark' AND ts >= fromUnixTimestamp64Milli(${fromMs})`;
  while (!marks.over) {
    const [{ mark }] = await query<{ mark: number }>(program.storeUrl, sql);
    marks.takeRows(Math.min(Number(mark), marks.count));
    await sleep(QUERY_PAUSE_MS);
  }
}

async function followEvents(subscriber: RawSocket, marks: Marks): Promise<void> {
  for (let packet = await subscriber.next(); packet !== null; packet = await subscriber.next()) {
    if (packet[0] >> 4 !== 3) continue;
    const event = JSON.parse(packet.toString('utf8', packet.indexOf('{'))) as { data: { atMs: number } };
    marks.takeEvent(event.data.atMs);
  }
}

async function drain(socket: RawSocket): Promise<void> {
  while ((await socket.next()) !== null);
}

async function connected(port: number, id: string): Promise<RawSocket> {
  const socket = new RawSocket(port);
  socket.socket.setNoDelay(true);
  socket.send(connectPacket(id, null));
  const answer = await socket.next();
  if (answer !== null && answer[0] === 0x20 && answer[3] === 0) return socket;
  throw new Error(`${id} was not accepted: ${answer?.toString('hex') ?? 'closed'}`);
}

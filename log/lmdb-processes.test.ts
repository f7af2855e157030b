import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { TELEMETRY } from '../model/topics.ts';
import { type LmdbLog, type LmdbLogOptions, openLmdbLog } from './lmdb.ts';
import { Collector, Member, range, readAll, text, textOf } from './log.fixture.ts';

/** The log among processes: one that writes and may be killed, others that read. */

let dir: string;
const logs: LmdbLog[] = [];
const children: ChildProcess[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-log-'));
});
afterEach(async () => {
  await Promise.all(logs.splice(0).map((log) => log.close()));
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

async function open(options: Partial<LmdbLogOptions> = {}): Promise<LmdbLog> {
  const log = await openLmdbLog({ dir, partitions: 2, writes: [], mapBytesMax: 64 << 20, ...options });
  logs.push(log);
  return log;
}

/** Another process that runs `body` with an open, writing log, and prints lines. */
function writer(body: string): { child: ChildProcess; lines: AsyncIterableIterator<string>; ended: Promise<void> } {
  const module = new URL('../dist/log/lmdb.js', import.meta.url).href;
  const code = `
    import { openLmdbLog } from ${JSON.stringify(module)};
    const log = await openLmdbLog({ dir: ${JSON.stringify(dir)}, partitions: 2, writes: ['telemetry'], mapBytesMax: 64 << 20 });
    const append = (text) => log.append('telemetry', 0, new TextEncoder().encode(text));
    ${body}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return { child, lines: createInterface({ input: child.stdout! })[Symbol.asyncIterator](), ended };
}

it('holds all that a killed process had acknowledged, and lets the next one write at once', async () => {
  const { child, lines, ended } = writer(`
    let sent = 0;
    const lane = async () => { for (;;) { const n = sent++; await append('m' + n); console.log(n); } };
    for (let i = 0; i < 16; i++) lane();`);
  const acknowledged: string[] = [];
  for await (const line of lines) {
    acknowledged.push(line);
    if (acknowledged.length === 2000) child.kill('SIGKILL');
  }
  await ended;
  expect(acknowledged.length).toBeGreaterThanOrEqual(2000);
  const log = await open({ writes: [TELEMETRY] });
  const held = await readAll(log, TELEMETRY, 0);
  const texts = new Set(held.map(textOf));
  expect(acknowledged.filter((n) => !texts.has(`m${n}`))).toEqual([]);
  expect(texts.size).toBe(held.length);
  expect(await log.append(TELEMETRY, 0, text('after'))).toBe(held.length);
}, 240_000);

it('wakes readers in another process, also those that came before the topic', async () => {
  // The clock stands still, so that the slow poll behind the file watch cannot help.
  const log = await open({ clock: new ManualClock() });
  const tail = new Collector();
  await log.tail(TELEMETRY, { onFrames: tail.take, onError: tail.fail });
  const member = await new Member(log, 'g').start();
  expect(await log.read(TELEMETRY, 0, 0, 1000)).toEqual([]);
  expect(await log.bounds(TELEMETRY, 0)).toEqual({ first: 0, next: 0 });
  expect(await log.last(TELEMETRY, 0)).toBeNull();
  const { child } = writer(`
    import { createInterface } from 'node:readline';
    await append('first');
    for await (const line of createInterface({ input: process.stdin })) await append(line);`);
  await tail.until(1);
  for (let i = 2; i <= 20; i++) {
    child.stdin!.write(`line ${i}\n`);
    await tail.until(i);
  }
  await member.until(20);
  expect(tail.texts(0)).toEqual(['first', ...range(19).map((i) => `line ${i + 2}`)]);
  await expect(log.append(TELEMETRY, 0, text('x'))).rejects.toMatchObject({ code: 'LOG_NOT_WRITER' });
  await member.consumer.commit(0, 20);
  expect(await (await open()).committed('g', TELEMETRY)).toEqual([20, null]);
}, 240_000);

it('refuses a second writer, and names the first', async () => {
  const { child, lines } = writer(`await append('x'); console.log('up'); setInterval(() => {}, 1000);`);
  await lines.next();
  const error = await open({ writes: [TELEMETRY] }).catch((e: unknown) => e);
  expect(error).toMatchObject({ code: 'LOG_LOCKED', values: { pid: child.pid } });
  const own = await open();
  expect((await readAll(own, TELEMETRY, 0)).map(textOf)).toEqual(['x']);
}, 240_000);

it('refuses what does not fit, keeps the rest, and takes more when retention made room', async () => {
  const clock = new ManualClock(1);
  const retention = { [TELEMETRY]: { ageMs: 1000, bytesMax: null } };
  const log = await open({ writes: [TELEMETRY], mapBytesMax: 1 << 20, clock, retention });
  const results = await Promise.allSettled(range(40).map(() => log.append(TELEMETRY, 0, new Uint8Array(50_000))));
  const full = results.filter((r) => r.status === 'rejected').map((r) => r.reason as { code: string });
  expect(full.length).toBeGreaterThan(10);
  expect(full[0]).toMatchObject({ code: 'LOG_FULL', retryable: true, remedy: expect.stringContaining('retention') });
  const held = 40 - full.length;
  expect(await log.bounds(TELEMETRY, 0)).toEqual({ first: 0, next: held });
  await expect(log.append(TELEMETRY, 0, new Uint8Array(2 << 20))).rejects.toMatchObject({ code: 'FRAME_TOO_LARGE' });
  // The timer of the clock makes room, not a call.
  clock.advance(10_000);
  const tail = new Collector();
  await log.tail(TELEMETRY, { onFrames: tail.take, onError: tail.fail });
  await log.retain();
  expect(await log.bounds(TELEMETRY, 0)).toEqual({ first: held, next: held });
  for (let i = 0; i < 60; i++) {
    await log.append(TELEMETRY, 0, new Uint8Array(50_000));
    clock.advance(200);
    await log.retain();
  }
  await tail.until(60);
  expect((await log.bounds(TELEMETRY, 0)).next).toBe(held + 60);
});

it('tells a consumer how much retention took from it', async () => {
  const warnings: { message: string; values: Record<string, unknown> }[] = [];
  const clock = new ManualClock(1);
  const log = await open({
    writes: [TELEMETRY],
    clock,
    retention: { [TELEMETRY]: { ageMs: 1000, bytesMax: null } },
    onWarning: (message, values) => warnings.push({ message, values }),
  });
  await Promise.all(range(5000).map((i) => log.append(TELEMETRY, 0, text(`old ${i}`))));
  clock.advance(5000);
  await log.append(TELEMETRY, 0, text('new'));
  await log.retain();
  const member = await new Member(log, 'slow', { onAssign: async () => 10 }).start();
  await member.until(1);
  expect(member.texts(0)).toEqual(['new']);
  expect(warnings).toMatchObject([
    { values: { partition: 0, framesLost: 4990, wanted: 10, first: 5000 } },
    { values: { partition: 1 } },
  ]);
});

import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { blast } from '../device-sim/blast.ts';
import { expectExactly } from './accounted.ts';
import { eventually, type Program, startProgram } from './program.ts';
import { leftOutWithout } from './tools.ts';
import { RememberingDevice } from './torture/fleet.ts';

/** What the disk has to do with an acknowledgement: flushed before it, and no acknowledgement without room. */

const config = `
version: 1
processors: {idleMs: 2s, checkpointMs: 500ms}
windows:
  - {name: 10s, sizeMs: 10s, outOfOrderMs: 1s, allowedLatenessMs: 1h}
`;

let program: Program | undefined;
const cleanUp: (() => Promise<unknown> | unknown)[] = [];

afterEach(async () => {
  await program?.remove();
  program = undefined;
  for (const run of cleanUp.splice(0).reverse()) await run();
});

function works(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** `"n":N` as strace writes it with -xx is \x22\x6e\x22\x3a and a \x3d for each digit d. Of the system calls, those that read a PUBLISH of the device, flush, and write a PUBACK; in the order of their end. */
type Call = { kind: 'publish'; n: number } | { kind: 'flush' } | { kind: 'puback'; id: number };

function callsOf(trace: string): Call[] {
  const calls: Call[] = [];
  for (const line of trace.split('\n')) {
    const publish = /\\x22\\x6e\\x22\\x3a((?:\\x3\d)+)/.exec(line);
    if (/\b(fdatasync|fsync)\b.*= 0$/.test(line)) calls.push({ kind: 'flush' });
    else if (/(?:read|recv)/.test(line) && publish !== null) {
      calls.push({ kind: 'publish', n: Number(publish[1].replaceAll('\\x3', '')) });
    } else if (/\b(?:write|writev|sendto|sendmsg)\b/.test(line)) {
      const puback = /"\\x40\\x02\\x([0-9a-f]{2})\\x([0-9a-f]{2})"/.exec(line);
      if (puback !== null) calls.push({ kind: 'puback', id: Number.parseInt(puback[1] + puback[2], 16) });
    }
  }
  return calls;
}

const withoutStrace = leftOutWithout('strace', works('strace', '-V'));

it.skipIf(withoutStrace !== '')(
  `flushes a message to disk between reading it and acknowledging it${withoutStrace}`,
  async ({ skip }) => {
    program = await startProgram({ config });
    const door = (await program.pids()).get('door') as number;
    const file = join(program.dataDir, '..', 'trace');
    const calls = 'trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,fdatasync,fsync';
    const tracer = spawn('strace', ['-f', '-xx', '-s', '400', '-e', calls, '-o', file, '-p', String(door)]);
    let said = '';
    tracer.stderr.on('data', (chunk) => (said += chunk));
    const attached = eventually('strace to attach', async () => said.includes('attached'), 5_000);
    if (!(await attached.then(() => true).catch(() => false))) skip(`strace may not trace here: ${said.trim()}`);
    const device = new RememberingDevice('traced', Number(new URL(program.mqttUrl).port), 1);
    for (let n = 0; n < 30; n++) device.offer(`{"n":${n}}`);
    await device.drained();
    device.close();
    tracer.kill('SIGINT');
    await new Promise((resolve) => tracer.once('exit', resolve));

    const seen = callsOf(await readFile(file, 'utf8'));
    for (let n = 0; n < 30; n++) {
      const read = seen.findIndex((call) => call.kind === 'publish' && call.n === n);
      const acknowledged = seen.findIndex((call) => call.kind === 'puback' && call.id === n + 1);
      expect(read, `message ${n} in the trace`).toBeGreaterThanOrEqual(0);
      expect(acknowledged).toBeGreaterThan(read);
      expect(seen.slice(read, acknowledged).some((call) => call.kind === 'flush')).toBe(true);
    }
  },
  60_000,
);

const DISK_MIB = 160;

it('holds the devices while the disk is full, and goes on by itself when it has room again', async ({ skip }) => {
  const disk = await mkdtemp(join(tmpdir(), 'sluice-disk-'));
  cleanUp.push(() => rm(disk, { recursive: true, force: true }));
  if (!works('mount', '-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'tmpfs', disk)) {
    skip('a small file system can be mounted by root only');
  }
  cleanUp.push(() => execFileSync('umount', ['-l', disk]));
  program = await startProgram({ config, args: ['--data', join(disk, 'data')] });
  const p = program;
  const published = blast({
    url: p.mqttUrl,
    connections: 10,
    messages: 40_000,
    ratePerSecond: 10_000,
    reconnect: true,
    drainMs: 90_000,
  });
  await new Promise((resolve) => setTimeout(resolve, 500));
  // Something else fills the disk to the last byte.
  await writeFile(join(disk, 'filler'), Buffer.alloc(DISK_MIB << 20)).catch(() => undefined);
  await eventually('the door to say that the log is full', async () => p.output().includes('the log is full'));
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  await rm(join(disk, 'filler'));
  const result = await published;
  expect(result.unacknowledged).toBe(0);
  await expectExactly(p, result);
}, 240_000);

import { readFile } from 'node:fs/promises';
import { afterEach, expect, it } from 'vitest';
import { blast } from '../device-sim/blast.ts';
import { expectExactly } from './accounted.ts';
import { eventually, kill9, type Program, startProgram } from './program.ts';

/**
 * The store takes nothing while devices send more than the log may hold. Acknowledgements go on while there is room and then
 * stop, the door holds its sockets and says so, no process grows without bound, and all drains when the store is back.
 */

const MIB = 2 ** 20;
/** A message of `array10` is about 800 bytes: these are a fifth more than the log below may hold. */
const MESSAGES = 50_000;

const config = `
version: 1
mqtt: {packetBytesMax: 64KiB}
log:
  mapBytesMax: 32MiB
  inFlightBytesMax: 1MiB
  frameBytesMax: 64KiB
  retention: {bytesMax: 16MiB}
processors: {idleMs: 2s, checkpointMs: 500ms}
windows:
  - {name: 10s, sizeMs: 10s, outOfOrderMs: 1s, allowedLatenessMs: 1h}
`;

let program: Program | undefined;

afterEach(async () => {
  await program?.remove();
  program = undefined;
});

/** Resident memory that is the process's own: pages of the log's map belong to the file and come and go. */
async function ownMemoryBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

async function metric(p: Program, name: string): Promise<number> {
  const text = await (await fetch(`${p.httpUrl}/metrics`)).text();
  const values = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\d+)$`, 'gm'))];
  return values.reduce((sum, [, value]) => sum + Number(value), 0);
}

it('holds the devices and drops nothing while the store is stopped and then killed, and drains afterwards', async () => {
  program = await startProgram({ config });
  const p = program;
  const pids = await p.pids();
  const door = pids.get('door') as number;
  const processor = pids.get('processor') as number;
  const before = { door: await ownMemoryBytes(door), processor: await ownMemoryBytes(processor) };
  process.kill(pids.get('store') as number, 'SIGSTOP');

  let acknowledged = 0;
  const published = blast({
    url: p.mqttUrl,
    connections: 20,
    window: 200,
    messages: MESSAGES,
    payload: 'array10',
    drainMs: 120_000,
    onProgress: (progress) => {
      acknowledged = progress.acknowledged;
    },
  });
  await eventually('the door to say that the log is full', async () => p.output().includes('the log is full'));
  await eventually('sockets that are held', async () => (await metric(p, 'sluice_door_sockets_paused')) > 0);
  // Now nothing may be acknowledged any more: two looks a few reports apart.
  const held = await eventually('acknowledgements to stop', async () => {
    const seen = acknowledged;
    await new Promise((resolve) => setTimeout(resolve, 2_200));
    return acknowledged === seen && seen > 0 ? seen : undefined;
  });
  expect(held).toBeLessThan(MESSAGES);
  // They went on for as long as the log had room: 32 MiB of frames, less what its records take.
  expect(held * 800).toBeGreaterThan(20 * MIB);
  // What each may hold by its settings and constants: in flight 1 MiB at the door, 64 MiB of frames and their blocks at the processor.
  expect((await ownMemoryBytes(door)) - before.door).toBeLessThan(300 * MIB);
  expect((await ownMemoryBytes(processor)) - before.processor).toBeLessThan(700 * MIB);

  kill9(pids.get('store') as number);
  const result = await published;
  expect(result.unacknowledged).toBe(0);
  expect(result.acknowledged).toBe(MESSAGES);
  await expectExactly(p, result);
  expect(p.output()).toContain('the log takes frames again');
  expect((await p.pids()).get('door')).toBe(door);
  expect((await p.pids()).get('processor')).toBe(processor);
  const memory = { door: await ownMemoryBytes(door), processor: await ownMemoryBytes(processor) };
  console.info(
    `held at ${held}; MiB before/after: door ${(before.door / MIB) | 0}/${(memory.door / MIB) | 0}, processor ${(before.processor / MIB) | 0}/${(memory.processor / MIB) | 0}`,
  );
}, 180_000);

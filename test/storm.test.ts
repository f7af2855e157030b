import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type DoorProcess, startDoor } from '../bench/attack/door-process.ts';
import { connectPacket, publishPacket } from '../bench/attack/packets.ts';
import { RawSocket } from '../bench/attack/raw-socket.ts';
import { runStorm } from '../bench/attack/storm.ts';

/** The door in a process of its own, and real sockets. `npm run storm` does the same with ten thousand. */

const users = Array.from({ length: 10 }, (_, i) => ({ username: `user${i}`, password: `word${i}` }));
let folder: string;
let door: DoorProcess;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-storm-'));
  door = await startDoor(folder, users);
});
afterAll(async () => {
  await door?.stop();
  await rm(folder, { recursive: true, force: true });
});

it('a fleet that comes back all at once is served, each client of it', async () => {
  const { served, sockets } = await runStorm({ port: door.port, clients: 1000, users, deadlineMs: 25_000 });
  expect(served).toBe(1000);
  // And the door serves whoever comes after it.
  const late = new RawSocket(door.port);
  late.send(connectPacket('late', users[0]));
  expect((await late.next())?.[3]).toBe(0);
  late.send(publishPacket('devices/late/telemetry', '{"a":1}', 9));
  expect([...(await late.next())!]).toEqual([0x40, 2, 0, 9]);
  for (const socket of [...sockets, late]) socket.destroy();
});

it('half-open connections are ended in favour of clients that introduce themselves', async () => {
  const silent = Array.from({ length: 3000 }, () => new RawSocket(door.port));
  await vi.waitUntil(() => silent.filter((socket) => !socket.closed).length <= 2500, { timeout: 100_000 });
  // A connection has a second before it has to make room.
  await new Promise((resolve) => setTimeout(resolve, 1100));
  const device = new RawSocket(door.port);
  device.send(connectPacket('device', null));
  expect((await device.next())?.[3]).toBe(0);
  expect(silent.filter((socket) => !socket.closed).length).toBeLessThanOrEqual(2500);
  for (const socket of [...silent, device]) socket.destroy();
});

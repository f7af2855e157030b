import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startDoor } from './attack/door-process.ts';
import { runStorm } from './attack/storm.ts';

/** `npm run storm`: a fleet comes back all at once, and the figures of it. */
const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '10000' },
    users: { type: 'string', default: '100' },
    program: { type: 'string' },
  },
});
const clients = Number(values.clients);
const users = Array.from({ length: Number(values.users) }, (_, i) => ({ username: `user${i}`, password: `word${i}` }));
const MIB = 2 ** 20;

const door = await startDoor(tmpdir(), users, values.program);
try {
  for (const round of ['cold', 'again']) {
    const before = door.rss();
    const cpuBefore = door.cpuMs();
    let peak = before;
    const watch = setInterval(() => {
      peak = Math.max(peak, door.rss());
    }, 50);
    const { sockets, ...result } = await runStorm({ port: door.port, clients, users, deadlineMs: 120_000 });
    clearInterval(watch);
    const connected = door.rss();
    const cpuMs = door.cpuMs() - cpuBefore;
    for (const socket of sockets) socket.destroy();
    await sleep(3000);
    const mib = (bytes: number) => Math.round(bytes / MIB);
    const rss = { before: mib(before), peak: mib(peak), connected: mib(connected), after: mib(door.rss()) };
    console.log(JSON.stringify({ round, clients, users: users.length, ...result, cpuMs, rssMiB: rss }));
    if (result.served < clients) process.exitCode = 1;
  }
} finally {
  await door.stop();
}

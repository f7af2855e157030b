import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startDoor } from './attack/door-process.ts';
import { FLOODS } from './attack/floods.ts';
import { connectPacket, publishPacket } from './attack/packets.ts';
import { RawSocket } from './attack/raw-socket.ts';

/** `npm run floods`: what each flood makes the door's memory grow by, and whether it serves others meanwhile. */
const { values } = parseArgs({ options: { program: { type: 'string' }, only: { type: 'string' } } });

/** A device that comes in the middle of it; how long it takes to be served, ms, or null. */
async function oneDevice(port: number): Promise<number | null> {
  const startMs = performance.now();
  const socket = new RawSocket(port);
  const served = (async () => {
    socket.send(connectPacket('in the middle', null));
    const connack = await socket.next();
    if (connack === null || connack[3] !== 0) return null;
    socket.send(publishPacket('devices/middle/telemetry', '{"a":1}', 1));
    return (await socket.next()) === null ? null : Math.round(performance.now() - startMs);
  })();
  const answer = await Promise.race([served, sleep(5000, null, { ref: false })]);
  socket.destroy();
  return answer;
}

const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);

for (const flood of FLOODS) {
  if (values.only !== undefined && !flood.name.includes(values.only)) continue;
  const door = await startDoor(tmpdir(), [], values.program);
  const before = door.rss();
  let peak = before;
  const watch = setInterval(() => {
    peak = Math.max(peak, door.rss());
  }, 50);
  const startMs = performance.now();
  const sockets = await flood.run(door);
  const tookMs = Math.round(performance.now() - startMs);
  const others = await oneDevice(door.port);
  await sleep(500);
  clearInterval(watch);
  const open = sockets.filter((socket) => !socket.closed).length;
  for (const socket of sockets) socket.destroy();
  const figures = { before: mib(before), peak: mib(peak), grewBy: mib(peak - before) };
  console.log(
    JSON.stringify({ flood: flood.name, about: flood.about, ...figures, tookMs, open, otherServedMs: others }),
  );
  await door.stop();
}

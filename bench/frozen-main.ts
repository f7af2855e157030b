import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { startDoor } from './attack/door-process.ts';
import { connectPacket, publishPacket, subscribePacket } from './attack/packets.ts';
import { RawSocket } from './attack/raw-socket.ts';

/** `npm run frozen`: what publishers notice of a subscriber that reads nothing. Acknowledged messages a second, 20 connections. */
const { values } = parseArgs({ options: { program: { type: 'string' }, seconds: { type: 'string', default: '4' } } });

async function publish(port: number, i: number, untilMs: number): Promise<number> {
  const socket = new RawSocket(port);
  socket.send(connectPacket(`p${i}`, null));
  await socket.next();
  const burst = Buffer.concat(
    Array.from({ length: 50 }, (_, k) => publishPacket(`devices/p${i}/telemetry`, '{"temperature":21.5}', k + 1)),
  );
  let acked = 0;
  const late = setTimeout(() => socket.destroy(), untilMs - Date.now() + 500);
  while (Date.now() < untilMs && !socket.closed) {
    socket.send(burst);
    for (let k = 0; k < 50; k++) if ((await socket.next()) !== null) acked++;
  }
  clearTimeout(late);
  socket.destroy();
  return acked;
}

for (const subscribers of [['reading'], ['reading', 'frozen']]) {
  const door = await startDoor(tmpdir(), [], values.program);
  for (const name of subscribers) {
    const socket = new RawSocket(door.port);
    socket.send(connectPacket(name, null));
    await socket.next();
    socket.send(subscribePacket(1, ['devices/#'], 0));
    await socket.next();
    if (name === 'frozen') socket.socket.pause();
    else socket.socket.removeAllListeners('data').resume();
  }
  const seconds = Number(values.seconds);
  const untilMs = Date.now() + seconds * 1000;
  const acked = await Promise.all(Array.from({ length: 20 }, (_, i) => publish(door.port, i, untilMs)));
  const perSecond = Math.round(acked.reduce((a, b) => a + b, 0) / seconds);
  console.log(JSON.stringify({ subscribers, ackedPerSecond: perSecond }));
  await door.stop();
}
process.exit(0);

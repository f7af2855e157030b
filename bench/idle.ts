import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeConnect } from '../device-sim/blast-connection.ts';
import { doorAlone } from './peers/door.ts';
import { residentBytes } from './processes.ts';
import type { IdleResult } from './result.ts';

const AT_ONCE = 200;
/** Long enough for the collector to have taken what connecting left behind. */
const SETTLE_MS = 5000;
/** Connected and let go before, so that code and the first heap are not counted as theirs. */
const REHEARSAL = 500;

/** Connects devices that say nothing more, and looks at what the door holds for each. Rejects when one is not accepted. */
export async function idleConnections(connections: number, folder: string): Promise<IdleResult> {
  const door = await doorAlone('lmdb').start(folder);
  const port = Number(new URL(door.url).port);
  try {
    const pid = door.sample()[0].pid;
    for (const socket of await connectAll(port, REHEARSAL, 'rehearsal')) socket.destroy();
    await sleep(SETTLE_MS);
    const before = residentBytes(pid);
    const sockets = await connectAll(port, connections, 'idle');
    await sleep(SETTLE_MS);
    const after = residentBytes(pid);
    for (const socket of sockets) socket.destroy();
    return { connections, bytesEach: Math.max(0, after - before) / connections };
  } finally {
    await door.stop();
  }
}

async function connectAll(port: number, count: number, prefix: string): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - i) }, (_, k) => connectOne(port, `${prefix}-${i + k}`));
    sockets.push(...(await Promise.all(some)));
  }
  return sockets;
}

function connectOne(port: number, id: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => socket.write(encodeConnect(id)));
    socket.once('data', (bytes) => (bytes[3] === 0 ? resolve(socket) : reject(new Error(`${id} was refused`))));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`${id} was closed`)));
  });
}

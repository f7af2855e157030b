import { randomBytes, scryptSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, projectRoot, startChild, untilUp } from '../children.ts';
import { connectPacket, type Login } from './packets.ts';
import { RawSocket } from './raw-socket.ts';

export interface DoorProcess {
  pid: number;
  port: number;
  /** Resident memory now, bytes. */
  rss(): number;
  cpuMs(): number;
  stop(): Promise<void>;
}

/** The door alone, as `sluice run door` runs it, with users and the log on LMDB. `main` is the program, ours when it is left away. */
export async function startDoor(folder: string, users: readonly Login[], main = ownMain()): Promise<DoorProcess> {
  const own = await mkdtemp(join(folder, 'door-'));
  const [port, http, store] = await Promise.all([freePort(), freePort(), freePort()]);
  const lines = [
    'version: 1',
    `mqtt: { listen: "127.0.0.1:${port}" }`,
    `gateway: { listen: "127.0.0.1:${http}" }`,
    `store: { listen: "127.0.0.1:${store}" }`,
    'access:',
    `  users: [${users.map(userLine).join(', ')}]`,
  ];
  const config = join(own, 'sluice.yaml');
  await writeFile(config, `${lines.join('\n')}\n`);
  const args = ['--max-semi-space-size=64', main, 'run', 'door', '--config', config, '--data', join(own, 'data')];
  const child = startChild(process.execPath, args, { cwd: own });
  try {
    await untilUp(child, 'the door', async () => {
      const socket = new RawSocket(port);
      socket.send(connectPacket('is it up', null));
      const answer = await socket.next();
      socket.destroy();
      return answer !== null;
    });
  } catch (error) {
    await child.stop();
    throw error;
  }
  return {
    pid: child.pid,
    port,
    rss: () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]) * 1024,
    cpuMs: () => {
      const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return (Number(fields[11]) + Number(fields[12])) * 10;
    },
    async stop() {
      await child.stop();
      await rm(own, { recursive: true, force: true });
    },
  };
}

function ownMain(): string {
  return join(projectRoot(), 'dist/cli/main.js');
}

/** A user as the settings want it; the hash as `sluice passwd` makes it. */
function userLine({ username, password }: Login): string {
  const salt = randomBytes(16);
  const key = scryptSync(password, salt, 32, { N: 16_384, r: 8, p: 1 });
  const hash = `scrypt$16384$8$1$${salt.toString('base64')}$${key.toString('base64')}`;
  return `{ name: "${username}", passwordHash: "${hash}" }`;
}

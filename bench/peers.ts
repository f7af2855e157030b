import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Child, freePort, projectRoot, startChild, untilUp } from './children.ts';

/** Brokers that are measured in the same run, with the same generator. They acknowledge without storing anything. */
export interface Peer {
  name: string;
  about: string;
  /** Why it cannot run here; null when it can. */
  missing(): string | null;
  start(folder: string): Promise<{ child: Child; url: string }>;
}

/** The door's own setting (cli/child.ts), given to Aedes as well. */
const SEMI_SPACE_MIB = 64;

const aedes: Peer = {
  name: 'plain-aedes',
  about: `Aedes with an empty publish hook, semi-space ${SEMI_SPACE_MIB} MiB; nothing is stored`,
  missing: () => null,
  async start() {
    const port = await freePort();
    const main = join(projectRoot(), 'dist/bench/peers/aedes.js');
    const child = startChild(process.execPath, [`--max-semi-space-size=${SEMI_SPACE_MIB}`, main, String(port)]);
    await untilUp(child, 'plain Aedes', () => takesConnections(port));
    return { child, url: `mqtt://127.0.0.1:${port}` };
  },
};

const mosquitto: Peer = {
  name: 'mosquitto',
  about: 'Mosquitto, nobody subscribed; nothing is stored',
  missing: () => (mosquittoPath() === null ? 'mosquitto is not installed' : null),
  async start(folder) {
    const port = await freePort();
    const own = await mkdtemp(join(folder, 'mosquitto-'));
    const config = join(own, 'mosquitto.conf');
    const lines = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', 'set_tcp_nodelay true', 'log_type error'];
    await writeFile(config, `${lines.join('\n')}\n`);
    const child = startChild(mosquittoPath()!, ['-c', config]);
    await untilUp(child, 'mosquitto', () => takesConnections(port));
    void child.exited.then(() => rm(own, { recursive: true, force: true }));
    return { child, url: `mqtt://127.0.0.1:${port}` };
  },
};

/** Not a peer but the door itself, with its log and nobody to read it: what an acknowledgement costs without the rest. */
export const doorAlone: Peer = {
  name: 'door',
  about: 'the door alone, PUBACK after a flushed LMDB commit',
  missing: () => null,
  async start(folder) {
    const [port, http, store] = await Promise.all([freePort(), freePort(), freePort()]);
    const own = await mkdtemp(join(folder, 'door-'));
    const listen = [
      '--mqtt',
      `127.0.0.1:${port}`,
      '--http',
      `127.0.0.1:${http}`,
      '--clickhouse-http',
      `127.0.0.1:${store}`,
    ];
    const main = join(projectRoot(), 'dist/cli/main.js');
    const args = [
      `--max-semi-space-size=${SEMI_SPACE_MIB}`,
      main,
      'run',
      'door',
      '--data',
      join(own, 'data'),
      ...listen,
    ];
    const child = startChild(process.execPath, args, { cwd: own });
    await untilUp(child, 'the door', () => takesConnections(port));
    void child.exited.then(() => rm(own, { recursive: true, force: true }));
    return { child, url: `mqtt://127.0.0.1:${port}` };
  },
};

export const PEERS: readonly Peer[] = [aedes, mosquitto];

function mosquittoPath(): string | null {
  if (existsSync('/usr/sbin/mosquitto')) return '/usr/sbin/mosquitto';
  return spawnSync('mosquitto', ['-h']).error === undefined ? 'mosquitto' : null;
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

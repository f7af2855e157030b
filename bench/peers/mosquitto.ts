import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Child, freePort, projectRoot, startChild, untilUp } from '../children.ts';
import { sampleTree } from '../processes.ts';
import { ofOneProcess, ownFolder, type Peer, takesConnections } from './peer.ts';
import { startSubscriber } from './subscriber.ts';

export const mosquitto: Peer = {
  name: 'mosquitto',
  about: 'Mosquitto, nobody subscribed; nothing is stored',
  missing: mosquittoMissing,
  async start(folder) {
    const { child, port, own } = await startMosquitto(folder);
    return ofOneProcess('mosquitto', child, port, own);
  },
};

export const mosquittoSubscribed: Peer = {
  name: 'mosquitto-subscriber',
  about: 'Mosquitto with one subscriber, QoS 1; "stored" is what the subscriber has got, nothing is kept',
  missing: mosquittoMissing,
  async start(folder) {
    const { child, port, own } = await startMosquitto(folder);
    const subscriber = await startSubscriber(port, own);
    const peer = ofOneProcess('mosquitto', child, port, own);
    return {
      ...peer,
      sample: () => [...peer.sample(), ...sampleTree(subscriber.child.pid, () => 'subscriber')],
      destination: { arrived: subscriber.arrived, expected: ({ expected }) => expected.messages },
      contents: subscriber.contents,
      async stop() {
        await subscriber.child.stop();
        await peer.stop();
      },
    };
  },
};

export function mosquittoMissing(): string | null {
  return mosquittoPath() === null ? 'mosquitto is not installed' : null;
}

/** With the settings of mosquitto/mosquitto.conf, on a free port. */
export async function startMosquitto(folder: string): Promise<{ child: Child; port: number; own: string }> {
  const port = await freePort();
  const own = await ownFolder(folder, 'mosquitto');
  const config = join(own, 'mosquitto.conf');
  const settings = await readFile(join(projectRoot(), 'bench/peers/mosquitto/mosquitto.conf'), 'utf8');
  await writeFile(config, `listener ${port} 127.0.0.1\n${settings}`);
  const child = startChild(mosquittoPath()!, ['-c', config]);
  await untilUp(child, 'mosquitto', () => takesConnections(port));
  return { child, port, own };
}

function mosquittoPath(): string | null {
  if (existsSync('/usr/sbin/mosquitto')) return '/usr/sbin/mosquitto';
  return spawnSync('mosquitto', ['-h']).error === undefined ? 'mosquitto' : null;
}

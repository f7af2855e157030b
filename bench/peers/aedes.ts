import { join } from 'node:path';
import { freePort, projectRoot, startChild, untilUp } from '../children.ts';
import { ofOneProcess, type Peer, SEMI_SPACE_MIB, takesConnections } from './peer.ts';

export const aedes: Peer = {
  name: 'plain-aedes',
  about: `Aedes with an empty publish hook, semi-space ${SEMI_SPACE_MIB} MiB; nothing is stored`,
  missing: () => null,
  async start() {
    const port = await freePort();
    const main = join(projectRoot(), 'dist/bench/peers/aedes-main.js');
    const child = startChild(process.execPath, [`--max-semi-space-size=${SEMI_SPACE_MIB}`, main, String(port)]);
    await untilUp(child, 'plain Aedes', () => takesConnections(port));
    return ofOneProcess('plain-aedes', child, port);
  },
};

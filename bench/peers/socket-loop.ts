import { join } from 'node:path';
import { freePort, projectRoot, startChild, untilUp } from '../children.ts';
import { ofOneProcess, type Peer, SEMI_SPACE_MIB, takesConnections } from './peer.ts';

/** No peer but a limit: what one Node process can take in and acknowledge when it does nothing else. */
export const socketLoop: Peer = {
  name: 'socket-loop',
  about: 'the limit: Node reads sockets, finds packets and acknowledges them, and does nothing else',
  missing: () => null,
  async start() {
    const port = await freePort();
    const main = join(projectRoot(), 'dist/bench/peers/socket-loop-main.js');
    const child = startChild(process.execPath, [`--max-semi-space-size=${SEMI_SPACE_MIB}`, main, String(port)]);
    await untilUp(child, 'the socket loop', () => takesConnections(port));
    return ofOneProcess('socket-loop', child, port);
  },
};

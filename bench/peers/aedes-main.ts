import { createServer } from 'node:net';
import { Aedes } from 'aedes';

/**
 * Plain Aedes, as its readme starts it, with an empty publish hook: what the door is compared with. Nothing is stored. Run it with the
 * door's young generation, so that garbage collection is not the difference.
 *
 *     node --max-semi-space-size=32 dist/bench/peers/aedes-main.js PORT
 */
const broker = await Aedes.createBroker({ authorizePublish: (_client, _packet, done) => done(null) });
createServer((socket) => {
  socket.setNoDelay(true);
  broker.handle(socket);
}).listen(Number(process.argv[2]), '127.0.0.1', () => process.stdout.write('ready\n'));

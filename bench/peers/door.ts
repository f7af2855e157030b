import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, projectRoot, startChild, untilUp } from '../children.ts';
import { kafkaName, startKafka } from '../kafka-broker.ts';
import { sampleTree } from '../processes.ts';
import type { LogName } from '../program.ts';
import { ownFolder, type Peer, SEMI_SPACE_MIB, takesConnections } from './peer.ts';

/** Not a peer but the door itself, with its log and nobody to read it: what an acknowledgement costs without the rest. */
export function doorAlone(log: LogName): Peer {
  return {
    name: log === 'lmdb' ? 'door' : 'door-kafka',
    about: `the door alone, PUBACK after ${log === 'lmdb' ? 'a flushed LMDB commit' : 'Kafka has it (acks=all)'}`,
    missing: () => null,
    async start(folder) {
      const [port, http, store] = await Promise.all([freePort(), freePort(), freePort()]);
      const own = await ownFolder(folder, 'door');
      const kafka = log === 'kafka' ? await startKafka(join(own, 'kafka')) : null;
      const args = [`--max-semi-space-size=${SEMI_SPACE_MIB}`, join(projectRoot(), 'dist/cli/main.js'), 'run', 'door'];
      args.push('--data', join(own, 'data'), '--mqtt', `127.0.0.1:${port}`, '--http', `127.0.0.1:${http}`);
      args.push('--clickhouse-http', `127.0.0.1:${store}`);
      if (kafka) args.push('--kafka', kafka.address);
      const child = startChild(process.execPath, args, { cwd: own });
      const stop = async () => {
        await child.stop();
        await kafka?.child.stop();
        await rm(own, { recursive: true, force: true });
      };
      try {
        await untilUp(child, 'the door', () => takesConnections(port));
      } catch (error) {
        await stop();
        throw error;
      }
      return {
        url: `mqtt://127.0.0.1:${port}`,
        sample: () => [
          ...sampleTree(child.pid, () => 'door'),
          ...(kafka ? sampleTree(kafka.child.pid, kafkaName) : []),
        ],
        stop,
      };
    },
  };
}

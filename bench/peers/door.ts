import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, projectRoot, startChild, untilUp } from '../children.ts';
import { kafkaMissing, kafkaName, startKafka } from '../kafka-broker.ts';
import { sampleTree } from '../processes.ts';
import type { LogName } from '../program.ts';
import { logContents, openLogToRead } from './log-contents.ts';
import { ofParts, ownFolder, type Peer, SEMI_SPACE_MIB, takesConnections } from './peer.ts';

/** Not a peer but the door itself, with its log and nobody to read it: what an acknowledgement costs without the rest. */
export function doorAlone(log: LogName): Peer {
  return {
    name: log === 'lmdb' ? 'door' : 'door-kafka',
    about: `the door alone, PUBACK after ${log === 'lmdb' ? 'a flushed LMDB commit' : 'Kafka has it (acks=all)'}`,
    missing: () => (log === 'kafka' ? kafkaMissing() : null),
    start: (folder) =>
      ofParts(async (onStop) => {
        const [port, http, store] = await Promise.all([freePort(), freePort(), freePort()]);
        const own = await ownFolder(folder, 'door');
        onStop(() => rm(own, { recursive: true, force: true }));
        const kafka = log === 'kafka' ? await startKafka(join(own, 'kafka')) : null;
        if (kafka) onStop(() => kafka.child.stop());
        const data = join(own, 'data');
        const args = [
          `--max-semi-space-size=${SEMI_SPACE_MIB}`,
          join(projectRoot(), 'dist/cli/main.js'),
          'run',
          'door',
        ];
        args.push('--data', data, '--mqtt', `127.0.0.1:${port}`, '--http', `127.0.0.1:${http}`);
        args.push('--clickhouse-http', `127.0.0.1:${store}`);
        if (kafka) args.push('--kafka', kafka.address);
        const child = startChild(process.execPath, args, { cwd: own });
        onStop(() => child.stop());
        await untilUp(child, 'the door', () => takesConnections(port));
        const reader = await openLogToRead(join(data, 'log'), kafka?.address ?? null);
        onStop(() => reader.close());
        return {
          url: `mqtt://127.0.0.1:${port}`,
          sample: () => [
            ...sampleTree(child.pid, () => 'door'),
            ...(kafka ? sampleTree(kafka.child.pid, kafkaName) : []),
          ],
          contents: logContents(reader),
        };
      }),
  };
}

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, startChild, untilUp } from '../children.ts';
import { kafkaMissing, kafkaName, startKafka } from '../kafka-broker.ts';
import { sampleTree } from '../processes.ts';
import { goMissing, goProgram } from './go-program.ts';
import { makeTopic } from './kafka-topic.ts';
import { ofParts, ownFolder, type Peer, takesConnections } from './peer.ts';

const NOTHING = new Uint8Array(0);

/** Written by hand in Go: mochi/main.go. */
export const mochi: Peer = {
  name: 'mochi-franz',
  about: 'Mochi MQTT with a publish hook into franz-go, Kafka acks=all; PUBACK does not wait for it',
  missing: () => goMissing('mochi') ?? kafkaMissing(),
  async start(folder) {
    const program = await goProgram('mochi');
    return ofParts(async (onStop) => {
      const own = await ownFolder(folder, 'mochi');
      onStop(() => rm(own, { recursive: true, force: true }));
      const kafka = await startKafka(join(own, 'kafka'));
      onStop(() => kafka.child.stop());
      const topic = await makeTopic(kafka.address, 'peer');
      onStop(() => topic.close());
      const port = await freePort();
      const child = startChild(program, [`127.0.0.1:${port}`, kafka.address, 'peer']);
      onStop(() => child.stop(5000));
      await untilUp(child, 'Mochi', () => takesConnections(port));
      return {
        url: `mqtt://127.0.0.1:${port}`,
        sample: () => [...sampleTree(child.pid, () => 'mochi'), ...sampleTree(kafka.child.pid, kafkaName)],
        destination: { arrived: topic.records, expected: ({ expected }) => expected.messages },
        contents: topic.contents(({ key, value }, tally) => {
          tally.addPayload(String(key), value ?? NOTHING, 0, value?.length ?? 0);
        }),
      };
    });
  },
};

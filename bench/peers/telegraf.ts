import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { projectRoot, startChild } from '../children.ts';
import { kafkaMissing, kafkaName, startKafka } from '../kafka-broker.ts';
import { sampleTree } from '../processes.ts';
import { goMissing, goProgram } from './go-program.ts';
import { makeTopic } from './kafka-topic.ts';
import { mosquittoMissing, startMosquitto } from './mosquitto.ts';
import { ofParts, ownFolder, type Peer } from './peer.ts';

/** Telegraf says nothing when it has subscribed; it takes a fraction of this. */
const SUBSCRIBED_AFTER_MS = 2000;

/** What its serializer `json` makes of a metric, with the settings of telegraf.conf. */
interface TelegrafRecord {
  fields: Record<string, number | string>;
  tags: { topic: string };
  timestamp: number;
}

/** The chain that most fleets run: telegraf/telegraf.conf says how it is tuned. */
export const telegraf: Peer = {
  name: 'mosquitto-telegraf-kafka',
  about: 'Mosquitto → Telegraf 1.30 → Kafka acks=all; PUBACK is Mosquitto’s, which waits for neither',
  missing: () => mosquittoMissing() ?? goMissing('telegraf') ?? kafkaMissing(),
  async start(folder) {
    const program = await goProgram('telegraf');
    return ofParts(async (onStop) => {
      const own = await ownFolder(folder, 'telegraf');
      onStop(() => rm(own, { recursive: true, force: true }));
      const kafka = await startKafka(join(own, 'kafka'));
      onStop(() => kafka.child.stop());
      const topic = await makeTopic(kafka.address, 'peer');
      onStop(() => topic.close());
      const broker = await startMosquitto(own);
      onStop(() => broker.child.stop());
      const config = join(own, 'telegraf.conf');
      const template = await readFile(join(projectRoot(), 'bench/peers/telegraf/telegraf.conf'), 'utf8');
      await writeFile(
        config,
        fillIn(template, { MQTT_PORT: String(broker.port), KAFKA: kafka.address, TOPIC: 'peer' }),
      );
      const child = startChild(program, [config]);
      onStop(() => child.stop(5000));
      await sleep(SUBSCRIBED_AFTER_MS);
      return {
        url: `mqtt://127.0.0.1:${broker.port}`,
        sample: () => [
          ...sampleTree(broker.child.pid, () => 'mosquitto'),
          ...sampleTree(child.pid, () => 'telegraf'),
          ...sampleTree(kafka.child.pid, kafkaName),
        ],
        // Each object of a message becomes a record of its own.
        destination: {
          arrived: topic.records,
          expected: ({ expected }) => Math.max(...Object.values(expected.numbers).map(({ count }) => count)),
        },
        contents: topic.contents(({ value }, tally) => {
          const { fields, tags, timestamp } = JSON.parse(String(value)) as TelegrafRecord;
          tally.addValues(tags.topic.split('/')[1], timestamp, fields);
        }),
      };
    });
  },
};

/** Puts the values in the place of their names, which stand between quotes or after a colon in the template; comments stay. */
export function fillIn(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/^(?!\s*#).*$/gm, (line) =>
    line.replace(/MQTT_PORT|KAFKA|TOPIC/g, (name) => values[name] ?? name),
  );
}

import { Kafka, logLevel } from 'kafkajs';
import { afterAll, describe, expect, it } from 'vitest';
import { FrameReader } from '../model/frame.ts';
import { ALARMS, TELEMETRY } from '../model/topics.ts';
import { type KafkaBroker, startKafka } from '../test/kafka.ts';
import { checkpointsContract } from './checkpoints.contract.ts';
import { openKafkaLog } from './kafka.ts';
import { openKafkaCheckpoints } from './kafka-checkpoints.ts';
import { kafkaClient } from './kafka-client.ts';
import { inspectKafka } from './kafka-inspect.ts';
import { logContract, PARTITIONS } from './log.contract.ts';
import { Collector, eventually, Member, range, readAll, text, textOf } from './log.fixture.ts';
import type { Log } from './log.ts';
import type { Retention } from './retention.ts';

const started = await startKafka();
const skip = 'skip' in started ? started.skip : null;
const broker = started as KafkaBroker;
afterAll(async () => {
  if (skip === null) await broker.stop();
});

let places = 0;
/** Topics of one test. */
const freshPrefix = (): string => `test-${process.pid}-${++places}.`;

function open(
  topicPrefix: string,
  settings: { partitions?: number; retention?: Record<string, Retention> } = {},
): Promise<Log> {
  return openKafkaLog({
    brokers: [broker.brokers],
    clientId: 'test',
    topicPrefix,
    partitions: settings.partitions ?? PARTITIONS,
    retention: settings.retention,
  });
}

describe.skipIf(skip !== null)(`with a real broker${skip === null ? '' : ` (skipped: ${skip})`}`, () => {
  logContract('Kafka', {
    place: async () => {
      const prefix = freshPrefix();
      return {
        open: (settings) => open(prefix, settings),
        // The broker looks by itself, once a second.
        age: () => new Promise((resolve) => setTimeout(resolve, 200)),
        remove: async () => undefined,
      };
    },
    hugeBytes: 20 << 20,
    skips: {},
  });

  it('is looked at from outside, and changed by nothing of that', async () => {
    const prefix = freshPrefix();
    const topic = `${prefix}${TELEMETRY}`;
    const connection = { brokers: [broker.brokers], clientId: 'test' };
    const look = () => inspectKafka(connection, [topic], { id: `${prefix}group`, topic });
    const absent = { topic, partitions: 0, replicationFactor: 0, behind: null };
    expect((await look()).topics).toMatchObject([absent]);
    expect((await look()).topics).toMatchObject([absent]);
    const log = await open(prefix);
    for (let i = 0; i < 3; i++) await log.append(TELEMETRY, i % PARTITIONS, text('frame'));
    const { brokers, topics } = await look();
    expect(brokers).toBe(1);
    expect(topics).toMatchObject([
      {
        partitions: PARTITIONS,
        partitionsWithoutLeader: 0,
        partitionsUnderReplicated: 0,
        replicationFactor: 1,
        behind: 3,
      },
    ]);
    expect(Number(topics[0].config['max.message.bytes'])).toBeGreaterThan(1 << 20);
    expect(topics[0].config).toMatchObject({ 'min.insync.replicas': '1', 'cleanup.policy': 'delete' });
    await log.close();
  });

  checkpointsContract('Kafka', {
    place: async () => {
      const topicPrefix = freshPrefix();
      const connection = { brokers: [broker.brokers], clientId: 'test', topicPrefix, group: 'g' };
      return {
        open: (onDamaged, partitions) =>
          openKafkaCheckpoints({ ...connection, partitions, onDamaged, chunkBytes: 1 << 20 }),
        async damageNewest(partition) {
          // Its (last) part comes once more, with another content: what is held of it then is not what was saved.
          const producer = new Kafka({ brokers: [broker.brokers], logLevel: logLevel.NOTHING }).producer();
          await producer.connect();
          const name = `${topicPrefix}checkpoints-g`;
          const reader = kafkaClient(connection).connection();
          const end = await reader.offsetOf(name, partition, -1);
          const leaders = await reader.leaders(name);
          const node = [...leaders].find(([, led]) => led.includes(partition))![0];
          const fetched = await (await reader.broker(node)).fetch({
            maxWaitTime: 0,
            minBytes: 0,
            maxBytes: 1 << 20,
            isolationLevel: 1,
            topics: [{ topic: name, partitions: [{ partition, fetchOffset: String(end - 1), maxBytes: 1 << 20 }] }],
          });
          const record = fetched.responses[0].partitions[0].messages.at(-1)!;
          const value = Buffer.from(record.value!);
          value[value.length - 1] ^= 4;
          await producer.send({
            topic: name,
            messages: [{ partition, key: record.key, value, headers: { 'sluice-frame': '1' } }],
          });
          await producer.disconnect();
          await reader.close();
        },
        remove: async () => undefined,
      };
    },
    largeBytes: 5 << 20,
    skips: {},
  });

  describe('consumer groups', () => {
    it('shares the partitions between two members, and gives them back when one leaves', async () => {
      const prefix = freshPrefix();
      const logs = [await open(prefix), await open(prefix)];
      await Promise.all(range(40).map((i) => logs[0].append(TELEMETRY, i % PARTITIONS, text(`m${i}`))));
      const seen = new Map<string, number>();
      const held = new Map<number, string>();
      const member = (log: Log, name: string): Member =>
        new Member(log, 'pair', {
          onAssign: async (p) => {
            // Whoever had it has finished with it: no two members work at a partition at once.
            expect(held.get(p)).toBeUndefined();
            held.set(p, name);
            return (await log.committed('pair', TELEMETRY))[p];
          },
          onRevoke: async (p) => {
            await new Promise((resolve) => setTimeout(resolve, 50));
            held.delete(p);
          },
          onBatch: async function (this: void, p, frames) {
            for (const f of frames) seen.set(`${p}/${f.offset}`, (seen.get(`${p}/${f.offset}`) ?? 0) + 1);
            const self = held.get(p) === 'one' ? one : two;
            await self.consumer.commit(p, frames[frames.length - 1].offset + 1);
          },
        });
      const one = member(logs[0], 'one');
      const two = member(logs[1], 'two');
      await one.start();
      await one.until(40);
      await two.start();
      await eventually(async () => held.size === PARTITIONS && new Set(held.values()).size === 2);
      const shares = range(PARTITIONS).map((p) => held.get(p));
      expect(shares.filter((name) => name === 'one')).toHaveLength(PARTITIONS / 2);

      await Promise.all(range(40).map((i) => logs[1].append(TELEMETRY, i % PARTITIONS, text(`n${i}`))));
      await eventually(async () => one.count + two.count >= 80);
      await one.consumer.close();
      await eventually(async () => [...held.values()].filter((name) => name === 'two').length === PARTITIONS);
      await Promise.all(range(8).map((i) => logs[1].append(TELEMETRY, i % PARTITIONS, text(`o${i}`))));
      await eventually(async () => seen.size === 88);
      // Nothing was missed; and as commits were made after each batch and revocations waited for, nothing was given twice.
      expect([...seen.values()].every((times) => times === 1)).toBe(true);
      await two.consumer.close();
      await Promise.all(logs.map((log) => log.close()));
    });
  });

  describe('records of other producers', () => {
    it('gives plain records as frames of one message', async () => {
      const prefix = freshPrefix();
      const log = await open(prefix);
      await log.append(TELEMETRY, 0, text('a frame'));
      const producer = new Kafka({ brokers: [broker.brokers], logLevel: logLevel.NOTHING }).producer();
      await producer.connect();
      await producer.send({
        topic: `${prefix}${TELEMETRY}`,
        messages: [
          { partition: 0, key: 'pump-7', value: '{"rpm":1}' },
          { partition: 0, value: 'no key' },
          { partition: 0, key: Buffer.from([0xff, 0xfe]), value: 'bad key' },
          { partition: 0, key: 'a/b', value: 'no device id' },
          { partition: 0, key: 'pump-8', value: null },
        ],
      });
      await producer.disconnect();
      const frames = await readAll(log, TELEMETRY, 0);
      expect(textOf(frames[0])).toBe('a frame');
      const messages = frames.slice(1).map((frame) => {
        const reader = new FrameReader();
        reader.reset(frame.bytes);
        expect(reader.next()).toBe(true);
        expect(reader.receivedMs).toBe(frame.appendedMs);
        return [reader.device(), reader.topic(), new TextDecoder().decode(reader.payload())];
      });
      expect(messages).toEqual([
        ['pump-7', 'devices/pump-7/telemetry', '{"rpm":1}'],
        ['unknown', 'kafka/record-without-key', 'no key'],
        ['unknown', 'kafka/record-with-unusable-key', 'bad key'],
        ['unknown', 'kafka/record-with-unusable-key', 'no device id'],
        ['pump-8', 'devices/pump-8/telemetry', ''],
      ]);
      await log.close();
    });
  });

  describe('a broker that goes away', () => {
    it('holds appends until it is back, keeps their order, and doubles none', async () => {
      const prefix = freshPrefix();
      const log = await open(prefix);
      const tail = new Collector();
      await log.tail(TELEMETRY, { from: () => 0, onFrames: tail.take, onError: tail.fail });
      const member = new Member(log, 'patient');
      await member.start();
      await log.append(TELEMETRY, 0, text('0'));
      await member.until(1);
      const appends: Promise<number>[] = [];
      const more = (n: number): void => {
        for (let i = 0; i < n; i++) appends.push(log.append(TELEMETRY, 0, text(String(appends.length + 1))));
      };
      more(20);
      await broker.kill();
      more(20);
      await broker.restart();
      more(20);
      const offsets = await Promise.all(appends);
      expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
      const held = (await readAll(log, TELEMETRY, 0)).map(textOf);
      expect(held).toEqual(range(61).map(String));
      await tail.until(61);
      expect(tail.texts(0)).toEqual(held);
      await member.until(61);
      await member.consumer.commit(0, 61);
      expect((await log.committed('patient', TELEMETRY))[0]).toBe(61);
      await log.close();
      // A start of the broker is most of it.
    }, 240_000);

    it('says so when none answers at the start', async () => {
      const nowhere = openKafkaLog({ brokers: ['127.0.0.1:1'], clientId: 'test', topicPrefix: 'x.', partitions: 1 });
      await expect(nowhere).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE', retryable: true });
    });
  });

  it('refuses a frame that is larger than a topic takes', async () => {
    const log = await openKafkaLog({
      brokers: [broker.brokers],
      clientId: 'test',
      topicPrefix: freshPrefix(),
      partitions: 1,
      frameBytesMax: 1 << 20,
    });
    await expect(log.append(ALARMS, 0, new Uint8Array((1 << 20) + 1))).rejects.toMatchObject({
      code: 'FRAME_TOO_LARGE',
    });
    expect(await log.append(ALARMS, 0, new Uint8Array(1 << 20))).toBe(0);
    await log.close();
  });
});

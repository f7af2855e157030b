import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { blast } from '../../device-sim/blast.ts';
import { projectRoot } from '../children.ts';
import { ContentTally } from '../content.ts';
import { PEERS } from '../peers.ts';
import { mosquittoSubscribed } from './mosquitto.ts';
import type { RunningPeer } from './peer.ts';
import { socketLoop } from './socket-loop.ts';
import { fillIn } from './telegraf.ts';

const running: RunningPeer[] = [];
afterEach(async () => {
  for (const peer of running.splice(0)) await peer.stop();
});

describe('the peers', () => {
  it('have names of their own, and say what they are', () => {
    expect(new Set(PEERS.map(({ name }) => name)).size).toBe(PEERS.length);
    for (const { about } of PEERS) expect(about).not.toBe('');
  });

  it('acknowledge every message in a bare loop, packets cut anywhere', { timeout: 30_000 }, async () => {
    const loop = await socketLoop.start('/tmp');
    running.push(loop);
    const result = await blast({ url: loop.url, connections: 3, messages: 50_000, payload: 'array10' });
    expect(result).toMatchObject({ acknowledged: 50_000, acksUnexpected: 0, closed: [] });
    expect(loop.sample()).toMatchObject([{ name: 'socket-loop' }]);
  });

  it.skipIf(mosquittoSubscribed.missing() !== null)(
    'bring each message to a subscriber once',
    { timeout: 60_000 },
    async () => {
      const peer = await mosquittoSubscribed.start('/tmp');
      running.push(peer);
      const { arrived, expected } = peer.destination!;
      const { begin, readInto } = peer.contents!;
      // What came before is not looked at, so that nothing of it is held to be doubled.
      const blastOf = (messages: number) =>
        blast({ url: peer.url, connections: 4, messages, baseMs: 1_700_000_000_000 });
      const before = await blastOf(1_000);
      await expect.poll(arrived, { timeout: 30_000 }).toBe(expected(before));
      await begin();
      const result = await blastOf(4_000);
      await expect.poll(arrived, { timeout: 30_000 }).toBe(expected(before) + expected(result));
      const tally = new ContentTally(result);
      await readInto(tally);
      expect(tally.problems(result)).toEqual([]);
      await begin();
      await blastOf(1);
      await expect.poll(arrived, { timeout: 30_000 }).toBe(expected(before) + expected(result) + 1);
      await readInto(tally);
      expect(tally.problems(result)).toContain('temperature: 1 readings are stored twice');
    },
  );

  it('fill in settings and leave comments', async () => {
    const file = join(projectRoot(), 'bench/peers/telegraf/telegraf.conf');
    const text = fillIn(await readFile(file, 'utf8'), { MQTT_PORT: '1234', KAFKA: 'host:9', TOPIC: 'peer' });
    expect(text).toContain('servers = ["tcp://127.0.0.1:1234"]');
    expect(text).toContain('brokers = ["host:9"]');
    expect(text).toContain('topic = "peer"');
    expect(text).toContain('# Mosquitto -> Telegraf -> Kafka. MQTT_PORT');
  });
});

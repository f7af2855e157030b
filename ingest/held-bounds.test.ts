import type { MqttClient } from 'mqtt';
import type { Packet } from 'mqtt-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { collectGarbage } from '../model/collect-garbage.fixture.ts';
import { hashPassword } from './access.ts';
import { eventually, openTestDoor, settle, type TestDoor, telemetry } from './door.fixture.ts';

let door: TestDoor;
afterEach(() => door?.close());

const held = () => door.door.stats().held!;

function listen(client: MqttClient): string[] {
  const got: string[] = [];
  client.on('message', (topic, payload) => void got.push(`${topic} ${payload}`));
  return got;
}

async function retainedNow(filter: string): Promise<string[]> {
  const client = await door.client();
  const got = listen(client);
  await client.subscribeAsync(filter, { qos: 1 });
  await settle();
  return got.sort();
}

describe('retained messages', () => {
  it('are bounded for each client, in number and in bytes, and delivered all the same', async () => {
    door = await openTestDoor({ limits: { perClient: { retainedMessagesMax: 2, retainedBytesMax: 3000 } } });
    const subscriber = await door.client();
    const got = listen(subscriber);
    await subscriber.subscribeAsync('s/#', { qos: 1 });
    const device = await door.client({ clientId: 'd1' });
    const keep = (topic: string, payload: string) => device.publishAsync(topic, payload, { qos: 1, retain: true });
    for (const topic of ['s/1', 's/2', 's/3']) await keep(topic, 'x');
    await eventually(() => got.length === 3);
    expect(await retainedNow('s/#')).toEqual(['s/1 x', 's/2 x']);
    expect(held()).toMatchObject({ retainedMessages: 2, retainedMessagesRefused: 1 });
    expect(door.lines.has('message not retained')).toBe(true);
    // What is replaced or taken back makes room.
    await keep('s/1', 'y');
    await keep('s/2', '');
    await keep('s/3', 'z');
    expect(await retainedNow('s/#')).toEqual(['s/1 y', 's/3 z']);
    // A value that is too large to be kept does not leave an outdated one behind.
    await keep('s/1', 'x'.repeat(5000));
    expect(await retainedNow('s/#')).toEqual(['s/3 z']);
    // Another client has its own.
    const other = await door.client({ clientId: 'd2' });
    await other.publishAsync('s/9', 'x', { qos: 1, retain: true });
    expect(await retainedNow('s/#')).toEqual(['s/3 z', 's/9 x']);
  });

  it('are bounded in total, wills included', async () => {
    door = await openTestDoor({ limits: { total: { retainedMessagesMax: 3 } } });
    for (let i = 1; i <= 5; i++) {
      const will = { topic: `w/${i}`, payload: Buffer.from('lost'), qos: 1, retain: true };
      (await door.accepted(`d${i}`, { will })).socket.destroy();
      await eventually(() => held().retainedMessages + held().retainedMessagesRefused === i);
    }
    expect(held()).toMatchObject({ retainedMessages: 3, retainedMessagesRefused: 2 });
  });
});

describe('persistent sessions', () => {
  it('are kept a bounded queue, and the log has everything', async () => {
    door = await openTestDoor({ limits: { perClient: { offlineMessagesMax: 5 } } });
    const reader = await door.client({ clientId: 'reader', clean: false });
    await reader.subscribeAsync('devices/+/telemetry', { qos: 1 });
    await reader.endAsync();
    const device = await door.accepted('d1');
    for (let id = 1; id <= 20; id++) device.send(telemetry('d1', `${id}`, id));
    await device.until(() => device.acked.length === 20);
    await eventually(() => held().offlineMessagesDropped === 15);
    expect(held().offlineMessages).toBe(5);
    expect(door.log.messages()).toHaveLength(20);
    expect(door.lines.has('the queue of its session is full')).toBe(true);
    const again = await door.accepted('reader', { clean: false });
    await again.until(() => again.packets.filter((p) => p.cmd === 'publish').length === 5);
    const payloads = again.packets.flatMap((p) => (p.cmd === 'publish' ? [String(p.payload)] : []));
    expect(payloads).toEqual(['16', '17', '18', '19', '20']);
  });

  it('are no more than may be, and one that is known may come back', async () => {
    door = await openTestDoor({ limits: { total: { sessionsMax: 2 } } });
    const connect = (clientId: string, clean: boolean) => door.client({ clientId, clean });
    for (const id of ['a', 'b']) await (await connect(id, false)).endAsync();
    await expect(connect('c', false)).rejects.toThrow(/Server unavailable/);
    await connect('c', true);
    await connect('a', false);
    await (await connect('b', true)).endAsync(); // ends its session
    await connect('d', false);
    expect(held().sessions).toBe(2);
  });

  it('are forgotten when their client stays away', async () => {
    const clock = new ManualClock(1_700_000_000_000);
    door = await openTestDoor({ clock, limits: { sessionExpiryMs: 60_000 } });
    const session = { clientId: 'reader', clean: false };
    const reader = await door.client(session);
    await reader.subscribeAsync('news', { qos: 1 });
    clock.advance(120_000); // connected: nothing expires
    await reader.endAsync();
    await eventually(() => door.door.stats().connections === 0);
    const publisher = await door.client();
    await publisher.publishAsync('news', 'x', { qos: 1 });
    await eventually(() => held().offlineMessages === 1); // the broker acknowledges before it queues
    expect(held()).toMatchObject({ sessions: 1, subscriptions: 1 });
    clock.advance(59_000);
    expect(held().sessions).toBe(1);
    clock.advance(2000);
    await eventually(() => held().offlineMessages === 0);
    expect(held()).toMatchObject({ sessions: 0, subscriptions: 0, offlineBytes: 0 });
    const back = door.raw();
    back.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, keepalive: 0, ...session });
    expect((await back.next('connack')).sessionPresent).toBe(false);
    await publisher.publishAsync('news', 'y', { qos: 1 });
    await settle();
    expect(back.packets).toEqual([]);
  });

  it('belong to the credential that began them', async () => {
    const passwordHash = await hashPassword('secret');
    const users = ['ann', 'bob'].map((name) => ({ name, passwordHash, role: 'device' as const }));
    door = await openTestDoor({ access: { anonymous: 'loopback', users } });
    const connect = (username?: string) =>
      door.client({
        clientId: 'd1',
        clean: false,
        ...(username === undefined ? {} : { username, password: 'secret' }),
      });
    await (await connect('ann')).endAsync();
    await eventually(() => door.door.stats().connections === 0);
    await expect(connect('bob')).rejects.toThrow(/Identifier rejected/);
    await expect(connect()).rejects.toThrow(/Identifier rejected/);
    await connect('ann');
  });
});

describe('QoS 2 messages that wait for PUBREL', () => {
  const qos2 = (topic: string, payload: string, messageId: number) =>
    ({ cmd: 'publish', topic, payload, qos: 2, messageId, dup: false, retain: false }) as Packet;

  it('are bounded in total, whichever way they took: who has the most is disconnected, nobody else', async () => {
    door = await openTestDoor({ limits: { total: { handshakesMax: 10 } } });
    const modest = await door.accepted('d1');
    for (let id = 1; id <= 3; id++) modest.send(telemetry('d1', `${id}`, id, { qos: 2 }));
    await modest.until(() => modest.packets.length === 3);
    for (const topic of ['devices/d2/telemetry', 'news']) {
      const hoarder = await door.accepted('d2');
      for (let id = 1; id <= 8; id++) hoarder.send(qos2(topic, `${id}`, id));
      await hoarder.end();
      await eventually(() => held().handshakes === 3);
    }
    expect(door.lines.has('mqtt.total.handshakesMax')).toBe(true);
    for (let messageId = 1; messageId <= 3; messageId++) modest.send({ cmd: 'pubrel', messageId });
    await modest.until(() => modest.packets.length === 6);
    expect(modest.packets.map((p) => p.cmd).slice(3)).toEqual(['pubcomp', 'pubcomp', 'pubcomp']);
    expect(held().handshakes).toBe(0);
  });

  it('count for a session whose client is away, until it is forgotten for another', async () => {
    door = await openTestDoor({ limits: { total: { handshakesMax: 10 } } });
    for (const [id, messages] of [
      ['away', 6],
      ['here', 4],
    ] as const) {
      const client = await door.accepted(id, { clean: false });
      for (let i = 1; i <= messages; i++) client.send(qos2('news', `${i}`, i));
      await client.until(() => client.packets.length === messages);
      if (id === 'away') client.socket.destroy();
    }
    await eventually(() => door.door.stats().connections === 1);
    expect(held().handshakes).toBe(10);
    const third = await door.accepted('d3');
    third.send(telemetry('d3', 'x', 1, { qos: 2 }));
    await third.next('pubrec');
    expect(held().handshakes).toBe(5);
    expect(door.lines.has('QoS 2 handshakes of a session forgotten')).toBe(true);
    // What it sends again is new; what the others send again is not.
    const watcher = await door.client();
    const got = listen(watcher);
    await watcher.subscribeAsync('news', { qos: 0 });
    const back = await door.accepted('away', { clean: false });
    back.send(qos2('news', 'of the one that was away', 1));
    await back.next('pubrec');
    const here = await door.accepted('here', { clean: false });
    here.send(qos2('news', 'repeated', 4), qos2('news', 'another', 5));
    await here.until(() => here.packets.length === 2);
    await eventually(() => got.length === 2);
    expect(got).toEqual(['news of the one that was away', 'news another']);
  });

  it('cost their packet id alone', async () => {
    door = await openTestDoor();
    const client = await door.accepted('d1');
    const large = 'x'.repeat(500_000);
    const heldBytes = async () => {
      await settle();
      collectGarbage();
      await settle(); // buffers are let go of after the collection
      return process.memoryUsage().arrayBuffers;
    };
    const before = await heldBytes();
    for (let id = 1; id <= 40; id++) {
      client.send(qos2('news', large, id));
      await client.next('pubrec');
    }
    expect((await heldBytes()) - before).toBeLessThan(10 * large.length);
  });
});

describe('subscriptions', () => {
  it('are bounded for each client; further ones are told 128', async () => {
    door = await openTestDoor({ limits: { perClient: { subscriptionsMax: 3 } } });
    const client = await door.accepted('d1');
    const subscribe = async (...topics: string[]) => {
      client.send({
        cmd: 'subscribe',
        messageId: 1,
        subscriptions: topics.map((topic) => ({ topic, qos: 1 as const })),
      });
      return (await client.next('suback')).granted;
    };
    expect(await subscribe('a', 'b', 'c', 'd')).toEqual([1, 1, 1, 128]);
    expect(await subscribe('a', 'e')).toEqual([1, 128]);
    client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a'] });
    await client.next('unsuback');
    expect(await subscribe('e', 'a')).toEqual([1, 128]);
    expect(held().subscriptions).toBe(3);
    client.socket.destroy();
    await eventually(() => held().subscriptions === 0);
  });

  it('are bounded in total, those of absent clients included', async () => {
    door = await openTestDoor({ limits: { total: { subscriptionsMax: 3 } } });
    const kept = await door.client({ clientId: 'kept', clean: false });
    await kept.subscribeAsync(['a', 'b'], { qos: 1 });
    await kept.endAsync();
    await eventually(() => door.door.stats().connections === 0);
    const client = await door.accepted('d1');
    client.send({
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [
        { topic: 'x', qos: 1 },
        { topic: 'y', qos: 1 },
      ],
    });
    expect((await client.next('suback')).granted).toEqual([1, 128]);
    const back = await door.client({ clientId: 'kept', clean: false });
    const got = listen(back);
    const publisher = await door.client();
    for (const topic of ['a', 'b']) await publisher.publishAsync(topic, 'still subscribed', { qos: 1 });
    await eventually(() => got.length === 2);
  });
});

import { afterEach, describe, expect, it } from 'vitest';
import { hashPassword } from '../access.ts';
import { eventually, settle } from '../door.fixture.ts';
import {
  closeDoor,
  closes,
  field,
  freshDoor,
  messages,
  packet,
  puback,
  pubcomp,
  publish,
  pubrec,
  received,
  settled,
  subscribe,
  unsubscribe,
} from './bytes.fixture.ts';

afterEach(closeDoor);

describe('SUBSCRIBE', () => {
  it('[MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.6.1-1] other flags than 2 close the connection, for PUBREL and UNSUBSCRIBE too', async () => {
    const door = await freshDoor();
    for (const flags of [0, 1, 3, 4, 8, 10, 15]) {
      await closes(door, packet(0x80 | flags, [0, 1], field('a'), [0]));
      await closes(door, packet(0xa0 | flags, [0, 1], field('a')));
      await closes(door, packet(0x60 | flags, [0, 1]));
    }
  });

  it('[MQTT-3.8.3-1] [MQTT-3.10.3-1] filters are proper text, one behind the other', async () => {
    const door = await freshDoor();
    const bad = Buffer.from('eda080', 'hex');
    await closes(door, subscribe(1, ['a', 0], [bad, 0]));
    await closes(door, packet(0xa2, [0, 1], field('a'), field(bad)));
    await closes(door, packet(0xa2, [0, 1], field('a'), [0]));
    await closes(door, packet(0xa2, [0, 1], [0, 5], 'ab'));
    await closes(door, packet(0x82, [0, 1], field('a')));
    await closes(door, packet(0x82, [0, 1], [0, 9], 'ab', [0]));
  });

  it('[MQTT-3.8.3-3] [MQTT-3.10.3-2] a request without a filter closes the connection', async () => {
    const door = await freshDoor();
    await closes(door, packet(0x82, [0, 1]));
    await closes(door, packet(0xa2, [0, 1]));
    await closes(door, subscribe(1, ['', 0])); // [MQTT-4.7.3-1]
    await closes(door, unsubscribe(1, ''));
  });

  it('[MQTT-3.8.3-4] a QoS above 2, or any other bit beside it, closes the connection', async () => {
    const door = await freshDoor();
    for (const qos of [3, 4, 8, 16, 32, 64, 128, 0x81]) await closes(door, subscribe(1, ['a', 0], ['b', qos]));
  });

  it('[MQTT-4.7.1-2] [MQTT-4.7.1-3] a wildcard is a whole level, # the last one', async () => {
    const door = await freshDoor();
    for (const filter of ['a#', 'a/b#', '#/a', 'a/#/b', '##', 'a+', '+a', 'a/b+', 'a/+b/c', '++', '+#', '#+']) {
      await closes(door, subscribe(1, [filter, 0]));
      await closes(door, unsubscribe(1, filter));
    }
    const client = await door.accepted('c');
    const good = ['#', '+', '+/+', '/+', '+/', 'a/+/b', '+/#', 'a/#', '/#', '//', '+//+'];
    client.send(subscribe(1, ...good.map((filter): [string, number] => [filter, 1])));
    expect((await client.next('suback')).granted).toEqual(good.map(() => 1));
  });

  it('[MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.9.3-2] is answered with SUBACK of its id, and what was granted', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    client.send(subscribe(77, ['zero', 0], ['one', 1], ['two', 2], ['$share/group/t', 1]));
    expect(await client.next('suback')).toMatchObject({ messageId: 77, granted: [0, 1, 2, 128] });
  });

  it('[MQTT-3.8.4-3] the same filter again replaces the subscription, retained messages come again, and none is lost', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    const writer = await door.accepted('w');
    writer.send(publish('t', 'kept', { qos: 2, retain: true }));
    await writer.next('pubrec');
    const seen: string[] = [];
    for (const [id, qos] of [2, 2, 1, 0, 0, 2].entries()) {
      client.send(subscribe(id + 1, ['t', qos]));
      await client.next('suback');
      seen.push(...(await received(client, 1)));
      client.packets.length = 0;
    }
    expect(seen).toEqual([2, 2, 1, 0, 0, 2].map((qos) => `t kept ${qos} retain`));
    for (let i = 0; i < 30; i++) {
      writer.send(publish('t', `${i}`, { qos: 1, id: i + 1 }));
      client.send(subscribe(i + 1, ['t', i % 3])); // while messages flow
    }
    await client.until(() => messages(client).filter((m) => !m.endsWith('retain')).length >= 30);
    await settled(client);
    const live = messages(client).filter((m) => !m.endsWith('retain'));
    expect(live.map((m) => Number(m.split(' ')[1])).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 30 }, (_, i) => i),
    );
  });

  it('[MQTT-3.8.4-4] [MQTT-3.8.4-5] [MQTT-3.9.3-1] many filters have a return code each, in order, also one that stands twice', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    client.send(subscribe(1, ['a', 1], ['$share/g/x', 0], ['b', 2], ['a', 0], ['c', 0], ['$share/g/x', 2], ['b', 1]));
    expect((await client.next('suback')).granted).toEqual([1, 128, 2, 0, 0, 128, 1]);
    client.send(publish('a', 'x', { qos: 2 }), publish('b', 'x', { qos: 2, id: 2 }));
    expect((await received(client, 2)).sort()).toEqual(['a x 0', 'b x 1']);
  });

  it('[MQTT-4.7.2-1] filters that begin with a wildcard do not match names that begin with $', async () => {
    const passwordHash = await hashPassword('p');
    const door = await freshDoor({
      access: { anonymous: 'loopback', users: [{ name: 'op', passwordHash, role: 'operator' }] },
    });
    const operator = { clean: false, username: 'op', password: Buffer.from('p') };
    const [own, other] = ['$SYS/broker/own', '$SYS/broker/other'];
    const client = await door.accepted('c', operator);
    client.send(subscribe(1, ['#', 1], ['+/broker/other', 1], ['+/#', 1], [`${own}/#`, 1]));
    expect((await client.next('suback')).granted).toEqual([1, 1, 1, 1]);
    await door.door.publish(own, 'live', { qos: 1 });
    await door.door.publish(other, 'live', { qos: 1, retain: true });
    expect(await received(client, 1)).toEqual([`${own} live 1`]);
    client.send(subscribe(2, ['#', 1], ['+/broker/+', 1]));
    expect(await received(client, 1)).toEqual([`${own} live 1`]); // not the retained one either
    client.socket.destroy();
    await eventually(() => door.door.stats().connections === 0);
    await door.door.publish(own, 'away', { qos: 1 });
    await door.door.publish(other, 'away', { qos: 1 });
    const back = await door.accepted('c', operator);
    expect(await received(back, 2)).toEqual([`${own} live 1 dup`, `${own} away 1`]);
  });

  it('requests in one go are dealt with one after another', async () => {
    const door = await freshDoor();
    for (const clean of [true, false]) {
      const client = await door.accepted('c', { clean });
      const requests: Buffer[] = [];
      for (let id = 1; id <= 40; id += 2) requests.push(subscribe(id, ['t', id % 3]), unsubscribe(id + 1, 't'));
      client.send(...requests, subscribe(41, ['t', 1]));
      await client.until(() => client.packets.length === 41);
      expect(client.packets.map((p) => p.messageId)).toEqual(Array.from({ length: 41 }, (_, i) => i + 1));
      client.packets.length = 0;
      client.send(publish('t', 'x', { qos: 2, id: 9 }));
      expect(await received(client, 1)).toEqual(['t x 1']);
      client.socket.destroy();
      await client.end();
    }
  });

  it('[MQTT-4.7.3-4] nothing is normalized', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    const [composed, decomposed] = ['\u00e9', 'e\u0301'];
    client.send(subscribe(1, [composed, 0], ['a//b', 0], ['A', 0], [' ', 0]));
    await client.next('suback');
    for (const topic of [composed, decomposed, 'a/b', 'a//b', 'a', 'A', ' ', '  ', '/A'])
      client.send(publish(topic, 'x'));
    expect(await received(client, 4)).toEqual([composed, 'a//b', 'A', ' '].map((t) => `${t} x 0`));
  });
});

describe('UNSUBSCRIBE', () => {
  it('[MQTT-3.10.4-1] [MQTT-3.10.4-2] removes the filter that is equal character by character, and nothing is delivered for it', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    client.send(subscribe(1, ['a/b', 0], ['a/+', 0], ['A/b', 0]));
    await client.next('suback');
    client.send(unsubscribe(2, 'a/#'), unsubscribe(3, 'a/B'), unsubscribe(4, 'a/+'));
    for (let i = 0; i < 3; i++) await client.next('unsuback');
    client.send(publish('a/b', 'x'), publish('a/c', 'x'), publish('A/b', 'x'));
    expect(await received(client, 2)).toEqual(['a/b x 0', 'A/b x 0']);
    client.send(unsubscribe(5, 'a/b'));
    await client.next('unsuback');
    client.send(publish('a/b', 'y', { qos: 1 }));
    await client.next('puback');
    expect(await received(client, 2)).toHaveLength(2);
  });

  it('[MQTT-3.10.4-3] a delivery that has begun is finished', async () => {
    const door = await freshDoor();
    for (const clean of [true, false]) {
      const client = await door.accepted('c', { clean });
      client.send(subscribe(1, ['t', 2]), publish('t', 'two', { qos: 2 }));
      const { messageId } = await client.next('publish');
      client.send(unsubscribe(2, 't'));
      await client.next('unsuback');
      client.send(pubrec(messageId!));
      expect((await client.next('pubrel')).messageId).toBe(messageId);
      client.send(pubcomp(messageId!), puback(9));
      await settled(client);
      expect(client.closed).toBe(false);
    }
  });

  it('[MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] is answered once with its id, whether anything was removed or not', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    client.send(
      subscribe(1, ['a', 0], ['b', 0], ['c', 0]),
      unsubscribe(500, 'a', 'never', 'b', 'a'),
      unsubscribe(501, 'never'),
    );
    expect((await client.next('unsuback')).messageId).toBe(500);
    expect((await client.next('unsuback')).messageId).toBe(501);
    for (const topic of ['a', 'b', 'c']) client.send(publish(topic, 'x'));
    await settle();
    expect(await received(client, 1)).toEqual(['c x 0']);
  });
});

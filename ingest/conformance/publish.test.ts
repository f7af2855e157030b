import { afterEach, describe, expect, it } from 'vitest';
import { hashPassword } from '../access.ts';
import { type RawClient, type TestDoor, telemetry } from '../door.fixture.ts';
import {
  accepts,
  closeDoor,
  closes,
  connect,
  DISCONNECT,
  field,
  freshDoor,
  packet,
  puback,
  pubcomp,
  publish,
  pubrec,
  pubrel,
  received,
  settled,
  subscribe,
} from './bytes.fixture.ts';

afterEach(closeDoor);

async function reader(door: TestDoor, id: string, ...filters: [string, number][]): Promise<RawClient> {
  const client = await door.accepted(id);
  client.send(subscribe(1, ...filters));
  await client.next('suback');
  return client;
}

describe('PUBLISH', () => {
  it('[MQTT-3.3.1-2] [MQTT-3.3.1-4] DUP on QoS 0 and QoS 3 close the connection', async () => {
    const door = await freshDoor();
    for (const topic of ['a', 'devices/offender/telemetry']) {
      await closes(door, packet(0x38, field(topic), 'x'));
      for (const first of [0x36, 0x37, 0x3e, 0x3f]) await closes(door, packet(first, field(topic), [0, 1], 'x'));
    }
  });

  it('[MQTT-3.3.1-3] DUP of the publisher is not passed on, to clients that are there or come back', async () => {
    const door = await freshDoor();
    const seen = await reader(door, 'reader', ['#', 2]);
    const away = await door.accepted('away', { clean: false });
    away.send(subscribe(1, ['#', 2]));
    await away.next('suback');
    away.send(DISCONNECT);
    await away.end();
    const writer = await door.accepted('w');
    writer.send(publish('t', 'one', { qos: 1, dup: true }), publish('t', 'two', { qos: 2, id: 2, dup: true }));
    writer.send(telemetry('w', 'three', 3, { dup: true }));
    const expected = ['devices/w/telemetry three 1', 't one 1', 't two 2'];
    expect((await received(seen, 3)).sort()).toEqual(expected);
    const back = await door.accepted('away', { clean: false });
    expect((await received(back, 3)).sort()).toEqual(expected);
  });

  it('[MQTT-3.3.2-1] [MQTT-4.7.3-2] a topic that is no proper text, or runs out of its packet, closes the connection', async () => {
    const door = await freshDoor();
    for (const bad of [Buffer.from('c328', 'hex'), Buffer.from('610062', 'hex')]) await closes(door, publish(bad, 'x'));
    await closes(door, packet(0x30, [0, 9], 'short'));
    await closes(door, packet(0x30, [0]));
    await closes(door, packet(0x30));
  });

  it('[MQTT-3.3.2-2] [MQTT-4.7.1-1] a wildcard in a topic name closes the connection', async () => {
    const door = await freshDoor();
    for (const topic of ['+', '#', 'a/+', 'a/#', 'a+', 'a#b', 'devices/+/telemetry', 'devices/#/telemetry'])
      await closes(door, publish(topic, 'x', { qos: 1 }));
    expect(door.log.messages().filter((m) => m.device !== 'neighbour')).toEqual([]);
  });

  it('[MQTT-4.7.3-1] [MQTT-4.7.3-3] a topic has at least one character, and no more than is taken', async () => {
    const door = await freshDoor();
    await closes(door, publish('', 'x'));
    await closes(door, publish('t'.repeat(2000), 'x'));
    const seen = await reader(door, 'reader', ['#', 0]);
    for (const topic of ['/', ' ', 't'.repeat(1024), '/a//b/', 'a b']) seen.send(publish(topic, 'x'));
    expect(await received(seen, 5)).toHaveLength(5);
  });

  it('[MQTT-3.3.4-1] is answered as its QoS asks', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    for (const topic of ['t', 'devices/c/telemetry']) {
      client.send(publish(topic, '0'), publish(topic, '1', { qos: 1, id: 7 }), publish(topic, '2', { qos: 2, id: 8 }));
      expect((await client.next('puback')).messageId).toBe(7);
      expect((await client.next('pubrec')).messageId).toBe(8);
      client.send(pubrel(8));
      expect((await client.next('pubcomp')).messageId).toBe(8);
      await settled(client);
      expect(client.packets).toEqual([]);
    }
  });

  it('an empty payload is a message like any other', async () => {
    const door = await freshDoor();
    const seen = await reader(door, 'reader', ['#', 2]);
    seen.send(publish('t', ''), publish('t', '', { qos: 1 }), publish('t', '', { qos: 2, id: 2 }));
    seen.send(telemetry('d', '', 3));
    expect((await received(seen, 4)).sort()).toEqual(['devices/d/telemetry  1', 't  0', 't  1', 't  2']);
    expect(door.log.messages()).toMatchObject([{ device: 'd', payload: '' }]);
  });

  it('[MQTT-3.3.5-2] one that is not allowed closes the connection', async () => {
    const passwordHash = await hashPassword('p');
    const door = await freshDoor({
      access: { anonymous: 'loopback', users: [{ name: 'u', passwordHash, role: 'device' }] },
    });
    const flags = 2 | 128 | 64;
    for (const bad of [
      publish('elsewhere', 'x', { qos: 1 }),
      telemetry('other', 'x', 1),
      publish('elsewhere', 'x', { qos: 2 }),
    ]) {
      const client = await accepts(door, connect(flags, field('mine'), field('u'), field('p')));
      client.send(bad);
      await client.end();
      expect(client.packets).toEqual([]);
    }
    expect(door.log.messages()).toEqual([]);
  });

  it('[MQTT-4.8.0-2] one that the log cannot take for the moment closes the connection', async () => {
    const { SluiceError } = await import('../../model/errors.ts');
    const door = await freshDoor();
    for (const qos of [1, 2]) {
      const client = await door.accepted('c');
      door.log.failures.push(new SluiceError('LOG_UNAVAILABLE', 'away'));
      client.send(publish('devices/c/telemetry', 'x', { qos }));
      await client.end();
      expect(client.packets).toEqual([]);
    }
  });
});

describe('retained messages', () => {
  it('[MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-8] are kept with their QoS and sent, marked, to new subscriptions', async () => {
    const door = await freshDoor();
    const writer = await door.accepted('w');
    for (const qos of [0, 1, 2]) writer.send(publish(`r/${qos}`, 'old', { qos, id: 1 + qos, retain: true }));
    for (const qos of [0, 1, 2]) writer.send(publish(`r/${qos}`, 'new', { qos, id: 4 + qos, retain: true }));
    writer.send(publish('r/', 'empty level', { qos: 1, id: 9, retain: true }), publish('other', 'x', { retain: true }));
    await settled(writer);
    const seen = await reader(door, 'reader', ['r/+', 2]);
    const expected = ['r/ empty level 1', 'r/0 new 0', 'r/1 new 1', 'r/2 new 2'].map((m) => `${m} retain`);
    expect((await received(seen, 4)).sort()).toEqual(expected);
    const exact = await reader(door, 'exact', ['r/2', 1], ['r/#', 0]);
    expect((await received(exact, 4)).filter((m) => m.startsWith('r/2'))).toEqual(['r/2 new 1 retain']);
  });

  it('to a session that is kept they are delivered like anything else, the QoS 2 handshake included', async () => {
    const door = await freshDoor();
    const writer = await door.accepted('w');
    writer.send(publish('r', 'kept', { qos: 2, retain: true }));
    await writer.next('pubrec');
    const client = await door.accepted('reader', { clean: false });
    client.send(subscribe(1, ['r', 2]));
    const { messageId } = await client.next('publish');
    client.send(pubrec(messageId!));
    await client.next('pubrel');
    client.socket.destroy();
    await client.end();
    const again = await door.accepted('reader', { clean: false });
    expect((await again.next('pubrel')).messageId).toBe(messageId);
    again.send(pubcomp(messageId!));
    expect(await received(again, 0)).toEqual([]);
  });

  it('[MQTT-3.3.1-7] a QoS 0 one replaces the one before', async () => {
    const door = await freshDoor();
    const writer = await door.accepted('w');
    writer.send(publish('r', 'one', { qos: 1, retain: true }), publish('r', 'zero', { retain: true }));
    await settled(writer);
    expect(await received(await reader(door, 'reader', ['r', 2]), 1)).toEqual(['r zero 0 retain']);
  });

  it('[MQTT-3.3.1-9] are not marked for subscriptions that were there, also when their client was away', async () => {
    const door = await freshDoor();
    const seen = await reader(door, 'reader', ['r', 1]);
    const away = await door.accepted('away', { clean: false });
    away.send(subscribe(1, ['r', 1]));
    await away.next('suback');
    away.socket.destroy();
    await away.end();
    const writer = await door.accepted('w');
    writer.send(publish('r', 'x', { qos: 1, retain: true }));
    expect(await received(seen, 1)).toEqual(['r x 1']);
    expect(await received(await door.accepted('away', { clean: false }), 1)).toEqual(['r x 1']);
  });

  it('[MQTT-3.3.1-10] [MQTT-3.3.1-11] an empty one is delivered, removes the one before, and is not kept', async () => {
    const door = await freshDoor();
    const seen = await reader(door, 'early', ['r', 1]);
    seen.send(publish('r', 'x', { qos: 1, retain: true }), publish('r', '', { qos: 1, id: 2, retain: true }));
    expect(await received(seen, 2)).toEqual(['r x 1', 'r  1']);
    expect(await received(await reader(door, 'late', ['r', 1]), 0)).toEqual([]);
  });

  it('[MQTT-3.3.1-12] a message that is not to be retained leaves the one before alone', async () => {
    const door = await freshDoor();
    const writer = await door.accepted('w');
    writer.send(publish('r', 'kept', { retain: true }), publish('r', 'passing'), publish('r', ''));
    await settled(writer);
    expect(await received(await reader(door, 'late', ['r', 1]), 1)).toEqual(['r kept 0 retain']);
  });

  it('[MQTT-3.1.2-7] outlive the session of their publisher', async () => {
    const door = await freshDoor();
    const writer = await door.accepted('w', { clean: true });
    writer.send(publish('r', 'kept', { qos: 1, retain: true }));
    await writer.next('puback');
    writer.send(DISCONNECT);
    await writer.end();
    await door.accepted('w', { clean: true });
    expect(await received(await reader(door, 'late', ['r', 1]), 1)).toEqual(['r kept 1 retain']);
  });
});

describe('delivery', () => {
  it('[MQTT-3.3.2-3] what is delivered matches a filter', async () => {
    const door = await freshDoor();
    const seen = await reader(door, 'reader', ['a/+', 0], ['b/#', 0], ['c', 0]);
    for (const topic of ['a', 'a/', 'a/x', 'a/x/y', 'b', 'b/', 'b/x/y', 'bb', 'c', 'c/', '/c', 'C'])
      seen.send(publish(topic, 'x'));
    expect(await received(seen, 6)).toEqual(['a/', 'a/x', 'b', 'b/', 'b/x/y', 'c'].map((t) => `${t} x 0`));
  });

  it('[MQTT-3.3.5-1] with several matching filters the highest QoS counts, whichever came first', async () => {
    const door = await freshDoor();
    const clients = [
      await reader(door, 'one', ['a/b', 0], ['a/+', 1], ['#', 2]),
      await reader(door, 'two', ['#', 2], ['a/+', 0], ['a/b', 1]),
      await reader(door, 'three', ['a/b', 2], ['#', 0]),
    ];
    const writer = await door.accepted('w');
    writer.send(publish('a/b', 'x', { qos: 2 }));
    for (const client of clients) expect(await received(client, 1)).toEqual(['a/b x 2']); // once, [MQTT-3.8.4-6] holding
  });

  it('[MQTT-3.8.4-6] a message has the lower of its QoS and the one granted, for any kind of filter', async () => {
    const door = await freshDoor();
    const writer = await door.accepted('w');
    const filters = ['t/x', 't/+', '+/x', 't/#', '#'];
    for (const granted of [0, 1, 2]) {
      for (const filter of filters) {
        const seen = await reader(door, 'reader', [filter, granted]);
        for (const qos of [0, 1, 2]) writer.send(publish('t/x', `${qos}`, { qos, id: qos + 1 }), pubrel(3));
        // A QoS 0 message may overtake one that takes longer.
        expect((await received(seen, 3)).sort()).toEqual(
          [0, 1, 2].map((qos) => `t/x ${qos} ${Math.min(qos, granted)}`),
        );
        seen.socket.destroy();
        await seen.end();
      }
    }
  });

  it('[MQTT-4.3.1-1] QoS 0 is sent with QoS 0 and without DUP', async () => {
    const door = await freshDoor();
    const seen = await reader(door, 'reader', ['#', 2]);
    seen.send(publish('t', 'x'), telemetry('d', 'y'));
    expect((await received(seen, 2)).sort()).toEqual(['devices/d/telemetry y 0', 't x 0']);
  });

  it('[MQTT-4.3.2-1] QoS 1: a new id without DUP, sent once, free again after PUBACK', async () => {
    const door = await freshDoor();
    const seen = await reader(door, 'reader', ['t', 1]);
    seen.send(publish('t', 'x', { qos: 1 }));
    const { messageId, dup } = await seen.next('publish');
    expect(dup).toBe(false);
    seen.send(puback(messageId!), puback(messageId!), puback(12_345)); // twice, and unknown: no harm
    expect(await received(seen, 0)).toEqual([]);
  });

  it('[MQTT-4.3.2-2] QoS 1: after PUBACK the same id is a new message, whatever DUP says', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    for (const dup of [false, true, true]) {
      client.send(telemetry('c', `${dup}`, 5, { dup }));
      expect((await client.next('puback')).messageId).toBe(5);
    }
    expect(door.log.messages()).toHaveLength(3);
  });

  it('[MQTT-4.3.3-1] QoS 2: PUBREL for each PUBREC, also twice or for an unknown id, and PUBCOMP ends it', async () => {
    const door = await freshDoor();
    for (const clean of [true, false]) {
      const client = await door.accepted('reader', { clean });
      client.send(subscribe(1, ['t', 2]), publish('t', 'x', { qos: 2 }));
      const { messageId, dup, qos } = await client.next('publish');
      expect([dup, qos]).toEqual([false, 2]);
      for (let i = 0; i < 2; i++) {
        client.send(pubrec(messageId!));
        expect((await client.next('pubrel')).messageId).toBe(messageId);
      }
      client.send(pubcomp(messageId!), pubcomp(messageId!), pubrec(54_321));
      expect((await client.next('pubrel')).messageId).toBe(54_321);
      await settled(client);
      expect(client.closed).toBe(false);
    }
  });

  it('[MQTT-4.3.3-2] QoS 2: one message for each handshake, PUBCOMP for each PUBREL', async () => {
    const door = await freshDoor();
    const seen = await reader(door, 'reader', ['t', 0], ['devices/c/#', 0]);
    const client = await door.accepted('c');
    // The last is nobody's but the log's.
    for (const topic of ['t', 'devices/c/telemetry', 'devices/e/telemetry']) {
      for (const round of ['first', 'second']) {
        for (const dup of [false, true, false]) {
          client.send(publish(topic, round, { qos: 2, id: 3, dup }));
          expect((await client.next('pubrec')).messageId).toBe(3);
        }
        client.send(pubrel(3), pubrel(3));
        await client.next('pubcomp');
        await client.next('pubcomp');
      }
    }
    client.send(pubrel(999)); // an unknown one
    expect((await client.next('pubcomp')).messageId).toBe(999);
    expect(await received(seen, 4)).toEqual(
      ['t', 'devices/c/telemetry'].flatMap((t) => [`${t} first 0`, `${t} second 0`]),
    );
    expect(door.log.messages().map((m) => `${m.device} ${m.payload}`)).toEqual(
      ['c', 'e'].flatMap((device) => [`${device} first`, `${device} second`]),
    );
  });
});

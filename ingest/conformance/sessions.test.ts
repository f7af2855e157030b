import { afterEach, describe, expect, it } from 'vitest';
import { eventually, type RawClient, settle, type TestDoor, telemetry } from '../door.fixture.ts';
import {
  closeDoor,
  connect,
  DISCONNECT,
  field,
  freshDoor,
  messages,
  packet,
  puback,
  pubcomp,
  publish,
  pubrec,
  pubrel,
  received,
  settled,
  subscribe,
  unsubscribe,
} from './bytes.fixture.ts';

afterEach(closeDoor);

/** Connects and gives back whether a session was present. */
async function arrive(door: TestDoor, id: string, clean: boolean): Promise<{ client: RawClient; present: boolean }> {
  const client = door.raw();
  client.send(connect(clean ? 2 : 0, field(id)));
  const { sessionPresent } = await client.next('connack');
  return { client, present: sessionPresent };
}

async function leave(client: RawClient, politely = false): Promise<void> {
  if (politely) client.send(DISCONNECT);
  else client.socket.destroy();
  await client.end();
}

describe('session present', () => {
  it('[MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3] tells of a session that was kept, with subscriptions or without', async () => {
    const door = await freshDoor();
    const expected: [clean: boolean, present: boolean][] = [
      [true, false],
      [false, false],
      [false, true],
      [true, false],
      [true, false],
      [false, false],
      [false, true],
    ];
    for (const [clean, present] of expected) {
      const one = await arrive(door, 'c', clean);
      expect(one.present).toBe(present);
      await leave(one.client, true);
    }
    const { client } = await arrive(door, 'other', false);
    client.send(subscribe(1, ['t', 1]), unsubscribe(2, 't'));
    await client.next('unsuback');
    await leave(client);
    expect((await arrive(door, 'other', false)).present).toBe(true);
    expect((await arrive(door, 'other', false)).present).toBe(true); // taken over
  });
});

describe('a session that is kept', () => {
  it('[MQTT-3.1.2-4] [MQTT-4.1.0-1] goes on with its subscriptions, and is created where there is none', async () => {
    const door = await freshDoor();
    const { client } = await arrive(door, 'c', false);
    client.send(subscribe(1, ['t', 1], ['u/+', 0]));
    await client.next('suback');
    await leave(client);
    const again = await arrive(door, 'c', false);
    again.client.send(publish('t', 'x', { qos: 2 }), publish('u/1', 'x', { qos: 1, id: 2 }), telemetry('c', 'x', 3));
    expect((await received(again.client, 2)).sort()).toEqual(['t x 1', 'u/1 x 0']);
  });

  it('[MQTT-3.1.2-5] [MQTT-4.5.0-1] is kept QoS 1 and 2 messages that match while its client is away, once each', async () => {
    const door = await freshDoor();
    const { client } = await arrive(door, 'c', false);
    client.send(subscribe(1, ['t/+', 2], ['t/#', 1], ['t/', 1], ['q0', 0], ['devices/+/telemetry', 1]));
    await client.next('suback');
    await leave(client);
    const writer = await door.accepted('w');
    for (const qos of [0, 1, 2]) writer.send(publish('t/', `${qos}`, { qos, id: qos + 1 }));
    for (const qos of [1, 2]) writer.send(publish('q0', `${qos}`, { qos, id: qos + 3 }));
    writer.send(telemetry('w', 'lane', 6), publish('elsewhere', 'x', { qos: 1, id: 7 }));
    await settled(writer);
    await eventually(() => door.log.messages().length === 1);
    await settle();
    const back = await arrive(door, 'c', false);
    expect((await received(back.client, 3)).sort()).toEqual(['devices/w/telemetry lane 1', 't/ 1 1', 't/ 2 2']);
  });

  it('[MQTT-3.3.1-1] [MQTT-4.4.0-1] [MQTT-4.6.0-1] sends again what was not acknowledged: same ids, same order, DUP', async () => {
    const door = await freshDoor();
    let { client } = await arrive(door, 'c', false);
    client.send(subscribe(1, ['t', 2]));
    await client.next('suback');
    const writer = await door.accepted('w');
    for (let i = 1; i <= 6; i++) writer.send(publish('t', `${i}`, { qos: 1 + (i % 2), id: i }));
    await client.until(() => messages(client).length === 6);
    const sent = client.packets.flatMap((p) => (p.cmd === 'publish' ? [p] : []));
    client.send(puback(sent[1].messageId!), pubrec(sent[2].messageId!)); // one is done, one half
    await client.next('pubrel');
    await leave(client);
    await eventually(() => door.door.stats().connections === 1);
    writer.send(publish('t', 'new', { qos: 1, id: 7 }));
    await settled(writer);
    for (let round = 0; round < 3; round++) {
      ({ client } = await arrive(door, 'c', false));
      await client.until(() => client.packets.length >= 6);
      await settled(client);
      const again = client.packets.map((p) =>
        p.cmd === 'publish' ? `${p.payload} ${p.messageId} ${p.qos}${p.dup ? ' dup' : ''}` : `${p.cmd} ${p.messageId}`,
      );
      const ids = sent.map((p) => p.messageId);
      expect(again.slice(0, 5)).toEqual([
        `1 ${ids[0]} 2 dup`,
        `pubrel ${ids[2]}`,
        `4 ${ids[3]} 1 dup`,
        `5 ${ids[4]} 2 dup`,
        `6 ${ids[5]} 1 dup`,
      ]);
      expect(again[5]).toMatch(round === 0 ? /^new \d+ 1$/ : /^new \d+ 1 dup$/);
      expect(again).toHaveLength(6);
      expect(new Set(client.packets.map((p) => p.messageId)).size).toBe(6);
      await leave(client);
    }
    ({ client } = await arrive(door, 'c', false));
    await client.until(() => client.packets.length >= 6);
    for (const { cmd, messageId, ...rest } of [...client.packets] as {
      cmd: string;
      messageId: number;
      qos: number;
    }[]) {
      if (cmd === 'pubrel') client.send(pubcomp(messageId));
      else client.send(rest.qos === 1 ? puback(messageId) : pubrec(messageId));
    }
    await client.until(() => client.packets.filter((p) => p.cmd === 'pubrel').length === 3);
    for (const p of client.packets.slice(6)) client.send(pubcomp(p.messageId!));
    await settled(client);
    await leave(client);
    ({ client } = await arrive(door, 'c', false));
    expect(await received(client, 0)).toEqual([]);
    expect(client.packets).toEqual([]);
  });

  it('loses and doubles nothing while its client comes and goes and messages flow', async () => {
    const door = await freshDoor();
    let { client } = await arrive(door, 'c', false);
    client.send(subscribe(1, ['t', 1], ['#', 1]));
    await client.next('suback');
    const writer = await door.accepted('w');
    const seen: number[] = [];
    const take = (from: RawClient): void => {
      for (const p of from.packets.splice(0)) {
        if (p.cmd !== 'publish') continue;
        seen.push(Number(p.payload));
        from.send(puback(p.messageId!));
      }
    };
    let next = 0;
    for (let round = 0; round < 25; round++) {
      for (let i = 0; i < 8; i++) writer.send(publish('t', `${next++}`, { qos: 1, id: (next % 60_000) + 1 }));
      const again = door.raw();
      again.send(connect(0, field('c')));
      for (let i = 0; i < 8; i++) writer.send(publish('t', `${next++}`, { qos: 1, id: (next % 60_000) + 1 }));
      await again.next('connack');
      await client.end();
      take(client);
      client = again;
      await settled(client);
      take(client);
      await settled(client);
    }
    await eventually(() => {
      take(client);
      return new Set(seen).size === next;
    });
    // In order, but for what was sent again because its acknowledgement was cut off.
    const first = [...new Set(seen)];
    expect(first).toEqual(Array.from({ length: next }, (_, i) => i));
  });

  it('[MQTT-3.1.2-6] [MQTT-3.1.4-3] is gone with a clean one, and with it all that it had', async () => {
    const door = await freshDoor();
    const { client } = await arrive(door, 'c', false);
    client.send(
      subscribe(1, ['t', 2]),
      publish('t', 'x', { qos: 2 }),
      publish('devices/c/telemetry', 'once', { qos: 2, id: 2 }),
    );
    await client.until(() => client.packets.filter((p) => p.cmd === 'pubrec').length === 2);
    await client.until(() => messages(client).length === 1);
    await leave(client);
    const clean = await arrive(door, 'c', true);
    clean.client.send(publish('t', 'y', { qos: 1, id: 3 }));
    await clean.client.next('puback');
    // An open handshake is forgotten: the same id is a new message.
    clean.client.send(publish('devices/c/telemetry', 'again', { qos: 2, id: 2 }));
    await clean.client.next('pubrec');
    expect(await received(clean.client, 0)).toEqual([]);
    await leave(clean.client);
    const after = await arrive(door, 'c', false);
    expect(after.present).toBe(false);
    expect(await received(after.client, 0)).toEqual([]);
    expect(after.client.packets).toEqual([]);
    expect(door.log.messages().map((m) => m.payload)).toEqual(['once', 'again']);
  });

  it('[MQTT-4.1.0-2] lasts while its connection does, a clean one too, and not longer', async () => {
    const door = await freshDoor();
    const { client } = await arrive(door, 'c', true);
    client.send(subscribe(1, ['t', 1]));
    await client.next('suback');
    client.send(publish('t', 'x', { qos: 1 }));
    expect(await received(client, 1)).toEqual(['t x 1']);
    await leave(client);
    const again = await arrive(door, 'c', true);
    again.client.send(publish('t', 'x', { qos: 1 }));
    await again.client.next('puback');
    expect(await received(again.client, 0)).toEqual([]);
  });

  it('keeps open QoS 2 handshakes of its publisher', async () => {
    const door = await freshDoor();
    for (const topic of ['t', 'devices/c/telemetry']) {
      const { client } = await arrive(door, 'c', false);
      client.send(publish(topic, 'once', { qos: 2, id: 7 }));
      await client.next('pubrec');
      await leave(client);
      const again = await arrive(door, 'c', false);
      again.client.send(publish(topic, 'once', { qos: 2, id: 7, dup: true }));
      await again.client.next('pubrec');
      again.client.send(pubrel(7));
      await again.client.next('pubcomp');
      await leave(again.client);
    }
    expect(door.log.messages()).toHaveLength(1);
  });

  it('of MQTT 3.1 is kept too', async () => {
    const door = await freshDoor();
    const old = (): Buffer => packet(0x10, field('MQIsdp'), [3, 0, 0, 0], field('old'));
    const client = door.raw();
    client.send(old());
    await client.next('connack');
    client.send(subscribe(1, ['t', 1]));
    await client.next('suback');
    await leave(client);
    const writer = await door.accepted('w');
    writer.send(publish('t', 'x', { qos: 1 }));
    await writer.next('puback');
    const again = door.raw();
    again.send(old());
    await again.next('connack');
    expect(await received(again, 1)).toEqual(['t x 1']);
  });
});

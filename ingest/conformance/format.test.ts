import { afterEach, describe, expect, it } from 'vitest';
import { eventually, telemetry } from '../door.fixture.ts';
import {
  accepts,
  closeDoor,
  closes,
  closesUnheard,
  connect,
  DISCONNECT,
  field,
  freshDoor,
  messages,
  PINGREQ,
  packet,
  puback,
  publish,
  pubrel,
  received,
  settled,
  subscribe,
  unsubscribe,
} from './bytes.fixture.ts';

afterEach(closeDoor);

const SURROGATE = Buffer.from('61eda080', 'hex');
const OVERLONG = Buffer.from('61c0af', 'hex');

describe('data representation', () => {
  it('[MQTT-1.5.3-1] ill-formed UTF-8 and surrogates close the connection, in every text', async () => {
    const door = await freshDoor();
    for (const bad of [SURROGATE, OVERLONG, Buffer.from([0xff])]) {
      await closes(door, publish(bad, 'x'));
      await closes(door, subscribe(1, [bad, 0]));
      await closes(door, packet(0xa2, [0, 1], field(bad)));
      await closesUnheard(door, connect(2, field(bad)));
      await closesUnheard(door, connect(2 | 4, field('c'), field(bad), field('m')));
      await closesUnheard(door, connect(2 | 128, field('c'), field(bad)));
    }
  });

  it('[MQTT-1.5.3-2] U+0000 closes the connection, in every text', async () => {
    const door = await freshDoor();
    await closes(door, publish('a\0b', 'x'));
    await closes(door, subscribe(1, ['a\0', 0]));
    await closes(door, unsubscribe(1, '\0'));
    await closesUnheard(door, connect(2, field('c\0')));
    await closesUnheard(door, connect(2 | 4, field('c'), field('w\0'), field('m')));
    await closesUnheard(door, connect(2 | 128, field('c'), field('\0u')));
  });

  it('[MQTT-1.5.3-3] EF BB BF is kept in topics, filters and client ids, and means itself', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    client.send(subscribe(1, ['\ufefftopic', 0]), subscribe(2, ['topic', 0]));
    await settled(client);
    client.send(publish('\ufefftopic', 'with'), publish('topic', 'without'));
    await client.until(() => messages(client).length === 2);
    expect(messages(client)).toEqual(['\ufefftopic with 0', 'topic without 0']);
    const marked = await accepts(door, connect(2, field('\ufeffc'))); // another client than c
    await settled(marked);
    expect(client.closed).toBe(false);
    marked.send(telemetry('\ufeffc', 'm', 1));
    await marked.until(() => marked.acked.length === 1);
    expect(door.log.messages()[0].device).toBe('\ufeffc');
  });
});

describe('the fixed header', () => {
  const types: [string, number, Uint8Array][] = [
    ['PUBACK', 0x40, Buffer.from([0, 1])],
    ['PUBREC', 0x50, Buffer.from([0, 1])],
    ['PUBREL', 0x62, Buffer.from([0, 1])],
    ['PUBCOMP', 0x70, Buffer.from([0, 1])],
    ['SUBSCRIBE', 0x82, Buffer.concat([Buffer.from([0, 1]), field('a'), Buffer.from([0])])],
    ['UNSUBSCRIBE', 0xa2, Buffer.concat([Buffer.from([0, 1]), field('a')])],
    ['PINGREQ', 0xc0, Buffer.alloc(0)],
    ['DISCONNECT', 0xe0, Buffer.alloc(0)],
  ];

  it('[MQTT-2.2.2-1] the door sends reserved flags as table 2.2 has them, and takes them', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    const first: number[] = [];
    client.socket.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; at += 2 + chunk[at + 1]) first.push(chunk[at]);
    });
    client.send(...types.slice(0, 7).map(([, byte, body]) => packet(byte, body)));
    client.send(publish('x', 'y', { qos: 1 }), publish('x', 'y', { qos: 2, id: 2 }));
    await client.until(() =>
      ['pingresp', 'puback', 'pubrec', 'unsuback', 'suback'].every((cmd) => client.packets.some((p) => p.cmd === cmd)),
    );
    expect([...new Set(first)].sort()).toEqual([0x40, 0x50, 0x62, 0x70, 0x90, 0xb0, 0xd0].sort());
  });

  it('[MQTT-2.2.2-2] any other flags, and the types 0 and 15 and those of servers, close the connection', async () => {
    const door = await freshDoor();
    for (const [, byte, body] of types)
      for (let flags = 0; flags < 16; flags++)
        if (flags !== (byte & 15)) await closes(door, packet((byte & 0xf0) | flags, body));
    for (const type of [0x00, 0x20, 0x90, 0xb0, 0xd0, 0xf0]) await closes(door, packet(type, [0, 0]));
    for (let flags = 1; flags < 16; flags++) await closesUnheard(door, connect(2, field('c')).fill(0x10 | flags, 0, 1));
  });

  it('takes a remaining length of one to four bytes, also longer than it need be, and no fifth', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    client.send(subscribe(1, ['t', 0]));
    await client.next('suback');
    const sizes = [0, 1, 123, 124, 125, 16_379, 16_380, 16_381, 900_000];
    for (const size of sizes) client.send(publish('t', 'x'.repeat(size)));
    client.send(Buffer.from('3084808000000174' + '61', 'hex')); // four bytes where one would do
    await client.until(() => messages(client).length === sizes.length + 1);
    expect(client.packets.map((p) => (p as { payload: Buffer }).payload.length)).toEqual([...sizes, 1]);
    await closes(door, Buffer.from('3080808080010001', 'hex'));
  });
});

describe('packet ids', () => {
  it('[MQTT-2.3.1-1] an id of 0 or none closes the connection', async () => {
    const door = await freshDoor();
    for (const qos of [1, 2]) {
      await closes(door, publish('a', 'x', { qos, id: 0 }));
      await closes(door, publish('devices/offender/telemetry', 'x', { qos, id: 0 }));
      await closes(door, packet(0x30 | (qos << 1), field('a')));
    }
    await closes(door, subscribe(0, ['a', 0]));
    await closes(door, unsubscribe(0, 'a'));
    await closes(door, packet(0x82));
    await closes(door, pubrel(0));
    expect(door.log.messages().map((m) => m.payload)).not.toContain('x');
  });

  it('[MQTT-2.3.1-4] ids of the door are not used again while they wait, over reconnects too', async () => {
    const door = await freshDoor();
    const reader = await door.accepted('reader', { clean: false });
    reader.send(subscribe(1, ['t', 1]));
    await reader.next('suback');
    const writer = await door.accepted('writer');
    for (let i = 0; i < 200; i++) writer.send(publish('t', `${i}`, { qos: 1, id: i + 1 }));
    await reader.until(() => messages(reader).length === 200);
    const ids = reader.packets.map((p) => p.messageId!);
    expect(new Set(ids).size).toBe(200);
    expect(ids).not.toContain(0);
    reader.send(...ids.filter((_, i) => i % 2 === 0).map(puback)); // half of them are free again
    await settled(reader);
    reader.socket.destroy();
    await reader.end();
    const again = await door.accepted('reader', { clean: false });
    await again.until(() => messages(again).length === 100);
    for (let i = 0; i < 200; i++) writer.send(publish('t', `new ${i}`, { qos: 1, id: i + 1 }));
    await again.until(() => messages(again).length === 300);
    expect(new Set(again.packets.map((p) => p.messageId)).size).toBe(300);
  });

  it('[MQTT-2.3.1-5] a QoS 0 message is sent without an id, and read without one', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    client.send(subscribe(1, ['t', 2]));
    await client.next('suback');
    const chunks: Buffer[] = [];
    client.socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    client.send(publish('t', '\0\x05'));
    await client.until(() => messages(client).length === 1);
    expect(Buffer.concat(chunks).equals(publish('t', '\0\x05'))).toBe(true);
  });

  it('[MQTT-2.3.1-6] PUBACK, PUBREC, PUBREL and PUBCOMP have the id of their PUBLISH', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    client.send(publish('t', 'x', { qos: 1, id: 0x1234 }), telemetry('c', 'x', 0xffff));
    expect((await client.next('puback')).messageId).toBe(0x1234);
    expect((await client.next('puback')).messageId).toBe(0xffff);
    client.send(publish('t', 'x', { qos: 2, id: 0x8001 }));
    expect((await client.next('pubrec')).messageId).toBe(0x8001);
    client.send(pubrel(0x8001));
    expect((await client.next('pubcomp')).messageId).toBe(0x8001);
    client.send(subscribe(1, ['t', 2]), publish('t', 'x', { qos: 2, id: 9 }));
    const { messageId } = await client.next('publish');
    client.send(packet(0x50, [messageId! >>> 8, messageId! & 255]));
    expect((await client.next('pubrel')).messageId).toBe(messageId);
  });

  it('[MQTT-2.3.1-7] SUBACK and UNSUBACK have the id of their request', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    client.send(subscribe(0xfffe, ['a', 0]), unsubscribe(0xabcd, 'a'));
    expect((await client.next('suback')).messageId).toBe(0xfffe);
    expect((await client.next('unsuback')).messageId).toBe(0xabcd);
  });

  it('ids of both directions are independent of each other', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    client.send(subscribe(1, ['t', 1]));
    await client.next('suback');
    client.send(publish('t', 'one', { qos: 1, id: 1 }));
    const mine = await client.next('publish');
    client.send(publish('t', 'two', { qos: 1, id: mine.messageId! }), puback(mine.messageId!));
    await client.until(() => client.acked.length === 2);
    expect(await received(client, 1)).toEqual(['t two 1']);
  });
});

describe('control packets', () => {
  it('[MQTT-3.12.4-1] PINGREQ is answered, also while the log is slow', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    client.send(PINGREQ);
    await client.next('pingresp');
    door.log.holding = true;
    client.send(telemetry('c', 'x', 1), publish('devices/c/telemetry', 'y', { qos: 2, id: 2 }), PINGREQ);
    await client.next('pingresp');
    door.log.holding = false;
    door.log.release();
    await client.next('pubrec');
  });

  it('[MQTT-3.14.1-1] DISCONNECT with flags or a body closes the connection and keeps the will', async () => {
    const door = await freshDoor();
    const watcher = await door.accepted('watcher');
    watcher.send(subscribe(1, ['will', 0]));
    await watcher.next('suback');
    const will = { topic: 'will', payload: Buffer.from('lost'), qos: 0, retain: false };
    for (const bad of [packet(0xe1), packet(0xe0, [0])]) {
      const client = await door.accepted('c', { will });
      client.send(bad);
      await client.end();
    }
    expect(await received(watcher, 2)).toEqual(['will lost 0', 'will lost 0']);
  });

  it('[MQTT-4.8.0-1] a violation costs its own connection alone, without an answer', async () => {
    const door = await freshDoor();
    await closes(door, packet(0x36, field('a'), [0, 1]));
    expect(door.door.stats().packetsRefused).toBe(1);
    await eventually(() => door.door.stats().connections === 0);
  });

  it('what stands behind DISCONNECT is not read', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    client.send(telemetry('c', 'before', 1), DISCONNECT, telemetry('c', 'behind', 2));
    await client.end();
    await eventually(() => door.door.stats().connections === 0);
    expect(door.log.messages().map((m) => m.payload)).toEqual(['before']);
  });
});

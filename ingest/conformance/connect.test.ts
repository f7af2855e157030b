import { afterEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../model/clock.ts';
import { hashPassword } from '../access.ts';
import { eventually, type RawClient, settle, type TestDoor, telemetry } from '../door.fixture.ts';
import {
  accepts,
  closeDoor,
  closesUnheard,
  connect,
  DISCONNECT,
  field,
  freshDoor,
  messages,
  PINGREQ,
  packet,
  publish,
  received,
  refuses,
  settled,
  subscribe,
} from './bytes.fixture.ts';

afterEach(closeDoor);

const CLEAN = 2;
const WILL = 4;
const WILL_RETAIN = 32;
const PASSWORD = 64;
const USERNAME = 128;

async function watcher(door: TestDoor, filter = '#'): Promise<RawClient> {
  const client = await door.accepted('watcher');
  client.send(subscribe(1, [filter, 2]));
  await client.next('suback');
  return client;
}

describe('the packet', () => {
  it('[MQTT-3.1.0-1] any other first packet closes the connection', async () => {
    const door = await freshDoor();
    for (const first of [
      PINGREQ,
      DISCONNECT,
      telemetry('c', 'x', 1),
      subscribe(1, ['a', 0]),
      Buffer.from('GET / HTTP/1.1'),
    ])
      await closesUnheard(door, first);
    expect(door.log.messages()).toEqual([]);
  });

  it('[MQTT-3.1.0-2] a second CONNECT closes the connection', async () => {
    const door = await freshDoor();
    const client = await door.accepted('c');
    client.send(connect(CLEAN, field('c')));
    await client.end();
    const hasty = door.raw(); // both in one write
    hasty.send(connect(CLEAN, field('d')), connect(CLEAN, field('d')));
    await hasty.end();
    expect(hasty.packets.map((p) => p.cmd)).toEqual(['connack']);
  });

  it('[MQTT-3.1.2-1] an unknown protocol name closes the connection', async () => {
    const door = await freshDoor();
    for (const name of ['', 'MQT', 'mqtt', 'MQTTX', 'AMQP'])
      await closesUnheard(door, packet(0x10, field(name), [4, CLEAN, 0, 0], field('c')));
  });

  it('[MQTT-3.1.2-2] an unknown protocol level is answered with return code 1', async () => {
    const door = await freshDoor();
    for (const level of [0, 1, 2, 3, 5, 6, 0x84, 255])
      await refuses(door, packet(0x10, field('MQTT'), [level, CLEAN, 0, 0], field('c')), 1);
    for (const level of [0, 4, 5])
      await refuses(door, packet(0x10, field('MQIsdp'), [level, CLEAN, 0, 0], field('c')), 1);
  });

  it('MQTT 3.1 is spoken too', async () => {
    const door = await freshDoor();
    const client = await accepts(door, packet(0x10, field('MQIsdp'), [3, CLEAN, 0, 0], field('old')));
    client.send(telemetry('old', 'x', 1));
    await client.until(() => client.acked.length === 1);
  });

  it('[MQTT-3.1.2-3] the reserved flag closes the connection', async () => {
    const door = await freshDoor();
    await closesUnheard(door, connect(CLEAN | 1, field('c')));
  });

  it('[MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-15] flags or fields of a will without a will close the connection', async () => {
    const door = await freshDoor();
    for (const flags of [8, 16, WILL_RETAIN, 8 | WILL_RETAIN])
      await closesUnheard(door, connect(CLEAN | flags, field('c')));
    await closesUnheard(door, connect(CLEAN, field('c'), field('topic'), field('message')));
  });

  it('[MQTT-3.1.2-14] a will of QoS 3 closes the connection, 0 to 2 do not', async () => {
    const door = await freshDoor();
    for (const qos of [0, 1, 2])
      await accepts(door, connect(CLEAN | WILL | (qos << 3), field(`c${qos}`), field('w'), field('m')));
    await closesUnheard(door, connect(CLEAN | WILL | 24, field('c'), field('w'), field('m')));
  });

  it('[MQTT-3.1.2-18] [MQTT-3.1.2-19] the user name is there if its flag says so, and else not', async () => {
    const door = await freshDoor();
    await closesUnheard(door, connect(CLEAN, field('c'), field('user')));
    await closesUnheard(door, connect(CLEAN | USERNAME, field('c')));
  });

  it('[MQTT-3.1.2-20] [MQTT-3.1.2-21] [MQTT-3.1.2-22] the password is there if its flag says so, and never alone', async () => {
    const door = await freshDoor();
    await closesUnheard(door, connect(CLEAN | USERNAME, field('c'), field('user'), field('password')));
    await closesUnheard(door, connect(CLEAN | USERNAME | PASSWORD, field('c'), field('user')));
    await closesUnheard(door, connect(CLEAN | PASSWORD, field('c'), field('password')));
  });

  it('[MQTT-3.1.3-1] fields are read in their order, the password being any bytes', async () => {
    const passwordHash = await hashPassword('\0\xffsecret');
    const door = await freshDoor({
      access: { anonymous: 'never', users: [{ name: 'user', passwordHash, role: 'operator' }] },
    });
    const fields = [field('c'), field('will topic'), field('message'), field('user'), field('\0\xffsecret')];
    const flags = CLEAN | WILL | USERNAME | PASSWORD;
    const client = await accepts(door, connect(flags, ...fields));
    client.send(telemetry('c', 'x', 1));
    await client.until(() => client.acked.length === 1);
    await refuses(door, connect(flags, ...fields.slice(0, 4), field('wrong')), 4);
    await refuses(door, connect(CLEAN, field('c')), 5);
  });

  it('[MQTT-3.1.4-1] what does not conform is closed without CONNACK', async () => {
    const door = await freshDoor();
    for (const bad of [
      packet(0x10),
      packet(0x10, field('MQTT')),
      packet(0x10, field('MQTT'), [4, CLEAN, 0]),
      connect(CLEAN, Buffer.from([0])),
      connect(CLEAN, field('c'), Buffer.from([0])),
      connect(CLEAN | WILL, field('c'), field('topic')),
      connect(CLEAN | WILL, field('c'), field(''), field('m')),
      connect(CLEAN | WILL, field('c'), field('a/+'), field('m')),
    ])
      await closesUnheard(door, bad);
  });
});

describe('the client id', () => {
  it('[MQTT-3.1.3-2] names the session: another id is another client', async () => {
    const door = await freshDoor();
    const one = await door.accepted('one', { clean: false });
    one.send(subscribe(1, ['t', 1]));
    await one.next('suback');
    one.send(DISCONNECT);
    await one.end();
    const other = await accepts(door, connect(0, field('One')));
    other.send(publish('t', 'x', { qos: 1 }));
    await other.next('puback');
    expect(messages(other)).toEqual([]);
    const again = await door.accepted('one', { clean: false });
    expect(await received(again, 1)).toEqual(['t x 1']);
  });

  it('[MQTT-3.1.3-3] a CONNECT without one closes the connection', async () => {
    const door = await freshDoor();
    await closesUnheard(door, connect(CLEAN));
  });

  it('[MQTT-3.1.3-4] one that is not proper text closes the connection', async () => {
    const door = await freshDoor();
    await closesUnheard(door, connect(CLEAN, field(Buffer.from('edb080', 'hex'))));
  });

  it('[MQTT-3.1.3-5] 1 to 23 letters and digits are taken, and more', async () => {
    const door = await freshDoor();
    const all = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
    for (const id of [
      'a',
      all.slice(0, 23),
      all.slice(23, 46),
      all.slice(39),
      all,
      'with space',
      'ünïcödé',
      '__proto__',
    ])
      await accepts(door, connect(CLEAN, field(id)));
  });

  it('[MQTT-3.1.3-6] an empty one is given a unique one', async () => {
    const door = await freshDoor();
    const clients = await Promise.all([1, 2, 3].map(() => accepts(door, connect(CLEAN, field('')))));
    for (const client of clients) {
      client.send(PINGREQ);
      await client.next('pingresp'); // none has taken another's place
    }
  });

  it('[MQTT-3.1.3-7] [MQTT-3.1.3-8] an empty one without a clean session is answered with return code 2', async () => {
    const door = await freshDoor();
    await refuses(door, connect(0, field('')), 2);
    await refuses(door, packet(0x10, field('MQIsdp'), [3, CLEAN, 0, 0], field('')), 2);
  });

  it('[MQTT-3.1.3-9] one that is too long is answered with return code 2', async () => {
    const door = await freshDoor();
    await refuses(door, connect(CLEAN, field('c'.repeat(300))), 2);
  });

  it('[MQTT-3.1.3-10] [MQTT-3.1.3-11] will topic and user name are proper text', async () => {
    const door = await freshDoor();
    const bad = field(Buffer.from('c0', 'hex'));
    await closesUnheard(door, connect(CLEAN | WILL, field('c'), bad, field('m')));
    await closesUnheard(door, connect(CLEAN | USERNAME, field('c'), bad));
    // The message of a will is not text.
    await accepts(door, connect(CLEAN | WILL, field('c'), field('t'), field(Buffer.from('00c0', 'hex'))));
  });

  it('[MQTT-3.1.4-2] a second client with it ends the first one’s connection', async () => {
    const door = await freshDoor();
    const first = await door.accepted('c');
    const second = await door.accepted('c');
    await first.end();
    second.send(telemetry('c', 'x', 1));
    await second.until(() => second.acked.length === 1);
    await eventually(() => door.door.stats().connections === 1);
  });
});

describe('the answer', () => {
  it('[MQTT-3.1.4-4] is CONNACK with return code 0', async () => {
    const door = await freshDoor();
    const client = door.raw();
    const chunks: Buffer[] = [];
    client.socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    client.send(connect(CLEAN, field('c')));
    await client.next('connack');
    expect(Buffer.concat(chunks).toString('hex')).toBe('20020000');
  });

  it('[MQTT-3.1.4-5] after a refusal nothing that was sent behind CONNECT is processed', async () => {
    const door = await freshDoor({ access: { anonymous: 'never', users: [] } });
    const client = door.raw();
    client.send(connect(CLEAN, field('c')), telemetry('c', 'x', 1), subscribe(1, ['a', 0]));
    await client.end();
    expect(client.packets).toMatchObject([{ cmd: 'connack', returnCode: 5 }]);
    expect(door.log.messages()).toEqual([]);
  });

  it('what is sent behind CONNECT without waiting is processed after CONNACK', async () => {
    const door = await freshDoor();
    const client = door.raw();
    client.send(connect(CLEAN, field('c')), telemetry('c', 'x', 1), subscribe(2, ['a', 0]), PINGREQ);
    await client.until(() => client.packets.length === 4);
    expect(client.packets[0].cmd).toBe('connack');
    expect(client.packets.map((p) => p.cmd).sort()).toEqual(['connack', 'pingresp', 'puback', 'suback']);
  });

  it('[MQTT-3.2.0-1] CONNACK comes before all else, also where messages wait and keep coming', async () => {
    const door = await freshDoor();
    const writer = await door.accepted('writer');
    for (let round = 0; round < 20; round++) {
      const reader = await door.accepted('reader', { clean: false });
      reader.send(subscribe(1, ['t', 1]));
      await reader.next('suback');
      reader.socket.destroy();
      const again = door.raw();
      for (let i = 0; i < 10; i++) writer.send(publish('t', `${i}`, { qos: i % 2, id: 1 + i }));
      again.send(connect(0, field('reader')));
      for (let i = 0; i < 10; i++) writer.send(publish('t', `${i}`, { qos: i % 2, id: 1 + i }));
      await again.until(() => again.packets.length > 0);
      expect(again.packets[0].cmd).toBe('connack');
      again.socket.destroy();
      await again.end();
    }
  });

  it('[MQTT-3.2.2-4] [MQTT-3.2.2-5] a refusal says that no session is present, and closes', async () => {
    const door = await freshDoor({
      access: {
        anonymous: 'loopback',
        users: [{ name: 'u', passwordHash: await hashPassword('p'), role: 'operator' }],
      },
    });
    (await door.accepted('c', { clean: false })).socket.destroy();
    await refuses(door, connect(USERNAME | PASSWORD, field('c'), field('u'), field('wrong')), 4);
    await refuses(door, packet(0x10, field('MQTT'), [9, 0, 0, 0], field('c')), 1);
  });

  it('[MQTT-3.2.2-6] where no return code fits, the connection is closed without CONNACK', async () => {
    const door = await freshDoor();
    await closesUnheard(door, connect(CLEAN | WILL, field('c'), field('w'.repeat(2000)), field('m')));
  });
});

describe('the keep-alive', () => {
  const keepAlive = (seconds: number): Buffer =>
    packet(0x10, field('MQTT'), [4, CLEAN | WILL, 0, seconds], field('c'), field('will'), field('lost'));

  it('[MQTT-3.1.2-24] one and a half times of silence close the connection, and the will is published', async () => {
    const clock = new ManualClock(1_700_000_000_000);
    const door = await freshDoor({ clock });
    const seen = await watcher(door, 'will');
    const client = await accepts(door, keepAlive(10));
    clock.advance(14_000);
    await settled(client);
    clock.advance(14_000);
    await settled(client); // any packet counts
    clock.advance(17_000);
    await client.end();
    expect(await received(seen, 1)).toEqual(['will lost 0']);
  });

  it('a keep-alive of 0 lets a client be silent', async () => {
    const clock = new ManualClock(1_700_000_000_000);
    const door = await freshDoor({ clock });
    const client = await accepts(door, keepAlive(0));
    clock.advance(20 * 3600_000);
    await settle();
    expect(client.closed).toBe(false);
  });
});

describe('the will', () => {
  const will = (extra: object = {}) => ({
    will: { topic: 'w/t', payload: Buffer.from('lost'), qos: 1, retain: false, ...extra },
  });

  it('[MQTT-3.1.2-8] [MQTT-3.1.2-9] is published with its topic, message and QoS when the connection is lost', async () => {
    const door = await freshDoor();
    const seen = await watcher(door, 'w/#');
    for (const qos of [0, 1, 2]) (await door.accepted('c', will({ qos }))).socket.destroy();
    await seen.until(() => messages(seen).length === 3);
    expect(messages(seen)).toEqual(['w/t lost 0', 'w/t lost 1', 'w/t lost 2']);
    (await door.accepted('c', will())).send(packet(0xf0)); // a violation
    await door.accepted('d', will());
    await door.accepted('d', {}); // taken over
    (await door.accepted('e', will())).socket.end(); // a polite close without DISCONNECT
    expect(await received(seen, 6)).toHaveLength(6);
  });

  it('[MQTT-3.1.2-10] is published once', async () => {
    const door = await freshDoor();
    const seen = await watcher(door, 'w/#');
    (await door.accepted('c', { ...will(), clean: false })).socket.destroy();
    await seen.until(() => messages(seen).length === 1);
    (await door.accepted('c', { clean: false })).socket.destroy();
    await eventually(() => door.door.stats().connections === 1);
    expect(await received(seen, 1)).toHaveLength(1);
  });

  it('[MQTT-3.1.2-12] without one nothing is published', async () => {
    const door = await freshDoor();
    const seen = await watcher(door);
    (await door.accepted('c')).socket.destroy();
    await eventually(() => door.door.stats().connections === 1);
    expect(await received(seen, 0)).toEqual([]);
  });

  it('[MQTT-3.1.2-16] [MQTT-3.1.2-17] is retained if it says so, and else not', async () => {
    const door = await freshDoor();
    (await door.accepted('c', will({ topic: 'w/plain' }))).socket.destroy();
    (await door.accepted('c', will({ topic: 'w/kept', retain: true }))).socket.destroy();
    await eventually(() => door.door.stats().connections === 0);
    await settle();
    const late = await watcher(door, 'w/#');
    expect(await received(late, 1)).toEqual(['w/kept lost 1 retain']);
  });

  it('[MQTT-3.14.4-3] is discarded by DISCONNECT', async () => {
    const door = await freshDoor();
    const seen = await watcher(door);
    (await door.accepted('c', will())).send(DISCONNECT);
    await eventually(() => door.door.stats().connections === 1);
    expect(await received(seen, 0)).toEqual([]);
  });

  it('of a client that is refused is not published', async () => {
    const door = await freshDoor();
    const seen = await watcher(door);
    await refuses(door, connect(WILL, field(''), field('w/t'), field('lost')), 2);
    expect(await received(seen, 0)).toEqual([]);
  });

  it('may be empty, and may be on telemetry, which is logged', async () => {
    const door = await freshDoor();
    const seen = await watcher(door);
    (await door.accepted('c', will({ payload: Buffer.alloc(0) }))).socket.destroy();
    (await door.accepted('d', will({ topic: 'devices/d/telemetry' }))).socket.destroy();
    expect((await received(seen, 2)).sort()).toEqual(['devices/d/telemetry lost 1', 'w/t  1']);
    expect(door.log.messages().map((m) => `${m.device} ${m.payload}`)).toEqual(['d lost']);
  });
});

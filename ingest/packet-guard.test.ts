import { generate, type Packet } from 'mqtt-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { eventually, openTestDoor, settle, type TestDoor, telemetry } from './door.fixture.ts';

let door: TestDoor;
afterEach(() => door?.close());

/** A packet by hand: first byte, then its body; the remaining length is put between. */
function bytes(first: number, ...body: (string | number[])[]): Buffer {
  const content = Buffer.concat(body.map((b) => (typeof b === 'string' ? Buffer.from(b, 'latin1') : Buffer.from(b))));
  const length = content.length < 128 ? [content.length] : [(content.length & 127) | 128, content.length >>> 7];
  return Buffer.concat([Buffer.from([first, ...length]), content]);
}

const connect = (flags: number, ...rest: (string | number[])[]): Buffer =>
  bytes(0x10, [0, 4], 'MQTT', [4, flags, 0, 0], ...rest);
const field = (text: string): [number[], string] => [[text.length >>> 8, text.length & 255], text];

describe('a packet that breaks MQTT ends its connection, with a reason', () => {
  const cases: [name: string, packet: Buffer, reason: string][] = [
    ['QoS 3', bytes(0x36, ...field('a/b'), [0, 1], 'x'), 'QoS 3'],
    ['packet id 0 on the lane', telemetry('d1', 'x', 1).fill(0, 24, 26), 'packet id 0'],
    ['packet id 0 elsewhere', bytes(0x32, ...field('a/b'), [0, 0], 'x'), 'packet id 0'],
    ['a packet id cut off', bytes(0x32, ...field('devices/d1/telemetry'), [0]), 'ends inside its packet id'],
    ['DUP on QoS 0', bytes(0x38, ...field('a/b'), 'x'), 'DUP is set on QoS 0'],
    ['DUP on QoS 0 telemetry', bytes(0x38, ...field('devices/d1/telemetry'), 'x'), 'DUP is set on QoS 0'],
    ['an empty topic', bytes(0x30, ...field(''), 'x'), 'the topic is empty'],
    ['a wildcard in a topic', bytes(0x30, ...field('devices/+/telemetry'), 'x'), 'holds a wildcard'],
    ['U+0000 in a topic', bytes(0x30, ...field('a\0b'), 'x'), 'holds U+0000'],
    ['invalid UTF-8 in a topic', bytes(0x30, ...field('a\xff'), 'x'), 'is not UTF-8'],
    ['a surrogate in a topic', bytes(0x30, ...field('a\xed\xa0\x80'), 'x'), 'is not UTF-8'],
    ['a topic too deep', bytes(0x30, ...field('/'.repeat(40)), 'x'), '41 levels'],
    ['a topic too long', bytes(0x30, ...field('t'.repeat(1025)), 'x'), '1025 bytes'],
    ['a topic past the end', bytes(0x30, [0, 50], 'short'), 'ends inside its topic'],
    ['an empty PUBLISH', bytes(0x30), 'ends inside its topic'],
    ['an empty device id', bytes(0x30, ...field('devices//telemetry'), 'x'), 'is not a device id'],
    ['a device id of 257 bytes', bytes(0x30, ...field(`devices/${'d'.repeat(257)}/telemetry`)), 'is not a device id'],
    ['publishing below $SYS', bytes(0x30, ...field('$SYS/x/new/clients'), 'd2'), 'begin with $ are reserved'],
    ['a second CONNECT', connect(2, ...field('d1')), 'a second CONNECT'],
    ['a type of servers', bytes(0x20, [0, 0]), 'not for clients'],
    ['type 0', bytes(0x00), 'not for clients'],
    ['type 15', bytes(0xf0), 'not for clients'],
    ['reserved flags', bytes(0x60, [0, 1]), 'reserved flags'],
    ['PINGREQ with a body', bytes(0xc0, [0]), 'too many'],
    ['PUBREL of three bytes', bytes(0x62, [0, 1, 0]), '3 bytes instead of 2'],
    ['SUBSCRIBE without a filter', bytes(0x82, [0, 1]), 'no filter'],
    ['SUBSCRIBE with packet id 0', bytes(0x82, [0, 0], ...field('a'), [0]), 'packet id 0'],
    ['SUBSCRIBE with QoS 3', bytes(0x82, [0, 1], ...field('a'), [3]), 'QoS above 2'],
    ['SUBSCRIBE with a filter cut off', bytes(0x82, [0, 1], ...field('a')), 'ends inside a filter'],
    ['a # in the middle', bytes(0x82, [0, 1], ...field('a/#/b'), [0]), 'wildcard inside a level'],
    ['a + inside a level', bytes(0xa2, [0, 1], ...field('a+/b')), 'wildcard inside a level'],
    [
      '300 filters',
      bytes(0x82, [0, 1], ...Array.from({ length: 300 }, () => [...field('a'), [0]]).flat()),
      'more than 256',
    ],
    ['a packet above the bound', Buffer.from('30ffffff0f', 'hex'), 'larger than the 1048576'],
    ['a length of five bytes', Buffer.from('30ffffffff0f', 'hex'), 'more than four bytes'],
  ];

  it.each(cases)('%s', async (_name, packet, reason) => {
    door = await openTestDoor();
    const neighbour = await door.accepted('d2');
    const client = await door.accepted('d1');
    client.send(packet);
    await client.end();
    expect(door.lines.lines.filter((l) => l.startsWith('warn connection closed'))).toHaveLength(1);
    expect(door.lines.lines.join('\n')).toContain(reason.replaceAll('"', '\\"'));
    expect(door.door.stats().packetsRefused).toBe(1);
    expect(client.acked).toEqual([]);
    neighbour.send(telemetry('d2', 'fine', 1));
    await neighbour.until(() => neighbour.acked.length === 1);
    expect(door.log.messages().map((m) => m.payload)).toEqual(['fine']);
  });
});

describe('a CONNECT that breaks MQTT', () => {
  const cases: [name: string, packet: Buffer, reason: string][] = [
    ['any other first packet', bytes(0xc0), 'the first packet is not a CONNECT'],
    ['another protocol', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'the first packet is not a CONNECT'],
    ['an unknown protocol name', bytes(0x10, [0, 4], 'MQTX', [4, 2, 0, 0], ...field('d')), 'the protocol name is'],
    ['the reserved flag', connect(3, ...field('d')), 'reserved flag of CONNECT'],
    ['a will of QoS 3', connect(2 | 4 | 24, ...field('d'), ...field('w'), ...field('m')), 'the will has QoS 3'],
    ['will flags without a will', connect(2 | 32, ...field('d')), 'will flags without a will'],
    ['a password without a name', connect(2 | 64, ...field('d'), ...field('p')), 'password without a user name'],
    ['bytes behind the end', connect(2, ...field('d'), [1]), '1 bytes too many'],
    ['an end too early', connect(2, [0, 9], 'd'), 'ends inside its client id'],
    ['a will on a wildcard', connect(2 | 4, ...field('d'), ...field('a/#'), ...field('m')), 'holds a wildcard'],
    ['a client id that is not UTF-8', connect(2, ...field('\xff')), 'the client id is not UTF-8'],
    ['a CONNECT above its bound', Buffer.from('10ffff7f', 'hex'), 'larger than the 65536'],
  ];

  it.each(cases)('%s: closed without a word', async (_name, packet, reason) => {
    door = await openTestDoor();
    const client = door.raw();
    client.send(packet);
    await client.end();
    expect(client.packets).toEqual([]);
    expect(door.lines.lines.join('\n')).toContain(reason);
  });

  it.each([
    ['MQTT 5', bytes(0x10, [0, 4], 'MQTT', [5, 2, 0, 0, 0], ...field('d')), 1],
    ['a bridge of MQTT 3.1.1', bytes(0x10, [0, 4], 'MQTT', [0x84, 2, 0, 0], ...field('d')), 1],
    ['an empty client id of a session to keep', connect(0, ...field('')), 2],
    ['an empty client id of MQTT 3.1', bytes(0x10, [0, 6], 'MQIsdp', [3, 2, 0, 0], ...field('')), 2],
    ['a client id of 300 bytes', connect(2, ...field('c'.repeat(300))), 2],
  ])('%s: told so by a return code', async (_name, packet, returnCode) => {
    door = await openTestDoor();
    const client = door.raw();
    client.send(packet);
    await client.until(() => client.packets.length > 0);
    expect(client.packets[0]).toMatchObject({ cmd: 'connack', returnCode });
    await client.end();
  });

  it('an empty client id of a clean session is given one, and MQTT 3.1 is spoken', async () => {
    door = await openTestDoor();
    await door.accepted('');
    await door.accepted('old', { protocolId: 'MQIsdp', protocolVersion: 3 });
    await eventually(() => door.door.stats().connections === 2);
  });
});

it('a will that is too large is refused with a code, before anything is kept of it', async () => {
  door = await openTestDoor({ limits: { willBytesMax: 100 } });
  const connect = (bytes: number) => {
    const client = door.raw();
    const will = { topic: 'w', payload: Buffer.alloc(bytes), qos: 0 as const, retain: false };
    client.send({
      cmd: 'connect',
      clientId: 'd',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clean: true,
      keepalive: 0,
      will,
    });
    return client.next('connack');
  };
  expect((await connect(100)).returnCode).toBe(0);
  expect((await connect(101)).returnCode).toBe(5);
  expect(door.lines.has('the will has 101 bytes')).toBe(true);
});

describe('floods', () => {
  it('what is announced before CONNECT takes no memory, and is cut off', async () => {
    door = await openTestDoor();
    const before = process.memoryUsage().arrayBuffers;
    const clients = Array.from({ length: 50 }, () => door.raw());
    for (const client of clients) client.send(Buffer.from('10ffff03', 'hex')); // 64 KiB less one to come
    await settle();
    for (const client of clients) client.send(Buffer.alloc(1000));
    await settle();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10 * 1024 * 1024);
    const large = door.raw();
    large.send(Buffer.from('10ffffff7f', 'hex'));
    await large.end();
  });

  it('refuses connections above the bound, and has room again when one is gone', async () => {
    door = await openTestDoor({ limits: { connectionsMax: 2 } });
    const first = await door.accepted('a');
    await door.accepted('b');
    const third = door.raw();
    await third.end();
    expect(door.lines.has('mqtt.connectionsMax')).toBe(true);
    expect(door.door.stats()).toMatchObject({ connections: 2, connectionsRefused: 1 });
    first.socket.end();
    await first.end();
    await eventually(() => door.door.stats().connections === 1);
    await door.accepted('c');
  });

  it('a filter of a shared group is told 128, the others are granted', async () => {
    door = await openTestDoor();
    const client = await door.accepted('a');
    const subscriptions = [
      { topic: '$share/group/devices/#', qos: 1 as const },
      { topic: 'devices/#', qos: 1 as const },
    ];
    client.send(generate({ cmd: 'subscribe', messageId: 5, subscriptions } as Packet));
    expect((await client.next('suback')).granted).toEqual([128, 1]);
  });
});

import { generate, type Packet } from 'mqtt-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { eventually, openTestDoor, type RawClient, settle, type TestDoor, telemetry } from './door.fixture.ts';

let door: TestDoor;
afterEach(() => door.close());

const WILL = { topic: 'wills/d1', payload: Buffer.from('gone'), qos: 0 as const, retain: false };
const subscribe = (topic: string, messageId: number): Packet =>
  ({ cmd: 'subscribe', messageId, subscriptions: [{ topic, qos: 1 }] }) as Packet;
const news = (payload: string, qos: 0 | 1 | 2, messageId?: number): Packet =>
  ({ cmd: 'publish', topic: 'news', payload, qos, messageId, dup: false, retain: false }) as Packet;

/** How a client may have come to be known to the broker, or not. */
const KINDS: Record<string, (client: () => Promise<RawClient>) => Promise<RawClient>> = {
  'that only publishes': (connect) => connect(),
  'that has subscribed': async (connect) => {
    const client = await connect();
    client.send(subscribe('news', 9));
    await client.next('suback');
    return client;
  },
  'that has asked a moment ago': async (connect) => {
    const client = await connect();
    client.send(subscribe('news', 9));
    return client;
  },
};
const OPTIONS: Record<string, object> = {
  plain: {},
  'with a will': { will: WILL },
  'with a session': { clean: false },
};

describe('a client without a will or a session to keep', () => {
  it('has everything that it asks for in one go, in order', async () => {
    door = await openTestDoor();
    const client = door.raw();
    client.send(
      { cmd: 'connect', clientId: 'd1', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0 } as Packet,
      telemetry('d1', '1', 1),
      subscribe('news', 2),
      telemetry('d1', '2', 3),
      news('x', 1, 4),
      news('y', 2, 5),
      { cmd: 'pubrel', messageId: 5 } as Packet,
      { cmd: 'pingreq' } as Packet,
    );
    await client.until(() => client.packets.filter((p) => p.cmd === 'publish').length === 2);
    await client.next('pingresp');
    expect(client.packets.filter((p) => p.cmd === 'connack')).toHaveLength(1);
    expect(client.packets[0].cmd).toBe('connack');
    expect(client.acked).toEqual([1, 3, 4]);
    await client.next('pubcomp');
    expect(door.log.messages().map((m) => Buffer.from(m.payload).toString())).toEqual(['1', '2']);
  });

  it.each([[['subscribe']], [['publish']], [['pingreq']], [[]]])('may hang up at once after %j', async (last) => {
    door = await openTestDoor();
    const packets = {
      subscribe: subscribe('news', 2),
      publish: news('x', 1, 3),
      pingreq: { cmd: 'pingreq' } as Packet,
    };
    for (const end of ['disconnect', 'fin', 'reset']) {
      const client = await door.accepted(`d-${end}`);
      client.send(telemetry('d1', end, 1), ...last.map((name) => packets[name as keyof typeof packets]));
      if (end === 'disconnect') client.send({ cmd: 'disconnect' } as Packet);
      else if (end === 'fin') client.socket.end();
      else client.socket.destroy();
    }
    await eventually(() => door.door.stats().connections === 0);
    // A client with the same id finds everything as new.
    const again = await door.accepted('d-fin');
    again.send(subscribe('news', 1), news('z', 1, 2));
    await again.next('publish');
  });

  it('is given an id when it brings none, as often as it comes', async () => {
    door = await openTestDoor();
    const clients = [await door.accepted(''), await door.accepted(''), await door.accepted('', { will: WILL })];
    for (const client of clients) client.send(subscribe('news', 1));
    for (const client of clients) await client.next('suback');
    clients[0].send(news('x', 1, 2));
    for (const client of clients) await client.next('publish');
    expect(door.door.stats().connections).toBe(3);
  });

  it('has an id of at most 23 characters in MQTT 3.1', async () => {
    door = await openTestDoor();
    const options = { protocolId: 'MQIsdp', protocolVersion: 3 };
    (await door.accepted('a'.repeat(23), options)).send(subscribe('news', 1));
    const refused = door.raw();
    refused.send({ cmd: 'connect', clientId: 'a'.repeat(24), clean: true, keepalive: 0, ...options } as Packet);
    expect((await refused.next('connack')).returnCode).toBe(2);
    await refused.end();
  });
});

describe('a client id', () => {
  const combinations = Object.keys(KINDS).flatMap((kind) =>
    Object.keys(OPTIONS).flatMap((before) => Object.keys(OPTIONS).map((after) => [kind, before, after] as const)),
  );

  it.each(combinations)('is taken over from one %s, %s, by one %s', async (kind, before, after) => {
    door = await openTestDoor();
    const watcher = await door.accepted('watcher');
    watcher.send(subscribe('wills/#', 1));
    await watcher.next('suback');
    const former = await KINDS[kind](() => door.accepted('d1', OPTIONS[before]));
    const next = await door.accepted('d1', OPTIONS[after]);
    await former.end();
    if (before === 'with a will') expect((await watcher.next('publish')).topic).toBe('wills/d1');
    // Subscriptions outlive the connection only from one session that is kept to the next.
    const bothKept = before === 'with a session' && after === 'with a session';
    const kept = bothKept && kind === 'that has subscribed';
    next.send(telemetry('d1', 'x', 1), news('n', 1, 2));
    await next.until(() => next.acked.length === 2);
    if (kept) await next.next('publish');
    else if (!bothKept || kind === 'that only publishes') {
      await settle();
      expect(next.packets.map((p) => p.cmd)).not.toContain('publish');
    }
    next.send(subscribe('news', 3));
    await next.next('suback');
    next.send(news('m', 1, 4));
    await next.until(() => next.packets.some((p) => p.cmd === 'publish' && p.payload.toString() === 'm'));
    expect(next.broken).toBeNull();
    expect(door.door.stats().connections).toBe(2);
    // It is really gone from the broker as well.
    next.send(generate({ cmd: 'disconnect' }));
    await next.end();
    await eventually(() => door.door.stats().connections === 1);
    if (after === 'with a will') {
      await settle();
      expect(watcher.packets.filter((p) => p.cmd === 'publish')).toEqual([]);
    }
  });
});
